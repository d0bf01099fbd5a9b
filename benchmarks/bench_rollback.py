"""How does the cost of a rollback grow with the number of agents? A cone of ten steps, with traffic around it.

At each size the same is done: tokens run round among neighbours, and now and then a chain of ten steps is undone. What
others do meanwhile is compared with what they do when nothing is undone, in the same run.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from ebbtide import Agent, AgentSpec, Cluster, Context, handles

CONE = 10
"""Steps in the cone, each at another agent."""
TOKENS = 8
"""Tokens that run round, at every size: the traffic is the same, however many agents there are."""
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
        self.state["last hop"] = [message.number, str(ctx.step)]
        if len(message.path) > 1:
            ctx.send(message.path[1], Hop(message.number, message.path[1:]))

    @handles(Token)
    async def token(self, message: Token, ctx: Context) -> None:
        ctx.send(message.round[1], Token([*message.round[1:], message.round[0]]))


@dataclass
class Row:
    """One size."""

    agents: int
    hosts: int
    rollbacks: int
    latency_ms_median: float
    latency_ms_max: float
    messages_median: float
    bytes_median: float
    electors: int
    others_per_s_alone: float
    """Steps a second of the traffic while nothing is undone."""
    others_per_s_meanwhile: float
    """The same while one rollback follows the other."""

    @property
    def kept(self) -> float:
        """What part of the others' work goes on during rollbacks."""
        return self.others_per_s_meanwhile / self.others_per_s_alone


async def measure(
    agents: int, hosts: int, rollbacks: int, seconds: float, backend: str, told: Callable[[str], None]
) -> Row:
    """Measure one size.

    Args:
        agents: how many, packed onto `hosts`.
        rollbacks: how many are timed.
        seconds: how long the traffic is watched alone.
        told: hears what is going on.
    """
    async with Cluster(backend, agents_per_actor=-(-agents // hosts)) as cluster:
        told(f"{agents} agents: starting")
        await cluster.spawn_all([AgentSpec(_name(number), Relay) for number in range(agents)])
        for token in range(TOKENS):
            first = token * agents // TOKENS
            names = [_name((first + number) % agents) for number in range(NEIGHBOURS)]
            await cluster.submit(names[0], Token(names))
        path = [_name(number * agents // CONE) for number in range(CONE)]
        hosts_by = await _hosts(cluster)
        await _roll_back(cluster, path, 0)
        told(f"{agents} agents: traffic alone")
        before, began = await _sent(cluster, hosts_by), time.monotonic()
        await asyncio.sleep(seconds)
        alone = (await _sent(cluster, hosts_by) - before) / (time.monotonic() - began)
        latencies: list[float] = []
        costs: list[tuple[int, int]] = []
        others, spent, electors = 0, 0.0, 0
        for number in range(1, rollbacks + 1):
            told(f"{agents} agents: rollback {number} of {rollbacks}")
            root = await _make_chain(cluster, path, number)
            before, began = await _sent(cluster, hosts_by), time.monotonic()
            outcome = await cluster.rollback(root, inputs="discard", reason="benchmark")
            spent += time.monotonic() - began
            others += await _sent(cluster, hosts_by) - before
            if not outcome.committed or len(outcome.undone) != CONE:
                raise RuntimeError(f"not the cone that was made: {outcome}")
            latencies.append(outcome.seconds * 1000)
            costs.append(await _cost(cluster, hosts_by, outcome.proposal))
            electors = len(outcome.agents)
        meanwhile = others / spent
    return Row(
        agents, hosts, rollbacks,
        round(statistics.median(latencies), 2), round(max(latencies), 2),
        statistics.median(count for count, _ in costs), statistics.median(size for _, size in costs),
        electors, round(alone, 1), round(meanwhile, 1),
    )  # fmt: skip


async def _make_chain(cluster: Cluster, path: list[str], number: int) -> str:
    """Have ten agents take one step each, one because of the other; return the first step."""
    await cluster.submit(path[0], Hop(number, path))
    while (await cluster.state(path[-1])).get("last hop", [-1])[0] != number:
        await asyncio.sleep(0.005)
    return (await cluster.state(path[0]))["last hop"][1]


async def _roll_back(cluster: Cluster, path: list[str], number: int) -> None:
    """Warm up: the first rollback opens connections that later ones find open."""
    await cluster.rollback(await _make_chain(cluster, path, number), inputs="discard", reason="warm-up")


async def _hosts(cluster: Cluster) -> list[str]:
    """Return one agent of each host, to ask the host by."""
    by_host = {(await cluster.status(agent)).host: agent for agent in cluster.agents}
    return sorted(by_host.values())


async def _sent(cluster: Cluster, hosts: list[str]) -> int:
    """Return how many messages of steps have been sent: each is a step of the traffic."""
    return sum([(await cluster.costs(agent)).messages.get("Data", 0) for agent in hosts])


async def _cost(cluster: Cluster, hosts: list[str], proposal: str) -> tuple[int, int]:
    """Return the messages and bytes that all hosts have sent for a rollback."""
    costs = [(await cluster.costs(agent)).rollbacks.get(proposal, (0, 0)) for agent in hosts]
    return sum(count for count, _ in costs), sum(size for _, size in costs)


def _name(number: int) -> str:
    return f"relay-{number}"


def as_json(rows: list[Row]) -> list[dict[str, object]]:
    """Return rows for a JSON file."""
    return [{**asdict(row), "others_kept": round(row.kept, 3)} for row in rows]
