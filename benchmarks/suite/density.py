"""How many agents fit in a process: how soon they are up, what each takes in memory, and what they cost when idle."""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.suite import live
from benchmarks.suite.balls import Bare, Player
from benchmarks.suite.form import Benchmark, Job, Plot, Row, Setting, Table, ratio
from sims.scale.memory import rss_bytes

AGENTS: dict[str, tuple[int, ...]] = {"tiny": (5,), "quick": (10, 100, 1000), "full": (10, 100, 1000, 5000)}
IDLE_S = {"tiny": 0.2, "quick": 3.0, "full": 15.0}
ACTORS = {"tiny": 2, "quick": 4, "full": 8}

TABLES = {
    "agents": Table(
        "Agents in one process, idle",
        {
            "agents": "agents",
            "what": "what",
            "per_s": "started a second",
            "bytes": "bytes an agent",
            "cpu_s": "idle, CPU seconds a minute",
            "ratio": "bytes, ours / this",
        },
        "A local cluster with one host, in a process of its own, with its log on disk; no checkpoints. `bytes` is the"
        " process's resident memory with the agents less that before, so at ten agents it is mostly the host's. Beside:"
        " coroutines with a queue each, which keep nothing; with --backend ray, Ray actors too, of which each is a"
        " process.",
        Plot("agents", ("per_s", "bytes", "cpu_s"), by="what", logs="xy"),
    )
}


def plan(setting: Setting) -> list[Job]:
    """Return the jobs, the smallest first."""
    idle_s = setting.of(IDLE_S)
    jobs = [
        Job(f"{count:,} agents", "agents", lambda count=count: _rows(count, idle_s)) for count in setting.of(AGENTS)
    ]
    if setting.backend == "ray":
        jobs.append(Job("Ray actors", "agents", lambda: [_actors(setting.of(ACTORS))]))
    return jobs


def _rows(agents: int, idle_s: float) -> list[Row]:
    rows: list[Row] = []
    for what, measure in (("agents", in_a_cluster), ("coroutines", as_coroutines)):
        # A process each, so that one's memory is not the other's.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            seconds, size, cpu_s = pool.submit(measure, agents, idle_s).result()
        rows.append(
            {"agents": agents, "what": what, "per_s": agents / seconds, "bytes": max(0.0, size) / agents,
             "cpu_s": cpu_s}
        )  # fmt: skip
    for row in rows:
        row["ratio"] = ratio(rows[0]["bytes"], row["bytes"])
    return rows


def in_a_cluster(agents: int, idle_s: float) -> tuple[float, float, float]:
    """Bring agents up; return the seconds that took, the bytes of all, and CPU seconds a minute when idle."""
    return asyncio.run(_in_a_cluster(agents, idle_s))


async def _in_a_cluster(agents: int, idle_s: float) -> tuple[float, float, float]:
    before, began = rss_bytes(), time.monotonic()
    kinds = {f"agent-{number}": Player for number in range(agents)}
    async with live.cluster_of(Setting(), kinds, 1):
        seconds, size = time.monotonic() - began, rss_bytes() - before
        return seconds, size, await _idle(idle_s)


def as_coroutines(agents: int, idle_s: float) -> tuple[float, float, float]:
    """The same of coroutines with a queue each."""
    return asyncio.run(_as_coroutines(agents, idle_s))


async def _as_coroutines(agents: int, idle_s: float) -> tuple[float, float, float]:
    before, began = rss_bytes(), time.monotonic()
    tasks = [asyncio.create_task(Bare().play({})) for _ in range(agents)]
    await asyncio.sleep(0)
    seconds, size = time.monotonic() - began, rss_bytes() - before
    cpu_s = await _idle(idle_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return seconds, size, cpu_s


async def _idle(seconds: float) -> float:
    before, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    return (time.process_time() - before) / (time.monotonic() - began) * 60


def _actors(count: int) -> Row:
    # Here, so that whoever never asks for Ray does not wait for its import.
    from benchmarks.suite.calls import actors

    per_s, size = actors(count)
    return {"agents": count, "what": "Ray actors", "per_s": per_s, "bytes": size}


BENCHMARK = Benchmark(
    "density",
    "How many agents fit in a process: started a second, bytes an agent, CPU when idle?",
    "coroutines with queues, and Ray actors (with --backend ray)",
    TABLES,
    plan,
)
