"""The whole price of being able to undo: the same steps with one thing after the other left out."""

import asyncio
import time
from typing import Any

from benchmarks.suite.balls import NAMES, WARM_S, Ball, Player, bare_per_s, thrown_per_s
from benchmarks.suite.form import Benchmark, Job, Row, Setting, Table, ratio
from ebbtide import AgentSpec
from peer.cluster.inlet import Inlet
from peer.host.host import Host
from peer.keys import HostKeys
from peer.store.memory import MemoryStore
from peer.system import SystemClock
from peer.transport.memory import MemoryNetwork, MemoryTransport
from peer.trust.badge import Badge
from peer.values import payload

THINKS_S: dict[str, tuple[float, ...]] = {"tiny": (0.0,), "quick": (0.0, 0.01), "full": (0.0, 0.001, 0.01, 0.1)}
SECONDS = {"tiny": 0.2, "quick": 2.0, "full": 8.0}
BALLS, SIZE = 16, 10
CHECKPOINT_S = 0.5

ALL, NO_CHECKPOINTS, IN_MEMORY, BARE = (
    "all of it, a checkpoint every 0.5 s", "without checkpoints", "and the log in memory", "handlers called bare",
)  # fmt: skip

TABLES = {
    "steps": Table(
        "Steps a second, with one thing after the other left out",
        {
            "thinks_ms": "a handler's own time, ms",
            "what": "what",
            "per_s": "steps a second",
            "share": "share of bare handlers'",
            "ms": "ms a step",
            "price_ms": "more than bare, ms",
        },
        "Two agents on one host throw sixteen balls to each other (as of `messages`); each handles one at a time. First"
        " everything as users have it; then no checkpoints (`checkpoint_every_s=0`); then the host's log in memory, so"
        " nothing is on disk and a crash loses all; then the handlers alone, called by coroutines with queues: nothing"
        " is tracked, kept or signed, and nothing can be undone. Tracking by itself has no switch: its price is in the"
        " step from the log in memory to bare handlers. A model's answer takes seconds, so there the first rows say"
        " little.",
    )
}


def plan(setting: Setting) -> list[Job]:
    """Return a job for each time that a handler takes."""
    return [
        Job(f"handlers of {thinks_s * 1000:g} ms", "steps", lambda thinks_s=thinks_s: _rows(setting, thinks_s))
        for thinks_s in setting.of(THINKS_S)
    ]


def _rows(setting: Setting, thinks_s: float) -> list[Row]:
    seconds = setting.of(SECONDS)
    # In this process whatever the others run on: else the log in memory would be compared across processes.
    setting = Setting(setting.size)
    found = {
        ALL: asyncio.run(thrown_per_s(setting, 1, BALLS, SIZE, seconds, thinks_s, CHECKPOINT_S)),
        NO_CHECKPOINTS: asyncio.run(thrown_per_s(setting, 1, BALLS, SIZE, seconds, thinks_s)),
        IN_MEMORY: asyncio.run(in_memory_per_s(seconds, thinks_s)),
        BARE: asyncio.run(bare_per_s(BALLS, SIZE, seconds, thinks_s)),
    }
    floor = found[BARE]
    return [
        {"thinks_ms": thinks_s * 1000, "what": what, "per_s": per_s, "share": ratio(per_s, floor),
         "ms": ratio(1000.0, per_s), "price_ms": 1000 / per_s - 1000 / floor if per_s and floor else None}
        for what, per_s in found.items()
    ]  # fmt: skip


async def in_memory_per_s(seconds: float, thinks_s: float) -> float:
    """Return the steps a second of a host whose log is in memory."""
    loop = asyncio.get_running_loop()
    badge, network = Badge.issued(HostKeys.generate(), HostKeys.generate()), MemoryNetwork()
    host = Host(badge, MemoryTransport(network, badge.keys), MemoryStore(loop), SystemClock(loop), founder=True)
    await host.open([AgentSpec(name, Player) for name in NAMES])
    try:
        inlet = Inlet("benchmark", 10.0, _no_look, host.ask)
        ball = payload.encode_message(Ball(NAMES[1], thinks_s, bytes(SIZE)))
        await inlet.submit(host, NAMES[0], [ball] * BALLS)
        await asyncio.sleep(WARM_S)
        before, began = host.costs().messages.get("Data", 0), time.monotonic()
        await asyncio.sleep(seconds)
        return (host.costs().messages.get("Data", 0) - before) / (time.monotonic() - began)
    finally:
        await host.close()


async def _no_look(*_: object) -> Any:
    raise AssertionError("nobody looks at what becomes of the balls")


BENCHMARK = Benchmark(
    "price",
    "What is the whole price of being able to undo: tracking, log, checkpoints?",
    "the same handlers called bare, without the runtime",
    TABLES,
    plan,
)
