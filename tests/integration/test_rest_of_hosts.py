"""What a host says of its agents' rest: who has done nothing is not looked at again, who is busy is."""

import asyncio

import pytest

from ebbtide import Agent, Cluster, Context, handles
from peer.agents.spec import AgentSpec
from peer.host import questions
from peer.host.host import Host
from peer.host.together import REST, AtRest
from protocol.agent.looking import Looking, StatusSeen


class Gate(Agent):
    """Waits, in a step, until it may go on."""

    opened: asyncio.Event

    @handles(int)
    async def wait(self, message: int, ctx: Context) -> None:
        self.state["n"] = message
        await type(self).opened.wait()


async def rest_of(host: Host, agent: str) -> AtRest:
    return questions.decode(await host.asking.ask_host(host.homes[agent], REST, b"", timeout_s=10), AtRest)


async def test_idle_agents_are_not_looked_at_and_busy_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Gate.opened = asyncio.Event()
    async with Cluster("local", agents_per_actor=50, checkpoint_every_s=0) as cluster:
        await cluster.spawn_all([AgentSpec(f"a{number}", Gate, {}) for number in range(50)])
        await cluster.quiet()
        looks = 0
        status = Looking.status

        def counted(self: Looking) -> StatusSeen:
            nonlocal looks
            looks += 1
            return status(self)

        monkeypatch.setattr(Looking, "status", counted)
        before = await rest_of(cluster.host, "a0")
        assert (before.busy, looks) == (0, 0)
        await cluster.submit("a7", 1)
        busy = await rest_of(cluster.host, "a0")
        assert (busy.busy, [agent for agent, _ in busy.named], looks) == (1, ["a7"], 1)
        Gate.opened.set()
        await cluster.quiet()
        after = await rest_of(cluster.host, "a0")
        assert (after.busy, after.life) == (0, before.life)
        assert after.moved > before.moved
        assert looks < 20
