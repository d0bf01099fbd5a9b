"""What clocks add to messages: against agents, whom they write to, and how long an epoch is, beside a full vector."""

import logging

from benchmarks.suite.form import Benchmark, Job, Plot, Row, Setting, Table, ratio
from protocol.message import Data
from protocol.step import Input
from protocol.wire import encode_message
from sims.scale.clocks import AGENTS, DEGREE, EPOCH_S, clocks

VARIED: dict[str, dict[str, tuple[float, ...]]] = {
    "tiny": {"agents": (10,)},
    "quick": {"agents": (25, 50, 100), "degree": (2, 4, 8), "epoch_s": (0.25, 0.5, 1.0)},
    "full": {
        "agents": (25, 50, 100, 200, 400, 800), "degree": (2, 4, 8, 16), "epoch_s": (0.125, 0.25, 0.5, 1.0, 2.0),
    },
}  # fmt: skip
USUAL_AGENTS = {"tiny": 10, "quick": 50, "full": AGENTS}

_COLUMNS = {
    "entries": "entries, mean", "most": "entries, most", "bytes": "bytes of a clock, mean",
    "full_bytes": "of a full vector", "ratio": "ratio", "sampled": "messages",
}  # fmt: skip
_SAYS = (
    "A clock in which every agent has its entry, as vector clocks have by definition, is what ours is compared with:"
    " encoded as ours are. Entries of settled steps are dropped from ours."
)
TABLES = {
    "agents": Table(
        "Against the number of agents",
        {"agents": "agents", **_COLUMNS},
        f"Each writes to {DEGREE} others, gets two inputs a virtual second, and an epoch takes {EPOCH_S:g} s. {_SAYS}",
        Plot("agents", ("bytes", "full_bytes"), logs="xy"),
    ),
    "degree": Table(
        "Against how many others each agent writes to",
        {"agents": "agents", "degree": "writes to", **_COLUMNS},
        "The same, with more or fewer neighbours.",
        Plot("degree", ("bytes",)),
    ),
    "epoch_s": Table(
        "Against the length of an epoch",
        {"agents": "agents", "epoch_s": "an epoch, virtual s", **_COLUMNS},
        "The same, with checkpoints more or less often: what is settled is dropped at each.",
        Plot("epoch_s", ("bytes",)),
    ),
}


def plan(setting: Setting) -> list[Job]:
    """Return the jobs."""
    usual = setting.of(USUAL_AGENTS)
    return [
        Job(f"{what.removesuffix('_s')} {value:g}", what, lambda what=what, value=value: [_row(what, value, usual)])
        for what, values in setting.of(VARIED).items()
        for value in values
    ]


def _row(what: str, value: float, usual: int) -> Row:
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    agents = int(value) if what == "agents" else usual
    degree = int(value) if what == "degree" else DEGREE
    epoch_s = value if what == "epoch_s" else EPOCH_S
    row = clocks(what, agents, degree, epoch_s)
    full = full_clock_bytes(agents)
    return {
        "agents": agents, "degree": degree, "epoch_s": epoch_s, "entries": row.entries_mean, "most": row.entries_max,
        "bytes": row.clock_bytes_mean, "full_bytes": full, "ratio": ratio(row.clock_bytes_mean, full),
        "sampled": row.messages,
    }  # fmt: skip


def full_clock_bytes(agents: int) -> int:
    """Return what a clock adds to a message in which every agent has its entry."""
    clock = {f"a{number}": (1, 1) for number in range(agents)}
    with_clock, without = (
        Input("a0", 1, 1, b"", "lineage", clock=each) for each in (clock, dict[str, tuple[int, int]]())
    )
    return len(encode_message(Data(with_clock))) - len(encode_message(Data(without)))


BENCHMARK = Benchmark(
    "clocks",
    "What do the clocks on messages take, against agents, neighbours and the length of an epoch?",
    "a full vector clock",
    TABLES,
    plan,
)
