"""Agents that handlers make and retire, in whole worlds (NA-1)."""

from random import Random

import pytest

from peer import Agent, Context, every, handles
from peer.agents.kinds import path_of
from peer.agents.making import Making, made_options
from peer.errors import CallerError, NotUp
from protocol.ids import StepId
from sims.faults import Crash, Death, Duplicate, KillAtStep, Loss, Partition, Reorder
from sims.runs.scenario import HOST_LIMITS
from sims.world import World

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet(caplog):
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")


class Worker(Agent):
    """Does what its maker sends it, and says so."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor

    @handles(int)
    async def work(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message * self.factor
        ctx.send("ledger", f"{ctx.agent}:{message}")


class Clerk(Agent):
    """Is made, and looks at the time."""

    @every(1.0)
    async def tick(self, ctx: Context) -> None:
        self.state["ticks"] = self.state.get("ticks", 0) + 1


class Foreman(Worker):
    """Makes an agent for each name that it is told, with work; `-name` retires one."""

    @handles(str)
    async def told(self, message: str, ctx: Context) -> None:
        if message.startswith("-"):
            ctx.retire(message[1:])
            return
        name = ctx.spawn(message, Clerk if message.startswith("clerk") else Worker, **self.options(ctx, message))
        if not message.startswith("clerk"):
            ctx.send(name, 1)
            ctx.send(name, 2)

    def options(self, ctx: Context, message: str) -> dict[str, int]:
        return {} if message.startswith("clerk") else {"factor": 10 * ctx.attempt}


class Ledger(Agent):
    """Counts what it is told."""

    @handles(str)
    async def told(self, message: str, ctx: Context) -> None:
        self.state[message] = self.state.get(message, 0) + 1


def world_of(seed: int = 0, **options: object) -> World:
    world = World(seed=seed, **options)  # type: ignore[arg-type]
    world.spawn("ledger", Ledger)
    world.spawn("anna", Foreman)
    world.spawn("bert", Foreman)
    return world


def step_that_made(world: World, maker: str, name: str) -> StepId:
    """Return the step that stands and has made an agent."""
    gone = world.retracted_by()
    made = [r.step for r in world.steps(maker) if r.step not in gone and any(o.receiver == name for o in r.outputs)]
    return made[0]


def test_na1_what_a_handler_makes_comes_up_on_some_host_and_handles_what_it_is_sent() -> None:
    with world_of(hosts=3) as world:
        for number in range(12):
            world.submit("anna", f"w{number}")
        world.settle()
        homes = world.engine.homes
        assert {homes[f"w{number}"] for number in range(12)} == {"host-1", "host-2", "host-3"}
        assert all(world.state(f"w{number}") == {"sum": 30} for number in range(12))
        assert len(world.state("ledger")) == 24
        world.check()


def test_na1_it_comes_up_again_with_its_host_and_goes_on() -> None:
    with world_of(hosts=3) as world:
        world.submit("anna", "w1")
        world.settle()
        for host in world.hosts:
            world.crash(host)
        world.submit("w1", 5)
        world.settle()
        assert world.state("w1") == {"sum": 80}
        world.check()


def test_na1_its_host_is_where_it_was_to_be_and_another_if_that_one_is_gone() -> None:
    for seed in range(6):
        with world_of(seed, hosts=3) as world:
            world.run(until=0.2)
            world.crash("host-2", restart_after=None)
            world.submit("anna", "w1")
            world.run(until=20.0)
            world.restart("host-2")
            world.settle()
            assert world.state("w1") == {"sum": 30}
            world.check()


def test_na1_whoever_undoes_the_step_that_made_it_undoes_all_that_it_did_and_ends_it() -> None:
    with world_of(hosts=2) as world:
        world.submit("anna", "w1")
        world.submit("bert", "w2")
        world.settle()
        outcome = world.rollback(step_that_made(world, "anna", "w1"), inputs="discard")
        world.settle()
        assert {step.agent for step in outcome.undone} == {"anna", "w1", "ledger"}
        assert world.state("w1") == {}
        assert world.state("ledger") == {"w2:1": 1, "w2:2": 1}
        world.submit("w1", 3)
        world.settle()
        assert world.state("w1") == {}
        assert [letter.why.partition(":")[0] for letter in world.machine("w1").core.dead] == ["AgentAbsent"]
        world.check()


def test_na1_a_re_run_makes_it_anew_as_it_says_now_and_what_came_meanwhile_is_handled() -> None:
    with world_of(hosts=2) as world:
        world.submit("anna", "w1")
        world.settle()
        world.rollback(step_that_made(world, "anna", "w1"), inputs="discard")
        world.submit("w1", 4)
        world.settle()
        assert len(world.machine("w1").core.dead) == 1
        world.submit("anna", "w1")
        world.settle()
        assert world.state("w1") == {"sum": 70}
        world.rollback(step_that_made(world, "anna", "w1"), inputs="retry")
        world.settle()
        assert world.state("w1") == {"sum": 140}, "made with twice the factor"
        assert world.state("ledger") == {"w1:1": 1, "w1:2": 1, "w1:4": 1}
        world.check()


def test_na1_a_name_that_is_taken_makes_nobody_and_whoever_waits_has_it_when_it_is_free() -> None:
    with world_of(hosts=2) as world:
        world.submit("anna", "w1")
        world.settle()
        world.submit("bert", "w1")
        world.settle()
        (letter,) = world.machine("w1").core.dead
        assert "there is an agent 'w1' already, which was made by anna/1/1: bert has made none" in letter.why
        assert world.state("w1") == {"sum": 60}
        world.rollback("anna/1/1", inputs="discard")
        world.settle()
        assert not world.machine("w1").core.dead
        assert world.state("w1") == {"sum": 30}, "what bert has sent"
        world.submit("anna", "bert")
        world.settle()
        assert "which was launched" in world.machine("bert").core.dead[0].why
        world.check()


def test_na1_a_retired_agent_handles_nothing_more_and_is_back_if_that_is_undone() -> None:
    with world_of(hosts=2) as world:
        world.submit("anna", "w1")
        world.submit("anna", "-w1")
        world.submit("bert", "-ledger")
        world.settle()
        before = world.state("ledger")
        world.submit("w1", 5)
        world.submit("ledger", "late")
        world.settle()
        assert world.state("w1") == {"sum": 30}
        assert world.state("ledger") == before
        assert "w1 was retired by anna/1/2. To have it back, undo that step." in world.machine("w1").core.dead[0].why
        for host in world.hosts:
            world.crash(host)
        world.rollback("anna/1/2", inputs="discard")
        world.rollback("bert/1/1", inputs="discard")
        world.settle()
        assert world.state("w1") == {"sum": 80}
        assert world.state("ledger") == {"w1:1": 1, "w1:2": 1, "w1:5": 1, "late": 1}
        world.check()


def test_na1_methods_that_run_every_so_often_begin_and_end_with_their_agent() -> None:
    with world_of(hosts=2) as world:
        world.submit("anna", "clerk-1")
        world.run(until=10.5)
        ticks = world.state("clerk-1")["ticks"]
        assert 8 <= ticks <= 11
        world.submit("anna", "-clerk-1")
        world.run(until=20.5)
        retired = world.state("clerk-1")["ticks"]
        assert ticks <= retired <= ticks + 1
        assert not world.machine("clerk-1").core.dead
        world.rollback("anna/1/2", inputs="discard")
        world.run(until=world.now + 10.0)
        assert world.state("clerk-1")["ticks"] >= retired + 8
        world.check()


class Wrong(Foreman):
    """Makes agents in ways that can't be."""

    @handles(tuple)
    async def wrongly(self, message: tuple[str], ctx: Context) -> None:
        wanted = [("no name", Worker), ("bert", str), ("wrong", Worker), ("", Worker), ("w", Agent)]
        for number, (name, kind) in enumerate(wanted):
            try:
                ctx.spawn(name, kind)
            except CallerError as error:
                self.state[number] = str(error)
        try:
            ctx.spawn("w2", Worker, factor=object())
        except CallerError as error:
            self.state["option"] = str(error)


def test_what_can_not_be_made_is_refused_in_the_handler() -> None:
    with world_of(hosts=1) as world:
        world.spawn("wrong", Wrong)
        world.submit("wrong", ("x",))
        world.settle()
        said = world.state("wrong")
        assert len(said) == 6
        assert all("othing was" in text or "Nothing was" in text for text in said.values()), said
        assert "is no subclass of ebbtide.Agent" in said[1]
        assert "own name" in said[2]


def propose_some(world: World, chance: Random) -> None:
    """Have a few of the steps that have made agents undone, within a second."""
    for maker in ("anna", "bert"):
        gone = world.retracted_by()
        made = [record.step for record in world.steps(maker) if record.step not in gone]
        for step in chance.sample(made, min(2, len(made))):
            world.propose(step, at=world.now + chance.uniform(0.0, 1.0), inputs=chance.choice(["retry", "discard"]))


@pytest.mark.parametrize("seed", range(12))
def test_children_and_what_they_did_are_as_their_makers_say_under_every_kind_of_fault(seed: int) -> None:
    chance = Random(seed)
    faults = [
        Loss(0.1, until=3.0),
        Duplicate(0.1, until=3.0),
        Reorder(0.2, until=3.0),
        Partition(("host-1",), at=0.3, heal=0.9),
        Crash("host-2", at=chance.uniform(0.1, 1.5), restart_after=0.2),
        Crash("host-3", at=chance.uniform(0.1, 1.5), restart_after=0.5),
        KillAtStep("anna", chance.randrange(1, 5), chance.choice(["asked", "durable"])),
        KillAtStep("w1", 1, chance.choice(["asked", "durable"])),
    ]
    with world_of(seed, hosts=3, faults=faults, checkpoint_every=chance.choice([0.0, 0.5])) as world:
        names = [f"w{number}" for number in range(8)]
        for name in names:
            world.submit(chance.choice(["anna", "bert"]), name, at=chance.uniform(0.0, 1.5))
        world.run(until=1.6)
        propose_some(world, chance)
        world.settle()
        world.check()
        stands = world.retracted_by()
        made = {
            output.receiver: record.input.attempt
            for maker in ("anna", "bert")
            for record in world.steps(maker)
            if record.step not in stands
            for output in record.outputs
            if output.receiver in names
        }
        expected = {f"{name}:{number}": 1 for name in made for number in (1, 2)}
        assert world.state("ledger") == expected
        for name in names:
            assert (world.state(name) if name in world.agents else {}) == (
                {"sum": 30 * made[name]} if name in made else {}
            )


@pytest.mark.parametrize("seed", range(8))
def test_what_is_made_outlives_hosts_and_disks(seed: int) -> None:
    chance = Random(seed)
    has_death = seed % 2 == 0
    worst = (
        Death(f"host-{chance.randrange(2, 5)}", chance.uniform(0.5, 2.0))
        if has_death
        else Crash("host-2", at=chance.uniform(0.5, 2.5), restart_after=0.3, disk="lost", keep=chance.random())
    )
    faults = [Loss(0.05, until=3.0), Partition(("host-1",), at=0.6, heal=0.9), worst]
    with world_of(
        seed, hosts=4, faults=faults, replicas=1, successor=0.5, host_limits=HOST_LIMITS, checkpoint_every=0.4
    ) as world:
        names = [f"w{number}" for number in range(6)]
        for name in names:
            for _ in range(chance.choice([1, 1, 2])):
                world.submit(chance.choice(["anna", "bert"]), name, at=chance.uniform(0.0, 2.0))
        world.run(until=2.1)
        propose_some(world, chance)
        world.settle()
        world.check()
        if has_death:
            gone = world.retracted_by()
            made = {
                output.receiver
                for maker in ("anna", "bert")
                for record in world.steps(maker)
                if record.step not in gone
                for output in record.outputs
            }
            assert {name for name in names if name in world.agents and world.state(name)} == made & set(names)


def test_na1_nobody_is_brought_up_before_all_hosts_are_heard_of_that_may_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with world_of(hosts=3) as world:
        world.settle()
        world.checkpoint()
        host = world.engine.boxes["host-1"].host
        assert host is not None
        making = Making(path_of(Worker), made_options({}), "")
        with monkeypatch.context() as patch:
            patch.setattr(host, "known_hosts", lambda: [])
            with pytest.raises(NotUp, match="nothing is known of hosts"):
                host.births.begin("w1", making, lambda body, error: None)
        answers: list[str] = []
        host.births.begin("w1", making, lambda body, error: answers.append(error))
        world.settle()
        assert answers == [""]
        assert world.engine.homes["w1"] == "host-1"
