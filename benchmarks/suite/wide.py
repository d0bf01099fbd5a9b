"""A rollback among up to a million agents, in virtual time, beside a central orchestrator on the same traffic."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import median

from benchmarks.suite.form import Plot, Row, Table, ratio
from protocol.hosts.homes import Homes
from sims.baselines.measures import Measured
from sims.baselines.wide import run_wide
from sims.scale.memory import peak_bytes

AGENTS_PER_HOST = 100
MB = 1e6

TABLE = Table(
    "A cone of forty steps among up to a million agents, beside a central orchestrator, in virtual time",
    {
        "agents": "agents", "spoken": "spoken to", "steps": "steps", "cone": "steps undone", "messages": "messages",
        "bytes": "bytes", "undone_ms": "undone after, ms", "messages_theirs": "orchestrator's messages",
        "ratio": "ratio", "undone_ms_theirs": "orchestrator's, ms", "homes_mb": "a host's list of names, MB",
        "memory_mb": "memory here, MB",
    },
    "Each agent takes a step every ten seconds on average, for 0.2 virtual seconds: inputs come to some, and from"
    " each a tree of forty steps follows, at agents drawn among all; one tree is undone. Real are the agents'"
    " machines and the length of what they say. Simulated are networks, disks and handlers. Hosts are left out:"
    " everybody knows of everybody by name from the beginning, there are no checkpoints, and no host fails. A"
    " machine is made when its agent is first spoken to, as it was born. What each real host would hold besides is"
    " who lives where: `a host's list of names`. `spoken to` and what follows it are medians over seeds; `memory"
    " here` is the most that the process had.",
    Plot("agents", ("messages", "undone_ms", "undone_ms_theirs"), logs="x"),
)  # fmt: skip


def wide_rows(agents: int, seeds: int) -> list[Row]:
    """Undo a tree of steps among so many agents, once a seed, in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return [pool.submit(_row, agents, seeds).result()]


def _row(agents: int, seeds: int) -> Row:
    found: dict[str, list[tuple[Measured, int]]] = {}
    for protocol in ("ebbtide", "orchestrator"):
        found[protocol] = [run_wide(protocol, agents, seed) for seed in range(seeds)]
    memory = peak_bytes()
    ours, theirs = ([run for run, _ in runs] for runs in found.values())
    messages, messages_theirs = (median(run.rollback_messages for run in runs) for runs in (ours, theirs))
    return {
        "agents": agents, "spoken": median(made for _, made in found["ebbtide"]),
        "steps": median(run.steps for run in ours), "cone": median(run.undone for run in ours), "messages": messages,
        "bytes": median(run.rollback_bytes for run in ours),
        "undone_ms": median(run.undone_after_s for run in ours) * 1000, "messages_theirs": messages_theirs,
        "ratio": ratio(messages, messages_theirs),
        "undone_ms_theirs": median(run.undone_after_s for run in theirs) * 1000,
        "homes_mb": homes_bytes(agents) / MB, "memory_mb": memory / MB,
    }  # fmt: skip


def homes_bytes(agents: int) -> int:
    """Return what a host's table of who lives where takes, with the names."""
    homes = Homes()
    for first in range(0, agents, AGENTS_PER_HOST):
        names = tuple(f"a{number}" for number in range(first, min(agents, first + AGENTS_PER_HOST)))
        homes.listed(f"host-{first // AGENTS_PER_HOST}", (), names)
    return sys.getsizeof(homes.by_agent) + sum(map(sys.getsizeof, homes.by_agent))
