"""How many messages a second two agents send each other, within a host and between two."""

import asyncio

from benchmarks.suite.balls import bare_per_s, thrown_per_s
from benchmarks.suite.form import Benchmark, Job, Plot, Row, Setting, Table, ratio

BALLS: dict[str, tuple[int, ...]] = {"tiny": (4,), "quick": (1, 64), "full": (1, 16, 64, 256)}
BYTES: dict[str, tuple[int, ...]] = {"tiny": (10,), "quick": (10, 10_000), "full": (10, 1000, 10_000, 100_000)}
SECONDS = {"tiny": 0.2, "quick": 1.0, "full": 4.0}
USUAL_BALLS, USUAL_BYTES = 16, 10

_COLUMNS = {
    "within": "within a host, a second", "between": "between two hosts", "floor": "the alternative",
    "beside": "which is", "within_ratio": "within / alternative", "between_ratio": "between / alternative",
}  # fmt: skip
TABLES = {
    "balls": Table(
        "By how many are on their way at once",
        {"balls": "balls in the air", **_COLUMNS},
        "Two agents throw balls of 10 bytes to each other; each catch is a step: it reads and writes the state, is on"
        " disk, signed, before the ball flies back, and can be undone. Between hosts it goes over a socket. The"
        " alternative keeps nothing: on Ray, calls from one actor to another, with their answers; in one process, two"
        " coroutines with queues.",
        Plot("balls", ("within", "between"), logs="x"),
    ),
    "bytes": Table(
        "By what each carries",
        {"bytes": "bytes", **_COLUMNS},
        f"The same, with {USUAL_BALLS} balls.",
        Plot("bytes", ("within", "between"), logs="x"),
    ),
}


def plan(setting: Setting) -> list[Job]:
    """Return the jobs."""
    jobs = [
        Job(f"{balls} balls", "balls", lambda balls=balls: [{"balls": balls} | _row(setting, balls, USUAL_BYTES)])
        for balls in setting.of(BALLS)
    ]
    return jobs + [
        Job(f"{size:,} bytes", "bytes", lambda size=size: [{"bytes": size} | _row(setting, USUAL_BALLS, size)])
        for size in setting.of(BYTES)
    ]


def _row(setting: Setting, balls: int, size: int) -> Row:
    seconds = setting.of(SECONDS)
    within, between = (asyncio.run(thrown_per_s(setting, hosts, balls, size, seconds)) for hosts in (1, 2))
    if setting.backend == "ray":
        # Here, so that whoever never asks for Ray does not wait for its import.
        from benchmarks.suite.calls import calls_per_s

        floor, beside = calls_per_s(balls, size, seconds), "Ray actor calls"
    else:
        floor, beside = asyncio.run(bare_per_s(balls, size, seconds)), "coroutines"
    return {
        "within": within, "between": between, "floor": floor, "beside": beside, "within_ratio": ratio(within, floor),
        "between_ratio": ratio(between, floor),
    }  # fmt: skip


BENCHMARK = Benchmark(
    "messages",
    "How many messages a second do two agents send each other, each of them a durable step?",
    "Ray actor calls (with --backend ray), or coroutines with queues; neither keeps anything",
    TABLES,
    plan,
)
