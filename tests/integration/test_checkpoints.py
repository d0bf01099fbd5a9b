"""Checkpoints, restores and successors through the public API: hosts in one process, real logs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, Call, Cluster, Context, Happened, NotHappened, errors, handles, tool
from peer.policies import Bandit

BOOKS: dict[str, int] = {}


def cancel(call: Call) -> None:
    BOOKS.pop(call.intent, None)


def is_booked(call: Call) -> Happened | NotHappened:
    return Happened(None) if call.intent in BOOKS else NotHappened()


@tool(undo=cancel, check=is_booked)
def book(amount: int, *, intent: str) -> None:
    assert intent not in BOOKS, "booked twice"
    BOOKS[intent] = amount


class Till(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["taken"] = self.state.get("taken", 0) + message
        ctx.send("safe", str(message))


class Safe(Agent):
    @handles(str)
    async def put(self, message: str, ctx: Context) -> None:
        await ctx.call(book, int(message))
        self.state["kept"] = self.state.get("kept", 0) + int(message)


@pytest.fixture(autouse=True)
def _clean() -> None:
    BOOKS.clear()


async def filled(cluster: Cluster) -> None:
    await cluster.spawn("till", Till)
    await cluster.spawn("safe", Safe)
    await cluster.submit("till", 1, 10)
    await cluster.quiet()


async def both(cluster: Cluster) -> tuple[object, object]:
    return (await cluster.state("till")).get("taken"), (await cluster.state("safe")).get("kept")


@pytest.mark.parametrize("agents_per_actor", [1, 2])
async def test_a_checkpoint_is_restored_with_the_world_outside(agents_per_actor: int) -> None:
    async with Cluster("local", agents_per_actor) as cluster:
        await filled(cluster)
        epoch = await cluster.checkpoint()
        await cluster.submit("till", 100)
        await cluster.quiet()
        assert await both(cluster) == (111, 111)
        restored = await cluster.restore(epoch)
        await cluster.quiet()
        assert (restored.number, restored.epoch) == (1, epoch)
        assert await both(cluster) == (11, 11)
        assert sorted(BOOKS.values()) == [1, 10]
        assert [why for _, why in await cluster.dead_letters("till")] == ["discarded by restore 1"]
        await cluster.submit("till", 1000)
        await cluster.quiet()
        assert await both(cluster) == (1011, 1011)


async def test_a_restore_survives_a_crash_of_every_host() -> None:
    async with Cluster("local") as cluster:
        await filled(cluster)
        epoch = await cluster.checkpoint()
        await cluster.submit("till", 100)
        await cluster.quiet()
        await cluster.restore(epoch)
        for agent in ("till", "safe"):
            await cluster.kill(agent)
        await cluster.quiet()
        assert await both(cluster) == (11, 11)
        assert sorted(BOOKS.values()) == [1, 10]


async def test_inputs_taken_on_since_run_again_if_that_is_wanted() -> None:
    async with Cluster("local") as cluster:
        await filled(cluster)
        epoch = await cluster.checkpoint()
        await cluster.submit("till", 100)
        await cluster.quiet()
        await cluster.restore(epoch, inputs="retry")
        await cluster.quiet()
        assert await both(cluster) == (111, 111)
        assert sorted(BOOKS.values()) == [1, 10, 100]


async def test_what_cannot_be_restored_is_refused_with_the_reason() -> None:
    async with Cluster("local", checkpoints_kept=1) as cluster:
        await filled(cluster)
        with pytest.raises(errors.RestoreRefused, match="checkpoint 7 is not known to be committed"):
            await cluster.restore(7)
        for _ in range(3):
            epoch = await cluster.checkpoint()
        with pytest.raises(errors.RestoreRefused, match="behind the horizon"):
            await cluster.restore(1)
        assert await both(cluster) == (11, 11)
        await cluster.restore(epoch)
        with pytest.raises(errors.CallerError, match="discard or retry"):
            await cluster.restore(epoch, inputs="keep")


async def test_memory_is_folded_and_logs_are_read_from_the_last_base(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, checkpoints_kept=1) as cluster:
        await filled(cluster)
        for _ in range(3):
            await cluster.submit("till", *range(20))
            await cluster.quiet()
            await cluster.checkpoint()
        look = await cluster.status("till")
        assert look.steps > 60
        assert look.steps_kept == 0
        for agent in ("till", "safe"):
            await cluster.kill(agent)
        await cluster.quiet()
        assert await both(cluster) == (581, 581)
        assert (await cluster.status("till")).steps == look.steps


async def test_one_agent_goes_back_to_a_step_with_all_consequences() -> None:
    async with Cluster("local") as cluster:
        await filled(cluster)
        outcome = await cluster.rollback_to("till", "till/1/1")
        await cluster.quiet()
        assert outcome is not None
        assert outcome.committed
        assert await both(cluster) == (1, 1)
        assert list(BOOKS.values()) == [1]
        with pytest.raises(errors.StepUnknown):
            await cluster.rollback_to("till", "till/1/99")


@pytest.mark.parametrize("options", [{"checkpoint_every_s": 0.05}, {"checkpoint_policy": Bandit(first_s=0.05)}])
async def test_checkpoints_are_made_by_themselves(options: dict[str, Any]) -> None:
    async with Cluster("local", **options) as cluster:
        await filled(cluster)
        for _ in range(200):
            if (await cluster.epochs()).committed >= 2:
                break
            await asyncio.sleep(0.05)
        epochs = await cluster.epochs()
        assert epochs.committed >= 2
        assert len(epochs.view) == 2


async def test_a_host_that_is_dead_for_good_is_succeeded_and_nothing_is_done_twice() -> None:
    async with Cluster("local", replicas=1, successor_s=0.5) as cluster:
        for name in ("till", "till-2", "till-3"):
            await cluster.spawn(name, Till)
        await cluster.spawn("safe", Safe)
        await cluster.submit("till", 1, 10)
        await cluster.quiet()
        for _ in range(3):
            await cluster.checkpoint()
        await cluster.submit("till-2", 100)
        await cluster.quiet()
        home = (await cluster.status("safe")).host
        await cluster.kill("safe", for_good=True)
        await cluster.submit("till-3", 1000)
        look = await cluster.status("safe", timeout_s=60)
        await cluster.quiet()
        assert look.host != home
        assert look.incarnation == 2
        assert (await cluster.state("safe"))["kept"] == 1111
        assert sorted(BOOKS.values()) == [1, 10, 100, 1000]
        epoch = await cluster.checkpoint()
        assert home in (await cluster.epochs()).view
        assert await cluster.checkpoint() == epoch + 1
        assert home not in (await cluster.epochs()).view


async def test_options_that_could_not_go_to_a_successor_are_refused_at_once() -> None:
    class Odd(Agent):
        def __init__(self, thing: object) -> None: ...

    async with Cluster("local", replicas=1) as cluster:
        with pytest.raises(errors.CallerError, match="options of agents go to other hosts; those of 'odd'"):
            await cluster.spawn("odd", Odd, thing=object())
        assert cluster.agents == []


@pytest.mark.parametrize(
    ("option", "value"),
    [("checkpoints_kept", 0), ("checkpoint_every_s", -1.0), ("replicas", -1), ("successor_s", -0.1)],
)
def test_settings_that_make_no_sense_are_refused(option: str, value: float) -> None:
    with pytest.raises(errors.CallerError, match=option):
        Cluster("local", **{option: value})  # type: ignore[arg-type]


async def test_a_host_that_leaves_hands_its_agents_over_whole() -> None:
    async with Cluster("local", replicas=1, successor_s=60) as cluster:
        await cluster.spawn("till", Till)
        await cluster.spawn("till-2", Till)
        await cluster.spawn("safe", Safe)
        await cluster.submit("till", 1, 10)
        await cluster.quiet()
        for _ in range(2):
            await cluster.checkpoint()
        await cluster.submit("till-2", 100)
        await cluster.quiet()
        home = (await cluster.status("safe")).host
        await cluster.leave("safe")
        await cluster.submit("till", 1000)
        look = await cluster.status("safe", timeout_s=30)
        await cluster.quiet()
        assert look.host != home
        assert (await cluster.state("safe"))["kept"] == 1111
        assert (await cluster.status("safe")).undone == 0, "nothing is lost with a host that leaves"
        assert sorted(BOOKS.values()) == [1, 10, 100, 1000]
        await cluster.checkpoint()
        await cluster.checkpoint()
        assert home not in (await cluster.epochs()).view


CALLS: list[str] = []
GO: dict[str, asyncio.Event] = {}


@tool(kind="compensable", undo=lambda call: None)
async def slow_pay(what: str) -> str:
    """Take as long as the test wants; nobody could tell afterwards whether it has happened."""
    CALLS.append(what)
    await GO["go"].wait()
    return what


class Payer(Agent):
    @handles(str)
    async def pay(self, message: str, ctx: Context) -> None:
        self.state[message] = await ctx.call(slow_pay, message)


async def leaving(cluster: Cluster, agent: str) -> asyncio.Task[None]:
    """Have an agent pay, and its host leave meanwhile."""
    CALLS.clear()
    GO["go"] = asyncio.Event()
    for name in (agent, "other", "third"):
        await cluster.spawn(name, Payer)
    for _ in range(2):
        await cluster.checkpoint()
    await cluster.submit(agent, "one", "two")
    while not CALLS:
        await asyncio.sleep(0.01)
    return asyncio.ensure_future(cluster.leave(agent))


async def test_a_host_that_leaves_lets_calls_end_and_begins_no_more() -> None:
    async with Cluster("local", replicas=1, successor_s=60) as cluster:
        left = await leaving(cluster, "payer")
        home = (await cluster.status("payer")).host
        await asyncio.sleep(0.1)
        assert not left.done(), "it waits for the call"
        GO["go"].set()
        await left
        await cluster.quiet()
        assert (await cluster.status("payer")).host != home
        assert await cluster.state("payer") == {"one": "one", "two": "two"}
        assert CALLS == ["one", "two"]
        assert await cluster.dead_letters("payer") == []


async def test_a_call_that_does_not_end_does_not_keep_its_host_from_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.host.resting.REST_S", 0.1)
    async with Cluster("local", replicas=1, successor_s=60) as cluster:
        await (await leaving(cluster, "payer"))
        GO["go"].set()
        await cluster.quiet()
        assert CALLS == ["one", "two"], "in doubt is not called again"
        assert await cluster.state("payer") == {"two": "two"}
        assert len(await cluster.dead_letters("payer")) == 1


async def test_a_host_without_backups_does_not_leave() -> None:
    async with Cluster("local") as cluster:
        await filled(cluster)
        with pytest.raises(errors.CallerError, match="nobody keeps copies"):
            await cluster.leave("safe")
        await cluster.submit("till", 100)
        await cluster.quiet()
        assert await both(cluster) == (111, 111)
