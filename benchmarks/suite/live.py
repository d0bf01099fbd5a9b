"""Real clusters for benchmarks: traffic that goes on, chains of steps that are undone, and what all hosts have sent.

Tokens run round among neighbours, the same number at every size: so the traffic is the same, however many agents.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.suite.form import Row, Setting
from ebbtide import Agent, AgentSpec, Cluster, Context, Costs, handles

CONE = 10
"""Steps of the cone, each at another agent."""
HOSTS = 2
TOKENS = 8
NEIGHBOURS = 10
"""Agents that a token runs round: vector clocks name the agents upstream, and in real systems these are few."""


@dataclass(frozen=True)
class Hop:
    """A link of the chain that will be undone."""

    number: int
    path: list[str]


@dataclass(frozen=True)
class Token:
    """Traffic that no rollback concerns."""

    round: list[str]


class Relay(Agent):
    """Passes chains and tokens on."""

    @handles(Hop)
    async def hop(self, message: Hop, ctx: Context) -> None:
        """Note the step, and pass the chain on."""
        self.state["last hop"] = [message.number, str(ctx.step)]
        if len(message.path) > 1:
            ctx.send(message.path[1], Hop(message.number, message.path[1:]))

    @handles(Token)
    async def token(self, message: Token, ctx: Context) -> None:
        """Pass it on."""
        ctx.send(message.round[1], Token([*message.round[1:], message.round[0]]))


@asynccontextmanager
async def cluster_of(
    setting: Setting, kinds: Mapping[str, type[Agent]], hosts: int, **more: Any
) -> AsyncIterator[Cluster]:
    """Give a cluster with these agents, packed onto so many hosts."""
    if setting.address:
        more["address"] = setting.address
    async with Cluster(setting.backend, agents_per_actor=-(-len(kinds) // hosts), **more) as cluster:
        await cluster.spawn_all([AgentSpec(name, kind) for name, kind in kinds.items()])
        yield cluster


async def begin_traffic(cluster: Cluster, agents: int) -> None:
    """Set the tokens going."""
    for token in range(TOKENS):
        first = token * agents // TOKENS
        names = list(dict.fromkeys(name_of((first + number) % agents) for number in range(NEIGHBOURS)))
        await cluster.submit(names[0], Token(names))


async def one_of_each_host(cluster: Cluster) -> list[str]:
    """Return one agent of each host, to ask the host by."""
    looks = await cluster.statuses(cluster.agents)
    return sorted({look.host: agent for agent, look in looks.items() if not isinstance(look, Exception)}.values())


async def costs_of(cluster: Cluster, asked: list[str]) -> list[Costs]:
    """Return what each host has sent so far."""
    return [await cluster.costs(agent) for agent in asked]


async def steps_sent(cluster: Cluster, asked: list[str]) -> int:
    """Return how many messages of steps have been sent: each is a step of the traffic."""
    return sum(costs.messages.get("Data", 0) for costs in await costs_of(cluster, asked))


async def steps_per_s(cluster: Cluster, asked: list[str], seconds: float) -> float:
    """Watch the traffic for a while."""
    before, began = await steps_sent(cluster, asked), time.monotonic()
    await asyncio.sleep(seconds)
    return (await steps_sent(cluster, asked) - before) / (time.monotonic() - began)


def name_of(number: int) -> str:
    """Return an agent's name."""
    return f"relay-{number}"


async def undo(setting: Setting, agents: int, rollbacks: int, seconds: float) -> Row:
    """Undo chains of ten steps one after the other, with traffic around them.

    Args:
        rollbacks: how many are timed.
        seconds: how long the traffic is watched alone, in all.
    """
    async with cluster_of(setting, {name_of(number): Relay for number in range(agents)}, HOSTS) as cluster:
        await begin_traffic(cluster, agents)
        path = [name_of(number * agents // CONE) for number in range(CONE)]
        asked = await one_of_each_host(cluster)
        # The first rollback opens connections that later ones find open.
        await cluster.rollback(await _make_chain(cluster, path, 0), inputs="discard", reason="warm-up")
        alone_per_s: list[float] = []
        latencies: list[float] = []
        counts: list[int] = []
        sizes: list[int] = []
        others, spent, participants = 0, 0.0, 0
        for number in range(1, rollbacks + 1):
            # In turns with the rollbacks: what else the machine does hurts both alike.
            alone_per_s.append(await steps_per_s(cluster, asked, seconds / rollbacks))
            root = await _make_chain(cluster, path, number)
            before, began = await steps_sent(cluster, asked), time.monotonic()
            outcome = await cluster.rollback(root, inputs="discard", reason="benchmark")
            spent += time.monotonic() - began
            others += await steps_sent(cluster, asked) - before
            if not outcome.committed or len(outcome.undone) != CONE:
                raise RuntimeError(f"not the cone that was made: {outcome}")
            latencies.append(outcome.seconds * 1000)
            paid = [costs.rollbacks.get(outcome.proposal, (0, 0)) for costs in await costs_of(cluster, asked)]
            counts.append(sum(count for count, _ in paid))
            sizes.append(sum(size for _, size in paid))
            participants = len(outcome.agents)
    alone, meanwhile = statistics.fmean(alone_per_s), others / spent
    return {
        "agents": agents, "backend": setting.backend, "hosts": HOSTS, "rollbacks": rollbacks,
        "latency_ms": statistics.median(latencies), "latency_ms_max": max(latencies),
        "messages": statistics.median(counts), "bytes": statistics.median(sizes), "participants": participants,
        "alone_per_s": alone, "meanwhile_per_s": meanwhile, "kept": meanwhile / alone if alone else None,
    }  # fmt: skip


async def _make_chain(cluster: Cluster, path: list[str], number: int) -> str:
    """Have ten agents take one step each, one because of the other; return the first step."""
    await cluster.submit(path[0], Hop(number, path))
    while (await cluster.state(path[-1])).get("last hop", [-1])[0] != number:
        await asyncio.sleep(0.005)
    return (await cluster.state(path[0]))["last hop"][1]
