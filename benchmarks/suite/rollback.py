"""What a rollback costs: against the number of agents, the size of its cone, its shape, and an orchestrator."""

import asyncio
import logging
from statistics import median
from typing import Any

from benchmarks.suite import live
from benchmarks.suite.form import Benchmark, Job, Plot, Row, Setting, Table, ratio
from benchmarks.suite.shapes import SHAPES, shape_row
from benchmarks.suite.wide import TABLE as WIDE_TABLE
from benchmarks.suite.wide import wide_rows
from sims.baselines.application import Load
from sims.baselines.compare import Case, run_case
from sims.scale.cones import cone_rows

AGENTS: dict[str, tuple[int, ...]] = {"tiny": (12,), "quick": (10, 100, 1000), "full": (10, 100, 1000, 10_000)}
AGENTS_LOCAL_MAX = 1000
"""In one process: more of them are what Ray is for."""
ROLLBACKS = {"tiny": 1, "quick": 5, "full": 20}
SECONDS = {"tiny": 0.2, "quick": 2.0, "full": 6.0}
WORLD_AGENTS: dict[str, tuple[int, ...]] = {"tiny": (40,), "quick": (100, 1000), "full": (100, 1000, 10_000)}
WORLD_DEPTH = 3
WIDE_AGENTS: dict[str, tuple[int, ...]] = {
    "tiny": (50,), "quick": (1000, 100_000), "full": (1000, 10_000, 100_000, 1_000_000),
}  # fmt: skip
WIDE_SEEDS = {"tiny": 1, "quick": 1, "full": 3}
CONES: dict[str, tuple[int, ...]] = {"tiny": (10,), "quick": (1, 10, 100, 1000), "full": (1, 10, 100, 1000, 10_000)}
SHAPE_AGENTS = {"tiny": 20, "quick": 100, "full": 100}
BESIDE: dict[str, tuple[tuple[str, int], ...]] = {
    "tiny": (("small-world", 10),),
    "quick": tuple((graph, count) for graph in ("ring", "star", "small-world") for count in (10, 100)),
    "full": tuple((graph, count) for graph in ("ring", "star", "small-world", "dag") for count in (10, 30, 100, 300)),
}
SEEDS = {"tiny": 1, "quick": 2, "full": 5}

TABLES = {
    "agents": Table(
        "A cone of ten steps, with traffic around it",
        {
            "agents": "agents", "backend": "backend", "latency_ms": "latency, ms (median)", "messages": "messages",
            "bytes": "bytes", "participants": "participants", "alone_per_s": "others' steps a second, alone",
            "meanwhile_per_s": "meanwhile", "kept": "kept (meanwhile / alone)",
        },
        "A real cluster of two hosts, with real disks (with --backend local both are in one process, and frames stay in"
        " memory). Eight tokens run round among ten agents each, however many agents there are; chains of ten steps at"
        " ten agents are undone one after the other. `kept` compares what the others do meanwhile with what they do,"
        " in turns with it, when nothing is undone.",
        Plot("agents", ("latency_ms", "messages", "kept"), by="backend", logs="x"),
    ),
    "world": Table(
        "A cone of forty steps among ever more agents, in virtual time",
        {"agents": "agents", "cone": "steps undone", "messages": "messages", "bytes": "bytes",
         "virtual_ms": "latency, virtual ms"},
        "The same machines in a simulated world: what a rollback takes must follow its cone, and not how many agents"
        " there are besides.",
        Plot("agents", ("messages",), logs="x"),
    ),
    "wide": WIDE_TABLE,
    "shapes": Table(
        "Cones of all sizes and shapes, in virtual time",
        {
            "shape": "shape", "cone": "steps undone", "participants": "participants", "messages": "messages",
            "a_step": "messages a step", "bytes": "bytes", "virtual_ms": "latency, virtual ms",
        },
        "A hundred agents who write to each other as the shape says (of a conversation two, who answer each other). One"
        " step has so many consequences; it is undone with all of them. Where the cone is larger than the crowd, each"
        " agent has many steps in it.",
        Plot("cone", ("messages", "bytes"), by="shape", logs="xy"),
    ),
    "orchestrator": Table(
        "Beside a central orchestrator, on the same traffic, in virtual time",
        {
            "shape": "shape", "agents": "agents", "cone": "steps undone", "messages": "messages",
            "messages_theirs": "orchestrator's messages", "ratio": "ratio", "bytes": "bytes",
            "bytes_theirs": "orchestrator's bytes", "undone_ms": "undone after, ms",
            "undone_ms_theirs": "orchestrator's, ms", "other_messages": "others a step",
            "other_messages_theirs": "orchestrator's, a step",
        },
        "The orchestrator of docs/baselines.md is told every step, and commands exactly the cone to be undone. `ratio`"
        " is our rollback messages over its; above 1 it is the better one. `others a step` are messages for"
        " checkpoints, reports and acknowledgments, by step that stands. Medians over seeds.",
        Plot("agents", ("ratio", "undone_ms", "undone_ms_theirs"), by="shape", logs="x"),
    ),
}  # fmt: skip


def plan(setting: Setting) -> list[Job]:
    """Return the jobs, the smallest first."""
    jobs: list[Job] = []
    for count in setting.of(AGENTS):
        if setting.backend != "local" or count <= AGENTS_LOCAL_MAX:
            jobs.append(
                Job(f"{count:,} agents on {setting.backend}", "agents", lambda count=count: _agents(setting, count))
            )
    for count in setting.of(WORLD_AGENTS):
        jobs.append(Job(f"a world of {count:,} agents", "world", lambda count=count: _world(count)))
    for count in setting.of(WIDE_AGENTS):
        run = lambda count=count: wide_rows(count, setting.of(WIDE_SEEDS))  # noqa: E731
        jobs.append(Job(f"{count:,} agents in virtual time", "wide", run))
    for shape in SHAPES:
        for cone in setting.of(CONES):
            run = lambda shape=shape, cone=cone: [shape_row(shape, setting.of(SHAPE_AGENTS), cone)]  # noqa: E731
            jobs.append(Job(f"{shape}: a cone of {cone:,} steps", "shapes", run))
    for graph, count in setting.of(BESIDE):
        run = lambda graph=graph, count=count: _beside(graph, count, setting.of(SEEDS))  # noqa: E731
        jobs.append(Job(f"beside an orchestrator: {graph}, {count} agents", "orchestrator", run))
    return jobs


def _agents(setting: Setting, count: int) -> list[Row]:
    return [asyncio.run(live.undo(setting, count, setting.of(ROLLBACKS), setting.of(SECONDS)))]


def _world(agents: int) -> list[Row]:
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    depth = WORLD_DEPTH if agents >= 40 else 1
    return [
        {
            "agents": row.agents,
            "cone": row.cone,
            "messages": row.messages,
            "bytes": row.bytes,
            "virtual_ms": row.virtual_ms,
        }
        for row in cone_rows(agents, (depth,))
    ]


def _beside(graph: str, agents: int, seeds: int) -> list[Row]:
    found: dict[str, dict[str, float]] = {}
    for protocol in ("ebbtide", "orchestrator"):
        runs = [run_case(Case(protocol, Load(agents, graph, seed))) for seed in range(seeds)]
        found[protocol] = {
            "cone": median(run.cone for run in runs),
            "messages": median(run.rollback_messages for run in runs),
            "bytes": median(run.rollback_bytes for run in runs),
            "undone_ms": median(run.undone_after_s for run in runs) * 1000,
            "other_messages": sum(run.checkpoint_messages + run.report_messages + run.acknowledgments for run in runs)
            / sum(run.steps for run in runs),
        }
    ours, theirs = found["ebbtide"], found["orchestrator"]
    row: dict[str, Any] = {"shape": graph, "agents": agents, **ours}
    row |= {f"{name}_theirs": value for name, value in theirs.items()}
    return [row | {"ratio": ratio(ours["messages"], theirs["messages"])}]


BENCHMARK = Benchmark(
    "rollback",
    "What does undoing a step and all that followed from it cost, against agents, cone and shape?",
    "a central orchestrator on the same traffic; the others' work when nothing is undone",
    TABLES,
    plan,
)
