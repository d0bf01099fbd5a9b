"""Invariants over the states of several agents at a checkpoint's cut: what holds, what does not, and who is told."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ebbtide import Agent, CallerError, Cluster, Context, HandlerMissing, Overseer, handles
from peer.host import questions
from peer.host.past_cuts import CutAsk, CutSteps
from peer.watching import Always, Broken, Invariant, Watcher, check_cut

TOTAL = 2_000


@dataclass
class Pay:
    to: str
    amount: int


@dataclass
class Paid:
    amount: int


class Account(Agent):
    """Keeps its balance, and what it has sent and received in all."""

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        # The fault: one of 13 is sent, and not taken off, the first time.
        taken = 0 if message.amount == 13 and ctx.evidence is None else message.amount
        self.state["balance"] = self.state.get("balance", 1_000) - taken
        self.state["sent"] = self.state.get("sent", 0) + message.amount
        ctx.send(message.to, Paid(message.amount))

    @handles(Paid)
    async def paid(self, message: Paid, ctx: Context) -> None:
        self.state["balance"] = self.state.get("balance", 1_000) + message.amount
        self.state["received"] = self.state.get("received", 0) + message.amount


def conserved(states: Any) -> bool | Broken:
    """What is on its way was sent, and is not received yet."""
    balances = sum(state.get("balance", 1_000) for state in states.values())
    on_its_way = sum(state.get("sent", 0) - state.get("received", 0) for state in states.values())
    total = balances + on_its_way
    return total == TOTAL or Broken(f"{total} and not {TOTAL}")


def forgetful(states: Any) -> bool:
    return sum(state.get("balance", 1_000) for state in states.values()) == TOTAL


MONEY = Invariant("money", conserved, ("a", "b"))


class Guard(Watcher):
    policy = Always()


async def accounts(cluster: Cluster) -> None:
    await cluster.spawn("a", Account)
    await cluster.spawn("b", Account)
    await cluster.spawn("guard", Guard)


async def test_a_sum_holds_on_every_cut_while_transfers_are_in_flight() -> None:
    async with Cluster("local", agents_per_actor=1, checkpoints_kept=100) as cluster:
        await accounts(cluster)

        async def transfer(source: str, to: str) -> None:
            for _ in range(60):
                await cluster.submit(source, Pay(to, 1), Pay(to, 2))

        working = asyncio.gather(transfer("a", "b"), transfer("b", "a"))
        short: list[bool] = []
        for _ in range(12):
            epoch = await cluster.checkpoint()
            assert await check_cut(cluster, [MONEY]) == []
            short.append(not forgetful(await cluster.states(("a", "b"), epoch)))
            await asyncio.sleep(0.01)
        await working
        await cluster.quiet()
        for epoch in range(1, 13):
            assert await check_cut(cluster, [MONEY], epoch) == []
        assert any(short), "nothing was ever in flight at a cut: the test has tried nothing"


async def test_a_broken_transfer_is_found_its_steps_named_and_a_watcher_told_once() -> None:
    async with Cluster("local", agents_per_actor=1, checkpoints_kept=100) as cluster:
        await accounts(cluster)
        await cluster.submit("a", Pay("b", 5))
        await cluster.quiet()
        held = await cluster.checkpoint()
        await cluster.submit("a", Pay("b", 13))
        await cluster.submit("b", Pay("a", 1))
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        await cluster.submit("a", Pay("b", 6))
        await cluster.quiet()
        assert await check_cut(cluster, [MONEY], held) == []
        (found,) = await check_cut(cluster, [MONEY], epoch)
        assert (found.invariant, found.epoch, found.held, found.why) == ("money", epoch, held, "2013 and not 2000")
        assert sorted(map(str, found.steps)) == ["a/1/2", "a/1/3", "b/1/2", "b/1/3"]
        assert (found.left_out, found.raised) == (0, False)

        def of_b(states: Any) -> bool | Broken:
            return conserved(states) is True or Broken("b has too much", ("b",))

        (named,) = await check_cut(cluster, [Invariant("named", of_b, ("a", "b"))], epoch)
        assert sorted(map(str, named.steps)) == ["b/1/2", "b/1/3"]
        with pytest.raises(HandlerMissing, match="b is no watcher"):
            await check_cut(cluster, [MONEY], epoch, raise_to="b")
        assert [each.raised for each in await check_cut(cluster, [MONEY], epoch, raise_to="guard")] == [True]
        again = await check_cut(cluster, [MONEY], epoch, raise_to="guard")
        assert not any(each.raised for each in again)
        await cluster.quiet()
        # The steps were undone and have run again, with evidence: at the cut they are not, and after it they are right.
        assert await check_cut(cluster, [MONEY], epoch) == []
        assert await check_cut(cluster, [MONEY], await cluster.checkpoint()) == []
        assert {agent: state["balance"] for agent, state in (await cluster.states(("a", "b"))).items()} == {
            "a": 1_000 - 5 - 13 + 1 - 6, "b": 1_000 + 5 + 13 - 1 + 6,
        }  # fmt: skip
        cases = [value for key, value in (await cluster.state("guard")).items() if key[0] == "case"]
        assert [case[2] for case in cases] == ["invariant/money"]


async def test_a_sum_holds_on_every_cut_while_transfers_are_undone_and_agents_die() -> None:
    chance = Random(7)
    async with Cluster("local", agents_per_actor=1, checkpoints_kept=100) as cluster:
        await accounts(cluster)
        undone = 0
        for turn in range(8):
            for _ in range(4):
                await cluster.submit("a", Pay("b", chance.randint(1, 9)))
                await cluster.submit("b", Pay("a", chance.randint(1, 9)))
            epoch = await cluster.checkpoint()
            steps = [step.id async for step in cluster.steps(chance.choice("ab"), undone=False)]
            undoing = asyncio.ensure_future(
                cluster.rollback(chance.choice(steps[-6:]), inputs=chance.choice(("retry", "discard")))
            )
            while not undoing.done():
                assert await check_cut(cluster, [MONEY], epoch) == []
            undone += len(undoing.result().undone) if undoing.exception() is None else 0
            if turn % 3 == 1:
                await cluster.kill("a")
        await cluster.quiet()
        for epoch in range(1, (await cluster.epochs()).committed + 1):
            assert await check_cut(cluster, [MONEY], epoch) == []
        assert undone > 8, "hardly anything was undone: the test has tried nothing"


class Torn:
    """Answers as agents do that a rollback reaches one after the other: `a` has carried it out before `b`."""

    def __init__(self, cluster: Cluster, looks: list[dict[str, CutSteps]]) -> None:
        self._cluster, self._looks = cluster, looks
        self.asked: list[CutAsk] = []

    async def epochs(self) -> Any:
        return await self._cluster.epochs()

    async def all_of(self, agents: Any, what: str, kind: Any, body: bytes) -> Any:
        self.asked.append(questions.decode(body, CutAsk))
        return self._looks.pop(0)

    async def states(self, agents: Any, epoch: int) -> Any:
        return {"a": {"balance": 1_000}, "b": {"balance": 1_000 if len(self._looks) <= 1 else 1_007}}


def seen(undone: int, undecided: tuple[str, ...] = (), has_undone: bool = False, is_paused: bool = False) -> CutSteps:
    return CutSteps(undone, 0, undecided, is_paused, has_undone)


async def test_what_is_undone_at_one_agent_and_not_yet_at_another_is_waited_for() -> None:
    waits, done = {"a": seen(3), "b": seen(0, ("p/1",))}, {"a": seen(3), "b": seen(2)}
    looks = [
        {"a": seen(0, ("p/1",)), "b": seen(0, ("p/1",))}, waits,  # it has come to `a` between the two
        waits, {"a": seen(3, has_undone=True), "b": seen(0, ("p/1",))},  # `a` had it before both
        waits | {"a": seen(3, is_paused=True)}, waits | {"a": seen(3, is_paused=True)},
        done, done,
    ]  # fmt: skip
    async with Cluster("local") as cluster:
        await accounts(cluster)
        await cluster.checkpoint()
        torn = Torn(cluster, looks)
        assert await check_cut(torn, [MONEY]) == []  # type: ignore[arg-type]
        assert looks == []
        assert [ask.proposals for ask in torn.asked] == [(), ("p/1",), (), ("p/1",), (), ("p/1",), (), ()]


async def test_what_never_held_suspects_all_that_is_kept_and_64_steps_at_most() -> None:
    async with Cluster("local", checkpoints_kept=100) as cluster:
        await accounts(cluster)
        await cluster.submit("a", Pay("b", 13), *(Pay("b", 1) for _ in range(50)))
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        (found,) = await check_cut(cluster, [MONEY], epoch)
        assert (found.held, len(found.steps), found.left_out) == (None, 64, 2 * 51 - 64)
        assert [str(found.steps[at]) for at in (0, 31, 32, 63)] == ["a/1/20", "a/1/51", "b/1/20", "b/1/51"]


class Slow(Account):
    overseers = (Overseer("boss"),)


async def test_a_rollback_that_waits_for_a_person_holds_no_check_up() -> None:
    async with Cluster("local", agents_per_actor=1) as cluster:
        await cluster.spawn("a", Account)
        await cluster.spawn("b", Slow)
        await cluster.submit("a", Pay("b", 5))
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        undoing = asyncio.ensure_future(cluster.rollback("a/1/1", inputs="discard"))
        while not await cluster.inbox():
            await asyncio.sleep(0.01)
        assert await check_cut(cluster, [MONEY], epoch) == []
        undoing.cancel()


async def test_a_check_that_raises_or_hangs_is_what_was_found_and_harms_nobody() -> None:
    def raises(states: Any) -> bool:
        return states["a"]["nothing"]

    def hangs(states: Any) -> bool:
        time.sleep(1)
        return True

    async def slow(states: Any) -> bool:
        return True

    async with Cluster("local", checkpoints_kept=100) as cluster:
        await accounts(cluster)
        with pytest.raises(CallerError, match="none is committed yet"):
            await check_cut(cluster, [MONEY])
        await cluster.checkpoint()
        wrong = [
            Invariant("raises", raises, ("a",)),
            Invariant("hangs", hangs, ("a",), limit_s=0.05),
            Invariant("says nothing", lambda states: None, ("a",)),
            Invariant("is async", slow, ("a",)),
        ]
        found = await check_cut(cluster, [*wrong, MONEY], raise_to="guard")
        assert [each.is_error for each in found] == [True] * 4
        assert [each.steps for each in found] == [()] * 4
        whys = [each.why for each in found]
        assert whys[0] == "its check has raised KeyError: 'nothing'"
        assert whys[1] == "its check has not answered within 0.05 s"
        assert "neither True nor why" in whys[2]
        with pytest.raises(CallerError, match="checkpoint 7 can't be looked at: those from 1 to 1 can be"):
            await check_cut(cluster, [MONEY], 7)


async def test_states_at_the_oldest_checkpoint_can_be_read_and_those_before_it_not(tmp_path: Path) -> None:
    async with Cluster("local", agents_per_actor=1, checkpoints_kept=2, folder=tmp_path) as cluster:
        await accounts(cluster)
        for amount in (1, 2, 3, 4):
            await cluster.submit("a", Pay("b", amount))
            await cluster.quiet()
            await cluster.checkpoint()
        await cluster.submit("a", Pay("b", 5))
        await cluster.spawn("late", Account)
        await cluster.submit("late", Pay("a", 7))
        await cluster.quiet()
        known = await cluster.epochs()
        for epoch in range(known.horizon, known.committed + 1):
            states = await cluster.states(("a", "b", "late"), epoch)
            assert states["a"]["sent"] == states["b"]["received"] == sum(range(1, epoch + 1))
            # Whether it has begun before the cut or after, what it has sent is on its way, or it has sent nothing.
            assert states["late"] in ({}, {"balance": 993, "sent": 7})
        with pytest.raises(CallerError, match="is compacted at a"):
            await cluster.states(("a", "b"), known.horizon - 1)
