"""How much useful work is kept while steps go wrong: undoing cones, restoring everybody, starting over, or nothing.

All four see the same agents, inputs and mistakes in virtual time: what an input is handled wrongly by follows from the
seed and the input alone. A mistake is made once; handled again, the input is handled rightly.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from msgspec import Struct

from benchmarks.suite.form import Benchmark, Job, Plot, Row, Setting, Table, ratio
from peer import Agent, Context, handles
from peer.errors import RestoreRefused
from protocol.ids import AgentId, StepId
from protocol.step import StepRecord
from sims.oracle import LoggedStep, cone, dependents
from sims.topology import topology_of
from sims.virtual.chance import stream
from sims.world import World

RATES: dict[str, tuple[float, ...]] = {
    "tiny": (0.0, 0.1), "quick": (0.0, 0.01, 0.05, 0.2), "full": (0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
}  # fmt: skip
VIRTUAL_S = {"tiny": 0.5, "quick": 2.0, "full": 4.0}
SEEDS = {"tiny": 1, "quick": 1, "full": 3}
AGENTS, HOSTS, KEYS, DEPTH = 8, 4, 3, 2
INPUTS_PER_S = 250.0
"""So many that agents are at work more than half of their time: what is done again costs something else."""
THINKS_S = (0.004, 0.012)
FOUND_S = 0.1
"""How long after a wrong step it is found out."""
LOOK_S = 0.05
CHECKPOINT_S = 0.25


class Task(Struct, frozen=True):
    """A piece of work; its name is the same however often it is done."""

    name: str
    depth: int


@dataclass
class Mistakes:
    """Who goes wrong: each piece of work at most once."""

    seed: int
    rate: float
    made: dict[str, tuple[StepId, float]] = field(default_factory=dict)
    """By the work's name, the wrong step, and when it ran."""

    def goes_wrong(self, name: str, step: StepId, now: float) -> bool:
        """Say whether this run does, and note it."""
        if name in self.made or Random(f"{self.seed}/{name}").random() >= self.rate:
            return False
        self.made[name] = (step, now)
        return True


class Worker(Agent):
    """Thinks a while, reads and writes its state, and passes work on.

    Args:
        targets: whom it writes to.
        mistakes: which of its steps are wrong.
    """

    def __init__(self, targets: tuple[AgentId, ...], mistakes: Mistakes) -> None:
        self.targets = targets
        self.mistakes = mistakes

    @handles(Task)
    async def work(self, message: Task, ctx: Context) -> None:
        """Do it, wrongly or not."""
        rng = Random(f"{self.mistakes.seed}/{self.name}/{message.name}/work")
        await asyncio.sleep(rng.uniform(*THINKS_S))
        wrong = self.mistakes.goes_wrong(message.name, ctx.step, asyncio.get_running_loop().time())
        if rng.random() < 0.5:
            self.state.get(f"k{rng.randrange(KEYS)}")
        if rng.random() < 0.6 or wrong:
            self.state[f"k{rng.randrange(KEYS)}"] = f"{message.name}!" if wrong else message.name
        for at in range(rng.randint(0, 2) if message.depth else 0):
            ctx.send(rng.choice(self.targets), Task(f"{message.name}.{at}", message.depth - 1))


Undoes = Callable[[World, list[StepId], int], None]
"""Given the world, the wrong steps that were just found out, and the checkpoint from before all work."""


def _nothing(world: World, wrong: list[StepId], first: int) -> None:
    """Wrong results stay, and all that follows from them."""


def _cone(world: World, wrong: list[StepId], first: int) -> None:
    world.rollback(*wrong, inputs="retry", reason="wrong")


def _last_checkpoint(world: World, wrong: list[StepId], first: int) -> None:
    epochs = {record.step: record.epoch for record in world.steps()}
    for epoch in range(min(epochs[step] for step in wrong), first - 1, -1):
        try:
            world.restore(epoch, inputs="retry")
            return
        except RestoreRefused:
            # An earlier restore has passed over this checkpoint, or it is not committed yet: the one before, then.
            continue
    raise RuntimeError(f"no checkpoint from before {wrong} can be restored")


def _beginning(world: World, wrong: list[StepId], first: int) -> None:
    world.restore(first, inputs="retry")


WAYS: dict[str, Undoes] = {
    "cone": _cone, "global restore": _last_checkpoint, "restart": _beginning, "none": _nothing,
}  # fmt: skip

TABLES = {
    "kept": Table(
        "Useful work kept, by fault rate",
        {
            "rate": "fault rate, %",
            "way": "what is done",
            "useful": "useful steps",
            "kept": "kept (of no faults)",
            "ratio": "cone / this",
            "wrong": "wrong steps that stand",
            "undone": "steps undone",
            "mistakes": "mistakes made",
        },
        "Eight agents at work more than half of their time, for the same virtual time in every row; a mistake is found"
        " out 0.1 s later, and the input is then handled again, rightly. `cone` undoes what followed from it; `global"
        " restore` takes everybody back to the last checkpoint before it (they are 0.25 s apart); `restart` takes"
        " everybody back to before the first input; `none` leaves all as it is. Useful are steps that stand and do not"
        " hang on a mistake, by graph search over the log. `kept` compares with the same seed, no faults and nothing"
        " done. The sum over seeds.",
        Plot("rate", ("kept", "wrong"), by="way"),
    )
}


@dataclass
class Played:
    """What one run came to."""

    useful: int
    wrong: int
    undone: int
    mistakes: int


def plan(setting: Setting) -> list[Job]:
    """Return a job for each rate."""
    seeds, virtual_s = range(setting.of(SEEDS)), setting.of(VIRTUAL_S)
    best: dict[int, int] = {}
    return [
        Job(f"a fault rate of {rate:.0%}", "kept", lambda rate=rate: _rows(rate, seeds, virtual_s, best))
        for rate in setting.of(RATES)
    ]


def _rows(rate: float, seeds: range, virtual_s: float, best: dict[int, int]) -> list[Row]:
    for seed in seeds:
        if seed not in best:
            best[seed] = play("none", 0.0, seed, virtual_s).useful
    rows: list[Row] = []
    for way in WAYS:
        runs = [play(way, rate, seed, virtual_s) for seed in seeds]
        useful = sum(run.useful for run in runs)
        rows.append(
            {"rate": rate * 100, "way": way, "useful": useful, "kept": useful / sum(best.values()),
             "wrong": sum(run.wrong for run in runs), "undone": sum(run.undone for run in runs),
             "mistakes": sum(run.mistakes for run in runs)}
        )  # fmt: skip
    for row in rows:
        row["ratio"] = ratio(rows[0]["useful"], row["useful"])
    return rows


def play(way: str, rate: float, seed: int, virtual_s: float) -> Played:
    """Play one world to its end, and judge it."""
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    mistakes = Mistakes(seed, rate)
    every = CHECKPOINT_S if way != "none" else 0.0
    with World(seed, HOSTS, checking="end", checkpoint_every=every, checkpoints_kept=1000) as world:
        graph = topology_of("small-world", AGENTS, seed)
        for at, targets in graph.items():
            names = tuple(f"a{target}" for target in targets)
            world.spawn(f"a{at}", Worker, host=f"host-{at % HOSTS + 1}", targets=names, mistakes=mistakes)
        world.run(until=0.5)
        first = world.checkpoint() if way != "none" else 0
        end = _submit(world, seed, virtual_s)
        _go(world, WAYS[way], first, mistakes, end)
        return _judged(world, mistakes)


def _submit(world: World, seed: int, virtual_s: float) -> float:
    rng = stream(seed, "faults/inputs")
    at = began = world.now
    number = 0
    while True:
        at += rng.expovariate(INPUTS_PER_S)
        if at >= began + virtual_s:
            return began + virtual_s
        number += 1
        world.submit(f"a{rng.randrange(AGENTS)}", Task(str(number), DEPTH), at=at)


def _go(world: World, undoes: Undoes, first: int, mistakes: Mistakes, end: float) -> None:
    handled: set[str] = set()
    while world.now < end - 1e-6:
        world.run(until=min(end, world.now + LOOK_S))
        found = [name for name, (_, at) in mistakes.made.items() if name not in handled and at + FOUND_S <= world.now]
        handled.update(found)
        durable, gone = {record.step for record in world.steps()}, world.retracted_by()
        wrong = [step for step, _ in (mistakes.made[name] for name in found) if step in durable and step not in gone]
        if wrong:
            undoes(world, wrong, first)


def _judged(world: World, mistakes: Mistakes) -> Played:
    gone = world.retracted_by()
    records = world.steps()
    standing = [record for record in records if record.step not in gone]
    roots = {str(step) for step, _ in mistakes.made.values()} & {str(record.step) for record in standing}
    tainted = cone(roots, dependents(map(_logged, standing)))
    return Played(len(standing) - len(tainted), len(tainted), len(records) - len(standing), len(mistakes.made))


def _logged(record: StepRecord) -> LoggedStep:
    producer = record.input.producer
    writers = tuple(str(read.writer) for read in record.reads if read.writer is not None)
    return LoggedStep(str(record.step), None if producer is None else str(producer), writers)


BENCHMARK = Benchmark(
    "faults",
    "How much useful work is kept when 0 to 20 % of steps go wrong?",
    "a global restore of the last checkpoint, a restart from the beginning, and doing nothing",
    TABLES,
    plan,
)
