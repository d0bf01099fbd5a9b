"""What happens in a cluster is told as it happens, to any number that watch, and what they missed is told, too."""

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest

from peer import (
    Agent,
    AgentSpec,
    CallerError,
    CheckpointMade,
    Cluster,
    Context,
    DeadLettered,
    EffectChanged,
    Happening,
    Happenings,
    HostChanged,
    Missed,
    NotHappened,
    Noticed,
    RestoreMade,
    RollbackDecided,
    RollbackProposed,
    StepMade,
    handles,
    tool,
)
from peer.cluster import happenings as watching
from peer.host import watchers
from protocol.fact import Claim
from protocol.wire import Frame

T = TypeVar("T")

PATIENCE_S = 100
"""What has not come by then does not come: where all is busy, a host on Ray takes half a minute to start again."""

BACKENDS = ["local", pytest.param("ray", marks=pytest.mark.ray)]


class Bank:
    closed = False


def refund(call: Any) -> None:
    if Bank.closed:
        raise ValueError("the bank is closed")


@tool(undo=refund, check=lambda call: NotHappened())
def pay(price: int) -> None:
    pass


class Buyer(Agent):
    tries = 1

    @handles(int)
    async def buy(self, message: int, ctx: Context) -> None:
        if message < 0:
            raise ValueError("nobody is paid for buying")
        self.state["spent"] = self.state.get("spent", 0) + message
        ctx.report(confidence=0.5, model="m")
        if message == 7:
            await ctx.call(pay, message)
        ctx.send("cashier", message)


class Cashier(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["paid"] = self.state.get("paid", 0) + message


async def started(cluster: Cluster) -> None:
    await cluster.spawn("buyer", Buyer)
    await cluster.spawn("cashier", Cashier)


async def until(events: Happenings, is_it: Callable[[Happening], bool]) -> list[Happening]:
    """Return what comes, up to what is waited for."""
    found: list[Happening] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for happening in events:
                found.append(happening)
                if is_it(happening):
                    return found
    except TimeoutError:
        pass
    raise AssertionError(f"it did not come: {found}")


def of(kind: type[T], found: list[Happening]) -> list[T]:
    return [happening for happening in found if isinstance(happening, kind)]


async def test_each_kind_is_told_once_it_is_durable() -> None:
    async with Cluster("local") as cluster:
        await started(cluster)
        async with cluster.watch() as events:
            await cluster.submit("buyer", 4, 7)
            made = count(1)  # of two hosts, whose steps are told in either order
            found = await until(events, lambda each: isinstance(each, StepMade) and next(made) == 4)
            steps = {str(step.step): step for step in of(StepMade, found)}
            assert sorted(steps) == ["buyer/1/1", "buyer/1/2", "cashier/1/1", "cashier/1/2"]
            second = steps["buyer/1/2"]
            assert (second.agent, second.handled, second.model, second.confidence) == ("buyer", "int", "m", 0.5)
            assert (second.sent, second.calls, second.sender[:4]) == (1, 1, "ext:")
            assert [(each.agent, each.tool.rpartition(":")[2], each.state) for each in of(EffectChanged, found)] == [
                ("buyer", "pay", "done")
            ]

            Bank.closed = True
            outcome = await cluster.rollback("buyer/1/2", inputs="discard", reason="dear")
            found = await until(events, lambda each: isinstance(each, EffectChanged) and bool(each.why))
            (proposed,) = of(RollbackProposed, found)
            assert (proposed.proposal, proposed.agent, [*map(str, proposed.roots)], proposed.roots_count) == (
                outcome.proposal, "buyer", ["buyer/1/2"], 1,
            )  # fmt: skip
            assert (proposed.inputs, proposed.reason) == ("discard", "dear")
            (letter,) = of(DeadLettered, found)
            assert (letter.agent, letter.handled, letter.reason) == ("buyer", "int", f"discarded by {outcome.proposal}")
            assert [letter.name for letter in await cluster.dead_letters()] == [letter.name]
            last = found[-1]
            assert isinstance(last, EffectChanged)
            assert (last.state, "the bank is closed" in last.why) == ("undoing", True)

            Bank.closed = False
            found += await until(events, lambda each: isinstance(each, EffectChanged) and each.state == "undone")
            if not of(RollbackDecided, found):
                found += await until(events, lambda each: isinstance(each, RollbackDecided))
            (decided,) = of(RollbackDecided, found)
            assert (decided.committed, decided.undone, decided.agents) == (True, len(outcome.undone), 2)
            assert decided.roots == proposed.roots
            assert found.index(proposed) < found.index(decided)

            await cluster.submit("buyer", -1)
            found = await until(events, lambda each: isinstance(each, Noticed) and each.notice == "dead-letter")
            found += await until(events, lambda each: isinstance(each, DeadLettered))
            assert "nobody is paid for buying" in of(DeadLettered, found)[0].reason

            epoch = await cluster.checkpoint()
            found = await until(events, lambda each: isinstance(each, CheckpointMade))
            assert of(CheckpointMade, found)[0].epoch == epoch
            await cluster.submit("buyer", 1)
            await cluster.restore(epoch, reason="back")
            found = await until(events, lambda each: isinstance(each, RestoreMade))
            restored = of(RestoreMade, found)[0]
            assert (restored.number, restored.epoch, restored.reason) == (1, epoch, "back")
            # Both hosts tell of both; nobody is told twice.
            await cluster.checkpoint()
            found = await until(events, lambda each: isinstance(each, CheckpointMade) and each.epoch == epoch + 1)
            assert len(of(CheckpointMade, found)) == 1
            assert of(RestoreMade, found) == []
            assert of(Missed, found) == []


async def test_only_what_is_wanted_is_carried_over() -> None:
    async with Cluster("local") as cluster:
        await started(cluster)
        async with cluster.watch("steps", "cashier") as cashiers, cluster.watch(["dead_letters"]) as letters:
            await cluster.submit("buyer", 1, -1, 2)
            found = await until(cashiers, lambda each: isinstance(each, StepMade) and each.step.seq == 2)
            assert [str(step.step) for step in of(StepMade, found)] == ["cashier/1/1", "cashier/1/2"]
            assert len(found) == 2
            assert len(await until(letters, lambda each: isinstance(each, DeadLettered))) == 1
            # One host has nothing of the cashier's, and is not asked.
            hosts = [sum(bool(w.kinds) for w in _watches(cluster, at)) for at in (0, 1)]
            assert hosts == [1, 2]


def _watches(cluster: Cluster, at: int) -> list[Any]:
    backend: Any = cluster._backend
    return list(backend._places[at].host.observer._watches.values())


async def test_a_loop_that_is_left_and_a_cluster_that_ends_end_watching() -> None:
    async with Cluster("local") as cluster:
        await started(cluster)
        await cluster.submit("buyer", 1)

        async def first() -> Happening:
            async for happening in cluster.watch("steps"):
                return happening
            raise AssertionError("it ended")

        one = asyncio.ensure_future(first())
        async with asyncio.timeout(PATIENCE_S):
            while not _watches(cluster, 0):
                await asyncio.sleep(0)
            await cluster.submit("buyer", 1)
            assert isinstance(await one, StepMade)
            del one
            while _watches(cluster, 0) or cluster.host.neighbours.onlookers:
                await asyncio.sleep(0.01)
        events = cluster.watch("steps")
        async with events:
            rest = asyncio.ensure_future(_all(events))
            await asyncio.sleep(0)
            await cluster.stop()
            assert await rest == []


@pytest.mark.parametrize(("kind", "agents"), [("hosts", ()), ("steps", ("nobody",))])
async def test_a_cluster_that_ends_ends_watching_where_no_host_is_asked(kind: str, agents: tuple[str, ...]) -> None:
    async with Cluster("local") as cluster:
        await started(cluster)
        async with cluster.watch(kind, *agents) as events:
            rest = asyncio.ensure_future(_all(events))
            await asyncio.sleep(0)
            await cluster.stop()
            async with asyncio.timeout(10):
                assert await rest == []


async def test_a_cluster_that_ends_ends_watching_of_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "HELD_MAX", 4)
    async with Cluster("local") as cluster:
        await started(cluster)
        async with cluster.watch("steps", "buyer") as slow:
            await cluster.submit("buyer", *range(20))
            first = await anext(slow)
            await cluster.quiet()
            await cluster.stop()
            async with asyncio.timeout(10):
                rest = await _all(slow)
        assert of(StepMade, [first])
        assert of(StepMade, rest)


async def test_what_is_watched_too_early_is_refused_each_time() -> None:
    events = Cluster("local").watch("steps")
    for _ in range(2):
        with pytest.raises(CallerError, match="is not started"):
            await asyncio.wait_for(anext(events), 10)


async def test_a_host_that_has_ended_asks_nobody_and_says_so() -> None:
    async with Cluster("local") as cluster:
        await started(cluster)
        host, home = cluster.host, cluster.host.homes["buyer"]
    for asked in (host.ask("buyer", "status"), host.asking.ask_host(home, "rest", b"")):
        with pytest.raises(CallerError, match="the host that asks has ended"):
            await asyncio.wait_for(asked, 10)


async def _all(events: Happenings) -> list[Happening]:
    return [happening async for happening in events]


async def test_a_slow_one_holds_up_nobody_and_is_told_how_much_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "KEPT_MAX", 10)
    monkeypatch.setattr(watchers, "BATCH_MAX", 4)
    monkeypatch.setattr(watching, "HELD_MAX", 4)
    async with Cluster("local") as cluster:
        await started(cluster)
        async with cluster.watch("steps", "buyer") as slow:
            await cluster.submit("buyer", *range(100))
            await cluster.quiet()
            (kept,) = _watches(cluster, 0)
            assert len(kept.kept) <= 10
            found = await until(slow, lambda each: isinstance(each, StepMade) and each.step.seq == 100)
        steps, missed = of(StepMade, found), of(Missed, found)
        assert sum(each.count or 0 for each in missed) == 100 - len(steps) > 50
        assert [step.step.seq for step in steps] == sorted({step.step.seq for step in steps})


async def test_a_slow_one_is_not_told_that_a_host_was_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "FORGOTTEN_US", 100_000)
    monkeypatch.setattr(watchers, "BATCH_MAX", 4)
    monkeypatch.setattr(watching, "HELD_MAX", 4)
    async with Cluster("local") as cluster:
        await started(cluster)
        async with cluster.watch(("steps", "hosts"), "buyer") as slow:
            await cluster.submit("buyer", *range(20))
            await cluster.quiet()
            await asyncio.sleep(0.2)
            await cluster.submit("buyer", 1)
            await cluster.quiet()
            found = await until(slow, lambda each: isinstance(each, Missed) and each.count is None)
            assert of(HostChanged, found) == []


async def test_who_has_moved_is_watched_on_and_what_may_be_missed_is_told(tmp_path: Path) -> None:
    async with Cluster("local", agents_per_actor=2, folder=tmp_path, replicas=1) as cluster:
        await cluster.spawn_all([AgentSpec(name, Cashier) for name in ("a", "b", "c", "d")])
        received, loop = cluster.host.neighbours.received, asyncio.get_running_loop()

        def later(sender: str, frame: Frame) -> None:
            """Hear of claims after all else, as gossip may bring them."""
            facts = (*frame.facts, *(frame.compare.facts if frame.compare else ()))
            if any(isinstance(fact, Claim) for fact in facts):
                loop.call_later(0.2, received, sender, frame)
                frame = Frame(facts=tuple(fact for fact in facts if not isinstance(fact, Claim)))
            received(sender, frame)

        cluster.host.neighbours.received = later
        async with cluster.watch("steps", "a") as events:
            await cluster.submit("a", 1)
            await until(events, lambda each: isinstance(each, StepMade))
            to = await cluster.move("a", "c")
            (missed,) = await until(events, lambda each: isinstance(each, Missed))
            assert isinstance(missed, Missed)
            assert (missed.host, missed.count) == (to, None)
            await cluster.submit("a", 2)
            await until(events, lambda each: isinstance(each, StepMade) and str(each.step) == "a/1/2")


async def test_hosts_that_come_are_told_and_one_that_restarts_says_what_may_be_missed(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster, cluster.watch() as events:
        await started(cluster)
        await cluster.submit("buyer", 1)
        found = await until(events, lambda each: isinstance(each, StepMade) and each.agent == "cashier")
        assert [(each.how, each.agents) for each in of(HostChanged, found)] == [
            ("joined", ("buyer",)), ("joined", ("cashier",)),
        ]  # fmt: skip
        await cluster.kill("buyer")
        found = await until(events, lambda each: isinstance(each, Missed))
        (missed,) = of(Missed, found)
        assert (missed.host, missed.count) == (cluster.host.homes["buyer"], None)
        assert ("restarted", missed.host) in [(each.how, each.host) for each in of(HostChanged, found)]
        await cluster.submit("buyer", 2)
        await until(events, lambda each: isinstance(each, StepMade) and str(each.step) == "buyer/1/2")


@pytest.mark.parametrize("backend", BACKENDS)
async def test_whoever_attaches_watches_and_goes_on_after_a_kill(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where hosts on Ray find the agents
    options = {"listen": True} if backend == "local" else {}
    async with Cluster(backend, folder=tmp_path, **options) as cluster:
        await started(cluster)
        async with Cluster.attach(tmp_path) as other, other.watch(("steps", "hosts")) as events:
            await cluster.submit("buyer", 1)
            await until(events, lambda each: isinstance(each, StepMade) and each.agent == "cashier")
            await cluster.kill("cashier")
            await cluster.submit("buyer", 2)
            found = await until(events, lambda each: isinstance(each, StepMade) and str(each.step) == "buyer/1/2")
            if not of(Missed, found):
                found += await until(events, lambda each: isinstance(each, Missed))
            await cluster.submit("buyer", 3)
            await until(events, lambda each: isinstance(each, StepMade) and str(each.step) == "cashier/1/3")


async def test_what_cant_be_watched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "WATCHES_MAX", 1)
    async with Cluster("local") as cluster:
        with pytest.raises(CallerError, match="kinds names 'step': there are steps, rollbacks"):
            cluster.watch("step")
        with pytest.raises(CallerError, match="kinds names 5: there are steps, rollbacks"):
            cluster.watch(5)  # type: ignore[reportArgumentType]
        await started(cluster)
        async with cluster.watch("steps"):
            with pytest.raises(CallerError, match="1 watch this host already"):
                await _all(cluster.watch("steps"))
        async with cluster.watch("steps"):
            pass
