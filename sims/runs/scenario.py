"""A world's whole script as a value: what a seed decides before anything runs, how it is played, and judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import msgspec
from msgspec import Struct

from protocol.limits import HostLimits, Limits
from sims import faults
from sims.engine.habits import DATES, HABITS, NAMES
from sims.faults import Fault
from sims.runs import people, script
from sims.runs.liars import Liars, LiarsWorld
from sims.topology import TOPOLOGIES
from sims.virtual.chance import AnySpread, Constant, Exponential, LogNormal, Pareto, Uniform, stream
from sims.workload import Burst, ClosedLoop, Periodic, Poisson, Work, Workload
from sims.world import World

HORIZON_S = 1.0
"""Virtual seconds in which inputs come, rollbacks are proposed and faults happen; then everything must end."""
SETTLE_S = 60.0
"""Virtual seconds; the slowest of thousands of seeds took 10."""
LIMITS = Limits(
    resend_us=50_000, resend_us_max=400_000, ask_us=50_000, ask_us_max=400_000, failure_wait_us=5_000, failures_max=4,
    undo_wait_us=5_000, order_wait_us=2_000_000, effect_wait_us=20_000_000,
)  # fmt: skip
"""Shorter waits than a real cluster's: more happens in a second."""
HOST_LIMITS = HostLimits(probe_us=60_000, probe_timeout_us=25_000, gossip_us=10_000, repair_us=60_000)
"""The same; a dead host is found in some 0.4 s."""


class Scenario(Struct, frozen=True):
    """One world, from its first input to its last fault."""

    seed: int
    preset: str = "calm"
    hosts: int = 3
    agents_per_host: int = 2
    topology: str = "random-regular"
    workload: Workload = Workload()
    rollbacks: int = 2
    faults: tuple[Fault, ...] = ()
    delay: AnySpread = Uniform(100, 2000)
    sync: AnySpread = Uniform(100, 1000)
    checkpoint_every: float = 0.0
    """Seconds between coordinated checkpoints; 0: none."""
    checkpoints_kept: int = 4
    restores: int = 0
    buddies: int = 0
    """Hosts that keep copies of a host's logs; with any, failed hosts are found fast."""
    successor: float = 0.4
    """Seconds that one must have failed before it is succeeded: longer than restarts take."""
    replicated: bool = False
    """Every record is with the backups before anything follows from it."""
    people: bool = False
    """Agents ask people before they have something done, and have overseers."""
    moves: int = 0
    """How many agents are moved to other hosts, by hand."""
    liars: int = 0
    """How many hosts lie: see `sims.runs.liars`."""
    habits: tuple[str, ...] = ()
    """How they lie; empty: as the seed wants."""
    dies: bool = False
    """Whether an honest host among them ends for good."""
    contact: float = 0.3
    """Share of honest agents that write to a liar's."""
    last: float = 0.0
    """When each agent gets one more input, after all that goes wrong; 0: none does."""

    def to_json(self) -> str:
        """Return it as JSON."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True)
class Result:
    """What came of one scenario."""

    scenario: Scenario
    invariant: str
    """The invariant that does not hold, or what was raised; empty if all is well."""
    failure: str
    """The same, with what breaks it."""
    hash: str
    steps: int
    undone: int
    events: int
    bites: tuple[int, ...]
    """By fault, how often it has happened."""

    @property
    def seed(self) -> int:
        """The scenario's seed."""
        return self.scenario.seed


def world_of(scenario: Scenario, checking: str = "each") -> World:
    """Build a scenario's world: agents, inputs, rollbacks and faults, with nothing begun yet."""
    checking = "end" if scenario.liars else checking  # they are judged otherwise
    world = (LiarsWorld if scenario.liars else World)(
        scenario.seed, scenario.hosts, scenario.agents_per_host, scenario.topology, delay=scenario.delay,
        sync=scenario.sync, limits=LIMITS, checkpoint_every=scenario.checkpoint_every,
        checkpoints_kept=scenario.checkpoints_kept, checking=checking, replicas=scenario.buddies,
        successor=scenario.successor, host_limits=HOST_LIMITS if scenario.buddies else None,
        replicated=scenario.replicated,
    )  # fmt: skip
    if isinstance(world, LiarsWorld):
        cuts = scenario.checkpoint_every > 0
        liars = Liars(world, scenario.liars, scenario.habits, scenario.seed % 3 == 0, cuts)
        liars.populate(scenario.workload, scenario.topology, scenario.contact)
        for number in range(scenario.rollbacks):
            liars.propose(number, HORIZON_S, SETTLE_S)
        for number in range(scenario.restores):
            liars.restore(number, HORIZON_S, SETTLE_S)
        for number in range(scenario.moves):
            liars.move(number, HORIZON_S, SETTLE_S)
        if scenario.dies:
            liars.die(HORIZON_S)
        world.fail(*scenario.faults)
        return world
    if scenario.people:
        people.populate(world, scenario.workload, scenario.topology)
    else:
        world.populate(scenario.workload)
    for number in range(scenario.rollbacks):
        script.propose(world, number, HORIZON_S, SETTLE_S)
    for number in range(scenario.restores):
        script.restore(world, number, HORIZON_S, SETTLE_S)
    for number in range(scenario.moves):
        script.move(world, number, HORIZON_S, SETTLE_S)
    for agent in world.agents if scenario.last else ():
        world.submit(agent, Work(1), at=scenario.last)
    world.fail(*scenario.faults)
    return world


def play(scenario: Scenario, world: World | None = None) -> Result:
    """Play a scenario to its end and judge it; `world` may be given, not begun, to be looked at afterwards."""
    given, invariant, failure = world is not None, "", ""
    world = world or world_of(scenario)
    try:
        world.run(until=HORIZON_S)
        world.engine.weather.calm()
        world.settle(SETTLE_S)
        world.check()
    except AssertionError as error:
        failure = str(error) or "an assertion of a machine"
        invariant = getattr(error, "invariant", failure)
    except Exception as error:  # noqa: BLE001  # a world that raises has failed, whatever it raises
        failure = f"{type(error).__name__}: {error}"
        invariant = type(error).__name__
    result = Result(
        scenario, invariant, failure, world.trace_hash(), len(world.steps()), len(world.retracted_by()),
        world.engine.trace.events, tuple(world.engine.weather.bites),
    )  # fmt: skip
    if not given:
        world.close()
    return result


# -- presets ----------------------------------------------------------------------------------------------------------

PRESETS: dict[str, tuple[str, Callable[[int], Scenario]]] = {}
"""By name: what it is for people, and how it is drawn from a seed."""
OLD_NAMES = {"heirs": "successors"}
"""By the name that a preset once had, its name."""


def preset(name: str, seed: int) -> Scenario:
    """Draw a scenario of a preset, also by a name that it once had.

    Raises: KeyError.
    """
    return PRESETS[OLD_NAMES.get(name, name)][1](seed)


def _any(seed: int, name: str, rng: Random, kinds: Sequence[str], count: int, losing: bool = False) -> Scenario:
    hosts, per_host = rng.choice((2, 3, 3, 4, 6)), rng.choice((1, 2, 2, 3))
    if "death" in kinds:
        hosts = max(3, hosts)
    names = [f"host-{number}" for number in range(1, hosts + 1)]
    agents = [f"a{number}" for number in range(hosts * per_host)]
    inputs = rng.randint(5, 40)
    workload = Workload(
        inputs=inputs,
        arrivals=rng.choice((Poisson(2 * inputs), Periodic(0.5 / inputs), Burst(8, 0.15), ClosedLoop(3, 0.01))),
        depth=rng.randint(1, 4),
        fan_out=rng.choice((1, 2, 2, 3)),
        keys=rng.choice((1, 2, 5)),
        shared=rng.choice((0.0, 0.0, 0.3, 0.6)),
        shared_keys=rng.choice((1, 3)),
        sharing=rng.choice((0.5, 1.0)),
        # What a lost disk knew of its effects, votes and cuts is damage until it is replicated; those worlds have none.
        calls=0.0 if losing else rng.choice((0.0, 0.2, 0.5)),
        failing=rng.choice((0.0, 0.02, 0.1)),
        thinking_us=rng.choice((0, 0, 3_000, 30_000)),
        payload=rng.choice((0, 20, 2_000)),
        rejects=rng.choice((0.0, 0.0, 0.1)),
    )
    return Scenario(
        seed=seed, preset=name, hosts=hosts, agents_per_host=per_host, topology=rng.choice(list(TOPOLOGIES)),
        workload=workload, rollbacks=0 if losing else rng.choice((0, 1, 2, 2, 4)),
        faults=tuple(faults.random(seed, names, agents, kinds=kinds, count=count, horizon=HORIZON_S)) if kinds else (),
        delay=rng.choice((Constant(300), Uniform(100, 2000), Exponential(1000), LogNormal(800), Pareto(300, 1.5))),
        sync=rng.choice((Constant(100), Uniform(100, 1000), LogNormal(500, 1.0))),
        checkpoint_every=0.0 if losing else rng.choice((0.0, 0.05, 0.2)),
        checkpoints_kept=rng.choice((1, 2, 4)),
        restores=0 if losing else rng.choice((0, 0, 1, 2)),
    )  # fmt: skip


def _add(name: str, about: str, kinds: Sequence[str], count: int, losing: bool = False) -> None:
    def draw(seed: int) -> Scenario:
        return _any(seed, name, stream(seed, f"preset/{name}"), kinds, count, losing)

    PRESETS[name] = (about, draw)


_add("calm", "nothing goes wrong but delays", (), 0)
_add("lossy", "frames are lost, doubled, late and out of order", ("loss", "duplicate", "reorder", "delay", "slow"), 4)
_add("partitions", "groups of hosts are parted, both ways and one way, and heal", ("partition", "slow", "loss"), 4)
_add("crashes", "hosts crash at any time and at the borders of steps and votes; disks fail", faults.CRASHES, 5)
_add("chaos", "everything of these at once, with wrong clocks and failing undos", faults.KINDS, 8)


def _deaths(seed: int) -> Scenario:
    rng = stream(seed, "preset/deaths")
    kinds = ("loss", "duplicate", "reorder", "crash", "kill-at-step", "death", "death", "death")
    drawn = _any(seed, "deaths", rng, kinds, 4)
    dying = faults.Death(f"host-{rng.randint(1, drawn.hosts)}", round(rng.uniform(0.2, 0.9), 4))
    return msgspec.structs.replace(
        drawn, faults=(*drawn.faults, dying), buddies=rng.choice((1, 2)), checkpoint_every=rng.choice((0.05, 0.1)),
        checkpoints_kept=rng.choice((2, 4)),
    )  # fmt: skip


PRESETS["deaths"] = ("hosts die for good, and are succeeded; others crash, frames are lost", _deaths)


def _thousand(seed: int) -> Scenario:
    workload = Workload(inputs=800, arrivals=Poisson(800.0), sharing=0.02, failing=0.0)
    return Scenario(
        seed=seed, preset="thousand", hosts=25, agents_per_host=40, workload=workload, rollbacks=4,
        checkpoint_every=0.15, restores=1,
    )  # fmt: skip


def _copies(seed: int) -> Scenario:
    rng = stream(seed, "preset/copies")
    drawn = _any(seed, "copies", rng, ("lost-disk", "lost-disk", "crash", *faults.NETWORK), 5)
    return msgspec.structs.replace(drawn, hosts=max(3, drawn.hosts), buddies=rng.choice((1, 2)), successor=1e6)


PRESETS["copies"] = ("disks lose what no other host has a copy of: rollbacks, tools, cuts and restores stand", _copies)


LAST_S = 6.0


def _replicated(seed: int) -> Scenario:
    rng = stream(seed, "preset/replicated")
    kinds = (*faults.NETWORK, "lost-disk", "lost-disk", "crash", "kill-at-step", "torn-write", "kill-during-rollback")
    drawn = _any(seed, "replicated", rng, kinds, 4)
    hosts = max(3, drawn.hosts)
    # One after the other, or at once; those that could not be succeeded are left out when their time comes.
    times = sorted(rng.choice((rng.uniform(0.2, 1.0), rng.uniform(1.0, LAST_S - 1))) for _ in range(rng.randint(1, 3)))
    deaths = tuple(faults.Death(f"host-{rng.randint(1, hosts)}", round(at, 4)) for at in times)
    return msgspec.structs.replace(
        drawn, hosts=hosts, faults=(*drawn.faults, *deaths), buddies=rng.choice((1, 2)), replicated=True,
        checkpoint_every=rng.choice((0.05, 0.1, 0.2)), checkpoints_kept=rng.choice((1, 2, 4)), last=LAST_S,
    )  # fmt: skip


PRESETS["replicated"] = (
    "every record is with the backups first: hosts die with their disks, and nothing is lost",
    _replicated,
)


def _successors(seed: int) -> Scenario:
    rng = stream(seed, "preset/heirs")
    drawn = PRESETS[rng.choice(("deaths", "replicated"))][1](seed)
    kills = faults.random(
        seed, [f"host-{number}" for number in range(1, drawn.hosts + 1)], ["a1"], kinds=("kill-during-succession",),
        count=3,
    )  # fmt: skip
    return msgspec.structs.replace(drawn, preset="successors", faults=(*drawn.faults, *kills))


PRESETS["successors"] = ("hosts die for good, and their successors crash while they take over", _successors)
PRESETS["thousand"] = ("a thousand agents on 25 hosts, with checkpoints, rollbacks and a restore", _thousand)
_add("losses", "disks lose the end of their logs, without rollbacks or tools", ("lost-disk", *faults.NETWORK), 3, True)


def _people(seed: int) -> Scenario:
    rng = stream(seed, "preset/people")
    kinds = (*faults.NETWORK, "crash", "kill-at-step", "torn-write", "kill-during-rollback", *faults.AT_WRITES)
    drawn = _any(seed, "people", rng, kinds, 4)
    # Dense: cones that come back to an agent while its overseer is asked.
    work = msgspec.structs.replace(
        drawn.workload, inputs=rng.randint(4, 16), depth=4, fan_out=3, keys=1, rejects=rng.choice((0.0, 0.0, 0.1)),
    )  # fmt: skip
    return msgspec.structs.replace(
        drawn, people=True, workload=work, rollbacks=rng.choice((4, 8)), checkpoint_every=rng.choice((0.05, 0.2)),
        restores=rng.choice((0, 0, 1)),
    )  # fmt: skip


PRESETS["people"] = ("agents ask people before they have something done, and before they undo it; hosts crash", _people)


def _moves(seed: int) -> Scenario:
    rng = stream(seed, "preset/moves")
    drawn = PRESETS[rng.choice(MOVING)][1](seed)
    hosts, agents = max(3, drawn.hosts), max(2, drawn.agents_per_host)
    kills = faults.random(seed, ["host-1"], ["a1"], kinds=("kill-during-move",), count=3)
    if drawn.preset == "copies":
        # Nobody is succeeded there.
        kills = [msgspec.structs.replace(kill, restart_after=0.1) for kill in kills]
    return msgspec.structs.replace(
        drawn, preset="moves", hosts=hosts, agents_per_host=agents, moves=rng.randint(2, 12),
        faults=(*drawn.faults, *(kills if rng.random() < 0.7 else ())),
    )  # fmt: skip


MOVING = (
    "lossy",
    "partitions",
    "crashes",
    "chaos",
    "deaths",
    "replicated",
    "replicated",
    "successors",
    "copies",
    "losses",
)
PRESETS["moves"] = ("agents move between hosts while any of these goes wrong, and hosts end in the midst of it", _moves)


def _liars(seed: int) -> Scenario:
    rng = stream(seed, "preset/liars")
    liars = rng.choice((1, 1, 1, 2))
    hosts, per_host = 3 * liars + 1 + rng.choice((0, 0, 1)), rng.choice((1, 1, 2))
    honest = [f"host-{number}" for number in range(1, hosts - liars + 1)]
    drawn = _any(seed, "liars", rng, (), 0)
    work = msgspec.structs.replace(
        drawn.workload, inputs=rng.randint(4, 20), depth=rng.randint(1, 3), shared=0.0, rejects=0.0,
        payload=rng.choice((0, 20)), arrivals=rng.choice((Poisson(40.0), Periodic(0.03), Burst(4, 0.15))),
    )  # fmt: skip
    kinds = ("loss", "duplicate", "reorder", "delay", "slow", "crash")
    count = rng.choice((0, 0, 1, 2))
    wrong = faults.random(seed, honest, ["a0"], kinds=kinds, count=count, horizon=HORIZON_S) if count else ()
    return msgspec.structs.replace(
        drawn, hosts=hosts, agents_per_host=per_host, workload=work, faults=tuple(wrong), restores=0,
        rollbacks=rng.choice((0, 2, 3)), checkpoint_every=0.0, liars=liars, contact=rng.choice((0.0, 0.2, 0.5)),
    )  # fmt: skip


PRESETS["liars"] = (
    "some hosts lie, withhold, forge, flood and say old things again; the others stand",
    _liars,
)


def _liars_checkpoints(seed: int) -> Scenario:
    rng = stream(seed, "preset/liars-checkpoints")
    drawn = PRESETS["liars"][1](seed)
    # Who is out says nothing any more, also of cuts: in most of these worlds nobody lies so that it is put out.
    untold = [habit for habit in HABITS if habit != "equivocates"]
    habits = (*rng.sample(untold, rng.randint(1, 4)), *rng.sample((NAMES, DATES), rng.randint(0, 2)))
    buddies = rng.choice((0, 0, 1, 2))
    moves = rng.choice((0, 0, 0, 2, 4))
    dies = buddies > 0 and rng.random() < 0.5
    return msgspec.structs.replace(
        drawn, preset="liars-checkpoints", checkpoint_every=rng.choice((0.05, 0.1, 0.2)),
        checkpoints_kept=rng.choice((1, 2, 4, 8)), restores=rng.choice((0, 1, 1, 2)),
        habits=habits if dies or rng.random() < 0.85 else (), contact=rng.choice((0.2, 0.5, 0.8)),
        rollbacks=rng.choice((0, 2, 4, 6)), buddies=buddies, dies=dies, replicated=dies or rng.random() < 0.2,
        moves=moves, agents_per_host=2 if moves else drawn.agents_per_host,
    )  # fmt: skip


PRESETS["liars-checkpoints"] = (
    "the same while checkpoints are made, of which liars say what is true, and everything goes back to one",
    _liars_checkpoints,
)
