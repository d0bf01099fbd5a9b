"""Agents that speak through a database, in worlds: who has read what is undone is undone with it (SH-5)."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from peer import Agent, Call, Context, Happened, NotHappened, handles, tool
from peer.agents.outside import Outside
from peer.host.barrier import Barrier
from protocol.message import Sync
from sims.faults import AnyFault, Crash, Delay, Duplicate, Loss, Partition
from sims.runs.scenario import HOST_LIMITS
from sims.virtual.chance import Uniform
from sims.world import World

TABLE: dict[str, list[tuple[str, int]]] = {}
"""Stands for a database: by key, what stands there, by intent, and which input it is of."""
KEYS = ("tea", "oil", "salt")
DOWN: list[str] = []
"""Keys under which nothing can be undone for now."""


@pytest.fixture(autouse=True)
def _outside(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(100, "ebbtide")
    TABLE.clear()
    DOWN.clear()
    TABLE.update({key: [] for key in KEYS})


def take_out(call: Call) -> None:
    if call.args[0] in DOWN:
        raise ConnectionError("down")
    TABLE[call.args[0]] = [row for row in TABLE[call.args[0]] if row[0] != call.intent]


def is_there(call: Call) -> Happened | NotHappened:
    return Happened() if any(row[0] == call.intent for row in TABLE[call.args[0]]) else NotHappened()


@tool(undo=take_out, check=is_there, writes={"table": lambda key, number: key})
def put_in(key: str, number: int, *, intent: str) -> None:
    TABLE[key].append((intent, number))


@tool(kind="pure", reads={"table": lambda key: key})
def look(key: str) -> list[int]:
    return [number for _, number in TABLE[key]]


class Writer(Agent):
    """Writes each number under one of the keys, in a step or two."""

    @handles(int)
    async def write(self, message: int, ctx: Context) -> None:
        await ctx.call(put_in, KEYS[message % len(KEYS)], message)
        if message % 2:
            await asyncio.sleep(0.05)  # what it wrote is there to see, and this step is not over
        self.state["wrote", message] = True
        if message % 5 == 0:
            await ctx.call(put_in, KEYS[(message + 1) % len(KEYS)], message)


class Reader(Agent):
    """Looks at a key, and remembers what it saw."""

    def __init__(self, to: str = "") -> None:
        self.to = to

    @handles(str)
    async def read(self, message: str, ctx: Context) -> None:
        self.state["seen", message] = (await ctx.call(look, message), ctx.attempt)
        if self.to:
            ctx.send(self.to, message)


def world_of(seed: int, faults: list[AnyFault], **options: object) -> World:
    world = World(
        seed=seed, hosts=4, faults=faults, host_limits=HOST_LIMITS, **options,  # type: ignore[arg-type]
    )  # fmt: skip
    world.spawn("ann", Writer, host="host-1")
    world.spawn("bob", Writer, host="host-2")
    world.spawn("carl", Reader, to="dora", host="host-3")
    world.spawn("dora", Reader, host="host-4")
    return world


def stale(world: World) -> list[str]:
    """Return which of the readers still know what does not stand."""
    found: list[str] = []
    for name in ("carl", "dora"):
        for key, (numbers, _) in world.state(name).items():
            standing = {number for _, number in TABLE[key[1]]}
            found += [f"{name} has seen {number} under {key[1]}" for number in numbers if number not in standing]
    return found


def played(seed: int, faults: list[AnyFault], **options: object) -> tuple[list[str], int]:
    """Play a world in which steps of writers are undone; return what is wrong, and how many of readers were."""
    rng = Random(seed)
    with world_of(seed, faults, **options) as world:
        for number in range(12):
            world.submit(rng.choice(("ann", "bob")), number, at=0.15 * number + rng.random() / 10)
            world.submit(rng.choice(("carl", "dora")), rng.choice(KEYS), at=0.15 * number + rng.random() / 10)
        for at in (0.6, 1.1, 1.7):
            world.run(until=at)
            steps = [step for name in ("ann", "bob") for step in world.steps_of(name)]
            standing = [step for step in steps if step not in world.retracted_by()]
            if standing:
                world.propose(rng.choice(standing[-4:]), inputs="discard")
        world.run(until=4.0)
        world.settle()
        world.check()
        undone = [step for step in world.retracted_by() if step.agent in ("carl", "dora")]
        return stale(world), len(undone)


def faults_of(seed: int) -> list[AnyFault]:
    return [
        Delay(Uniform(0, 50_000), until=3.0),
        Loss(0.1, until=2.5),
        Duplicate(0.1, until=2.5),
        Crash("host-1", at=0.5 + 0.1 * (seed % 7), restart_after=0.2),
        Crash("host-3", at=1.5 - 0.1 * (seed % 9), restart_after=0.2),
        Partition(("host-4",), at=0.8 + 0.05 * (seed % 5), heal=1.6),
    ]


@pytest.mark.parametrize("seed", range(16))
def test_sh5_nobody_keeps_what_it_has_read_of_an_undone_step(seed: int) -> None:
    wrong, _ = played(seed, [Delay(Uniform(0, 50_000), until=3.0)])
    assert wrong == []


@pytest.mark.parametrize("seed", range(16))
def test_sh5_nor_where_messages_are_lost_and_hosts_end(seed: int) -> None:
    wrong, _ = played(seed, faults_of(seed), checkpoint_every=0.3)
    assert wrong == []


def test_sh5_some_readers_are_undone_and_some_are_not() -> None:
    undone = [played(seed, [Delay(Uniform(0, 50_000), until=3.0)])[1] for seed in range(8)]
    assert min(undone) < max(undone)


async def _call(self: Outside, tool: Any, args: Any, kwargs: Any, call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


async def _do_not_wait(self: Barrier, space: str) -> None:
    return


def _hold_nothing(self: Barrier, message: Sync, again: Callable[[], None]) -> bool:
    return False


@pytest.mark.parametrize(
    ("owner", "name", "instead"),
    [(Outside, "around", _call), (Barrier, "caught_up", _do_not_wait)],
    ids=["not noted", "not waited for"],
)
def test_sh5_without_a_part_of_it_somebody_keeps_what_is_undone(
    owner: type, name: str, instead: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, instead)
    assert any(played(seed, [Delay(Uniform(0, 50_000), until=3.0)])[0] for seed in range(24))


def test_sh5_who_reads_beside_a_step_that_is_not_over_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen() -> list[str]:
        with world_of(1, []) as world:
            world.submit("dora", "oil")
            world.settle()
            now = world.now
            world.submit("ann", 3, at=now + 0.1)
            world.submit("dora", "tea", at=now + 0.12)
            world.settle()
            assert world.rollback("ann/1/1", inputs="discard").committed
            world.settle()
            return stale(world)

    assert seen() == []
    monkeypatch.setattr(Barrier, "holds", _hold_nothing)
    assert seen() == ["dora has seen 3 under tea"], "it would not know whose it was"


def test_sh5_who_reads_before_an_undo_has_come_through_waits_for_that() -> None:
    with world_of(1, []) as world:
        world.submit("ann", 3)
        world.settle()
        DOWN.append("tea")
        now = world.now
        world.propose("ann/1/1", inputs="discard")
        world.submit("dora", "tea", at=now + 0.3)
        world.run(until=now + 1.0)
        assert world.state("dora") == {}
        DOWN.clear()
        world.settle()
        assert world.state("dora") == {("seen", "tea"): ([], 1)}


def test_sh5_who_does_not_answer_is_waited_for_no_longer_than_a_while_and_that_is_told() -> None:
    with world_of(1, []) as world:
        world.submit("dora", "oil")
        world.settle()
        world.partition("host-1")
        world.submit("dora", "tea")
        world.run(until=world.now + 4.0)
        assert ("seen", "tea") not in world.state("dora")
        world.run(until=world.now + 10.0)
        assert world.state("dora")["seen", "tea"] == ([], 1)
        host = world.engine.boxes["host-4"].host
        assert host is not None
        unsure = [notice for notice in host.notices if notice.notice == "outside-unsure"]
        assert [notice.subject for notice in unsure] == ["table", "table"]
        assert "ann did not say" in unsure[0].detail


def held(world: World) -> dict[str, int]:
    """Return how many entries each agent holds."""
    return {name: len(list(world.machine(name).core.versions.all_entries())) for name in world.agents}


def test_sh5_what_is_settled_is_forgotten() -> None:
    with world_of(1, []) as world:
        for number in range(6):
            world.submit("ann", number)
        world.settle()
        assert held(world) == dict.fromkeys(world.agents, 8)
        for _ in range(6):
            world.checkpoint()
        world.settle()
        assert held(world) == dict.fromkeys(world.agents, 0)
