"""Groups in worlds: what several agents request is let go by all of them, or by none (RQ-4)."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from peer import Agent, Call, Context, Group, Happened, NotHappened, Result, handles, tool
from protocol.agent.grouping import Grouping, _Group
from sims.faults import AnyFault, Crash, Death, Delay, Duplicate, KillAtStep, Loss, Partition
from sims.runs.scenario import HOST_LIMITS
from sims.virtual.chance import Uniform
from sims.world import World

pytestmark = pytest.mark.usefixtures("quiet")

POST: list[tuple[str, str, str]] = []
"""What has left: of which group, by whom, with which intent. Nobody can call it back."""
MEMBERS = ("ann", "bob", "carl")


@pytest.fixture(autouse=True)
def _outside() -> None:
    POST.clear()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(100, "ebbtide")


def was_done(call: Call) -> Happened | NotHappened:
    return Happened("done") if any(each[2] == call.intent for each in POST) else NotHappened()


@tool(kind="irreversible", check=was_done)
def deliver(group: str, who: str, *, intent: str) -> str:
    POST.append((group, who, intent))
    return "done"


@dataclass
class Part:
    number: int
    group: Group


class Maker(Agent):
    """Makes a group for each number, and tells its members."""

    def __init__(self, members: tuple[str, ...] = MEMBERS, deadline: float | None = None) -> None:
        self.members = members
        self.deadline = deadline

    @handles(int)
    async def make(self, message: int, ctx: Context) -> None:
        group = ctx.group("all", self.members, deadline=self.deadline)
        self.state[group.id] = message
        for member in self.members:
            ctx.send(member, Part(message, group))


class Member(Agent):
    """Requests its part; the one that is `unwilling` calls every third off."""

    def __init__(self, unwilling: bool = False) -> None:
        self.unwilling = unwilling

    @handles(Part)
    async def take(self, message: Part, ctx: Context) -> None:
        ctx.request(deliver, message.group.id, ctx.agent, then=self.ended, key=message.group.id, group=message.group)
        if self.unwilling and message.number % 3 == 2:
            ctx.after(0.05, message.group.id)

    @handles(str)
    async def call_off(self, message: str, ctx: Context) -> None:
        ctx.cancel(message)

    async def ended(self, result: Result, ctx: Context) -> None:
        self.state["end", result.args[0]] = result.value if result.happened else result.error


def world_of(seed: int, faults: list[AnyFault], **options: object) -> World:
    world = World(
        seed=seed,
        hosts=4,
        faults=faults,
        host_limits=HOST_LIMITS,
        replicas=1,
        successor=0.3,
        **options,  # type: ignore[arg-type]
    )
    world.spawn("maker", Maker, host="host-1")
    for at, name in enumerate(MEMBERS, 2):
        world.spawn(name, Member, unwilling=name == "bob", host=f"host-{at}")
    return world


class Parted(AssertionError):
    """Some members have delivered, and others have not."""


def together() -> dict[str, set[str]]:
    """Return who has delivered, by group, and check that nobody has twice."""
    found: dict[str, set[str]] = {}
    for group, who, _ in POST:
        assert who not in found.setdefault(group, set()), f"{who} has delivered twice in {group}"
        found[group].add(who)
    return found


def ended(world: World) -> None:
    """Let all groups come to their ends, and check that those are the same at all members."""
    for _ in range(4):
        world.checkpoint()
        world.settle()
        world.run(until=world.now + 4.0)
    groups = together()
    if any(who != {*MEMBERS} for who in groups.values()):
        raise Parted(groups)
    world.settle()
    world.check()
    for name in MEMBERS:
        ends = {key[1]: said for key, said in world.state(name).items() if key[0] == "end"}
        assert {group for group, said in ends.items() if said == "done"} == groups.keys()
        assert all(said == "done" or "is let go: bob says no" in said for said in ends.values() if said), ends


def faults_of(seed: int) -> list[AnyFault]:
    return [
        Loss(0.15, until=2.5),
        Duplicate(0.15, until=2.5),
        Crash("host-2", at=0.3 + 0.09 * (seed % 9), restart_after=0.2),
        Crash("host-3", at=1.4 - 0.06 * (seed % 11), restart_after=0.2),
        KillAtStep("carl", 1 + seed % 7, "asked" if seed % 2 else "durable"),
        Partition(("host-4",), at=0.9 + 0.05 * (seed % 5), heal=1.9),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_rq4_all_members_deliver_or_none_however_hosts_end(seed: int) -> None:
    with world_of(seed, faults_of(seed), checkpoint_every=0.2) as world:
        for number in range(6):
            world.submit("maker", number, at=0.2 * number)
        world.propose("maker/1/4", at=0.75, inputs="discard" if seed % 2 else "retry")
        world.run(until=4.0)
        ended(world)
        standing = [key for key, number in world.state("maker").items() if number % 3 != 2]
        assert {*standing} <= together().keys(), "nobody has said no"


@pytest.mark.parametrize("seed", range(8))
def test_rq4_the_successor_of_a_member_that_is_dead_for_good_says_what_it_has_said(seed: int) -> None:
    with world_of(seed, [], checkpoint_every=0.2) as world:
        for _ in range(3):
            world.checkpoint()
        now = world.now
        world.fail(Death("host-4", at=now + 0.1 + 0.07 * seed))
        for number in range(6):
            world.submit("maker", number, at=now + 0.1 * number)
        world.run(until=now + 6.0)
        world.settle()
        assert world.bites()[0][1] == 1
        ended(world)
        assert len(together()) >= 4
        assert world.engine.homes["carl"] != "host-4"


def test_rq4_a_member_that_is_cut_off_waits_and_comes_to_the_same_end() -> None:
    between: list[set[str]] = []
    for seed in range(18, 24):
        POST.clear()
        with world_of(seed, []) as world:
            world.submit("maker", 1)
            world.settle()
            begins = world.now + 0.1 + 0.005 * seed
            world.fail(Partition(("host-4",), at=begins, heal=begins + 3.0))
            world.checkpoint()
            world.run(until=begins + 2.9)
            between.append(next(iter(together().values()), set()))
            ended(world)
            assert len(together()) == 1
    assert {"ann", "bob"} in between, "in one of them they have heard from carl, and carl not from them"
    assert {*MEMBERS} in between, "it was not always too late"


def test_rq4_a_deadline_ends_what_a_member_never_asks_in() -> None:
    with world_of(1, []) as world:
        world.spawn("other", Maker, members=(*MEMBERS, "maker"), deadline=3.0)
        world.submit("other", 1)
        world.submit("maker", 1)
        world.settle()
        world.checkpoint()
        world.run(until=world.now + 2.0)
        assert len(together()) == 1
        world.run(until=world.now + 3.0)
        world.settle()
        for name in MEMBERS:
            ends = [said for key, said in world.state(name).items() if key[0] == "end"]
            assert sorted(said.partition(" is let go: ")[2] for said in ends) == [
                "",
                "maker says no: maker was not ready in time",
            ]
        assert len(together()) == 1
        world.check()


def goes_without_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Group, "is_decided_by", lambda self, votes: any(votes.values()) or len(votes) > 1)


def what_is_ready_is_undone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Grouping, "binds", lambda self, group, lineage: False)


def play(seed: int) -> None:
    """Undo members' steps while groups are decided, by frames so slow that much happens between a vote and the end."""
    POST.clear()
    with world_of(seed, [Delay(Uniform(50_000, 300_000), until=3.0)], checkpoint_every=0.15) as world:
        for number in range(8):
            world.submit("maker", number, at=0.1 * number)
            world.propose(f"carl/1/{number + 1}", at=0.7 + 0.1 * number + 0.02 * (seed % 15), inputs="discard")
        world.run(until=4.0)
        ended(world)


@pytest.mark.parametrize("seed", range(4))
def test_rq4_steps_are_undone_while_groups_are_decided(seed: int) -> None:
    play(seed)


@pytest.mark.parametrize("mutate", [goes_without_all, what_is_ready_is_undone])
def test_rq4_switched_off_is_noticed_by_worlds(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    for seed in range(40):
        try:
            play(seed)
        except Parted:
            return
    pytest.fail("no world has noticed")
