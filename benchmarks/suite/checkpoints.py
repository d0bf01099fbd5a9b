"""What a checkpoint of all agents costs while they work on, beside stopping the world for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

from benchmarks.suite import live
from benchmarks.suite.form import Benchmark, Job, Plot, Row, Setting, Table, ratio
from ebbtide import Cluster
from sims.baselines.application import Load
from sims.baselines.compare import Case, run_case
from sims.spread.checkpoint_costs import measure_checkpoints

AGENTS: dict[str, tuple[int, ...]] = {"tiny": (12,), "quick": (10, 100), "full": (10, 100, 1000)}
ROUNDS = {"tiny": 1, "quick": 3, "full": 10}
WATCHED_S = {"tiny": 0.2, "quick": 1.0, "full": 3.0}
HOSTS: dict[str, tuple[int, ...]] = {"tiny": (5,), "quick": (10, 100), "full": (10, 100, 1000)}
BESIDE: dict[str, tuple[int, ...]] = {"tiny": (6,), "quick": (10, 50), "full": (10, 30, 100, 300)}
SEEDS = {"tiny": 1, "quick": 2, "full": 5}
STOPPERS = ("chandy-lamport", "koo-toueg")

TABLES = {
    "live": Table(
        "A checkpoint of a real cluster, with traffic, beside stopping the world",
        {
            "agents": "agents", "backend": "backend", "ms": "a checkpoint takes, ms", "stop_ms": "with a stop, ms",
            "lost": "steps lost by one", "stop_lost": "lost with a stop", "kept": "traffic kept meanwhile",
            "stop_kept": "kept with a stop", "ratio": "time, ours / with a stop", "frames": "frames", "bytes": "bytes",
        },
        "The same cluster and traffic as of a rollback (eight tokens, two hosts). Ours: `cluster.checkpoint()`, and"
        " everybody works on. With a stop: pause every agent, make the same checkpoint, let every agent go on. In"
        " turns, medians. `steps lost` is what the traffic does in that time when nothing is going on, less what it"
        " did. Frames and bytes are those of a checkpoint before the traffic began, less what idle hosts send in as"
        " long.",
        Plot("agents", ("ms", "stop_ms", "lost", "stop_lost"), logs="x"),
    ),
    "hosts": Table(
        "A checkpoint among ever more hosts, in virtual time",
        {
            "hosts": "hosts", "cut_s": "all have cut after, s", "first_s": "first host knows of the commit after, s",
            "all_s": "all know after, s", "frames_per_host": "frames a host", "bytes_per_host": "bytes a host",
        },
        "The hosts' own machines, without agents and disks: what is left is the gossip of counts.",
        Plot("hosts", ("all_s", "frames_per_host", "bytes_per_host"), logs="x"),
    ),
    "protocols": Table(
        "Beside checkpoint protocols that stop agents, in virtual time",
        {
            "protocol": "protocol", "agents": "agents", "stopped_s": "agents stopped, s in all",
            "messages": "checkpoint messages", "bytes": "bytes", "ratio": "messages, ours / theirs",
            "metadata": "bytes on each message",
        },
        "The same agents, inputs and checkpoints about 200 ms apart for 1.2 virtual seconds, with one wrong step"
        " (docs/baselines.md); `stopped` counts what they stop for the rollback too. One host an agent, which is the"
        " worst case for ours: on real hosts many agents share one host's gossip. Medians over seeds.",
        Plot("agents", ("messages", "bytes", "stopped_s"), by="protocol", logs="x"),
    ),
}  # fmt: skip


def plan(setting: Setting) -> list[Job]:
    """Return the jobs, the smallest first."""
    jobs = [
        Job(f"{count:,} agents on {setting.backend}", "live", lambda count=count: [asyncio.run(_live(setting, count))])
        for count in setting.of(AGENTS)
    ]
    jobs += [Job(f"{count:,} hosts", "hosts", lambda count=count: [_hosts(count)]) for count in setting.of(HOSTS)]
    jobs += [
        Job(f"protocols, {count} agents", "protocols", lambda count=count: _protocols(count, setting.of(SEEDS)))
        for count in setting.of(BESIDE)
    ]
    return jobs


async def _live(setting: Setting, agents: int) -> Row:
    kinds = {live.name_of(number): live.Relay for number in range(agents)}
    async with live.cluster_of(setting, kinds, live.HOSTS) as cluster:
        asked = await live.one_of_each_host(cluster)
        await cluster.checkpoint()
        frames, size = await _sent_for_one(cluster, asked, setting.of(WATCHED_S))
        await live.begin_traffic(cluster, agents)
        ours: list[tuple[float, float, float]] = []
        stopped: list[tuple[float, float, float]] = []
        for _ in range(setting.of(ROUNDS)):
            # The traffic is watched before each, so what else the machine does hurts both alike.
            for made, into in ((cluster.checkpoint, ours), (lambda: _stop_and_checkpoint(cluster), stopped)):
                into.append(await _timed(cluster, asked, made, setting.of(WATCHED_S) / 2))
    seconds, lost, kept = (median(column) for column in zip(*ours, strict=True))
    stop_seconds, stop_lost, stop_kept = (median(column) for column in zip(*stopped, strict=True))
    return {
        "agents": agents, "backend": setting.backend, "ms": seconds * 1000, "stop_ms": stop_seconds * 1000,
        "lost": lost, "stop_lost": stop_lost, "kept": kept, "stop_kept": stop_kept,
        "ratio": ratio(seconds, stop_seconds), "frames": frames, "bytes": size, "hosts": live.HOSTS,
    }  # fmt: skip


async def _stop_and_checkpoint(cluster: Cluster) -> None:
    await asyncio.gather(*(cluster.pause(agent) for agent in cluster.agents))
    await cluster.checkpoint()
    await asyncio.gather(*(cluster.resume(agent) for agent in cluster.agents))


async def _timed(
    cluster: Cluster, asked: list[str], made: Callable[[], Awaitable[object]], watched_s: float
) -> tuple[float, float, float]:
    """Make one checkpoint; return its seconds, the steps lost meanwhile, and what part of the traffic went on."""
    alone = await live.steps_per_s(cluster, asked, watched_s)
    before, began = await live.steps_sent(cluster, asked), time.monotonic()
    await made()
    seconds = time.monotonic() - began
    steps = await live.steps_sent(cluster, asked) - before
    return seconds, alone * seconds - steps, steps / (alone * seconds) if alone else 0.0


async def _sent_for_one(cluster: Cluster, asked: list[str], watched_s: float) -> tuple[int, int]:
    """Return the frames and bytes that a checkpoint takes besides what idle hosts send."""

    async def sent() -> tuple[int, int]:
        costs = await live.costs_of(cluster, asked)
        return sum(each.frames for each in costs), sum(each.frame_bytes for each in costs)

    began, first = time.monotonic(), await sent()
    await asyncio.sleep(watched_s)
    idle_s, second = time.monotonic() - began, await sent()
    began = time.monotonic()
    await cluster.checkpoint()
    share = (time.monotonic() - began) / idle_s
    third = await sent()
    idle = [after - before for before, after in zip(first, second, strict=True)]
    frames, size = (
        max(0, round(end - start - share * one)) for start, end, one in zip(second, third, idle, strict=True)
    )
    return frames, size


def _hosts(hosts: int) -> Row:
    row = measure_checkpoints(hosts, seed=1)
    return {
        "hosts": hosts, "cut_s": row.cut_s, "first_s": row.committed_s_first, "all_s": row.committed_s_all,
        "frames_per_host": row.frames_per_host, "bytes_per_host": row.bytes_per_host,
    }  # fmt: skip


def _protocols(agents: int, seeds: int) -> list[Row]:
    rows: list[Row] = []
    for protocol in ("ebbtide", *STOPPERS):
        runs = [run_case(Case(protocol, Load(agents, "small-world", seed))) for seed in range(seeds)]
        rows.append(
            {"protocol": protocol, "agents": agents, "stopped_s": median(run.stopped_s for run in runs),
             "messages": median(run.checkpoint_messages for run in runs),
             "bytes": median(run.checkpoint_bytes for run in runs),
             "metadata": median(run.metadata_bytes for run in runs)}
        )  # fmt: skip
    for row in rows:
        row["ratio"] = ratio(rows[0]["messages"], row["messages"])
    return rows


BENCHMARK = Benchmark(
    "checkpoints",
    "What does a checkpoint of all agents cost: time, frames, bytes, and work that waits for it?",
    "the same checkpoint with everybody paused; Chandy-Lamport's and Koo-Toueg's",
    TABLES,
    plan,
)
