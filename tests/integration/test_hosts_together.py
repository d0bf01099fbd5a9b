"""What hosts do about each other, with real logs and drivers: an agent that moves, a goodbye, a death."""

import asyncio
from collections.abc import Callable
from typing import Any

from peer import Agent, Cluster, Context, handles
from peer.host.host import Host
from protocol.fact import State


class Counter(Agent):
    @handles(int)
    def add(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


def hosts(cluster: Cluster) -> list[Host]:
    backend: Any = cluster._backend
    return [place.host for place in backend._places]


async def soon(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    until = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.01)


async def test_an_agent_that_another_host_claims_by_a_higher_term_is_stopped_and_listed_no_more() -> None:
    async with Cluster("local", agents_per_actor=2) as cluster:
        for name in ("a", "b", "c"):
            await cluster.spawn(name, Counter)
        await cluster.submit("b", 1)
        first, second = hosts(cluster)
        assert set(first.drivers) == {"a", "b"}
        second.neighbours.claim("b", second.neighbours.machine.term("b") + 1)
        await soon(lambda: set(first.drivers) == {"a"})
        assert [notice.notice for notice in first.notices if notice.agent == "b"][-1] == "displaced"
        await soon(lambda: all(fact.agents == ("a",) for fact in cluster.host.known_hosts() if "a" in fact.agents))
        await (await cluster.submit("a", 5)).done()
        assert (await cluster.status("a")).steps == 1


async def test_mb8_a_successor_claims_again_what_a_host_that_it_has_succeeded_is_said_to_have() -> None:
    async with Cluster("local", agents_per_actor=2) as cluster:
        for name in ("a", "b", "c", "d", "e"):
            await cluster.spawn(name, Counter)
        first, second, third = hosts(cluster)
        # The second has succeeded the third, and the first the second.
        first.checkpoints.machine.succession.successors |= {
            third.host_id: second.host_id,
            second.host_id: first.host_id,
        }
        for late, term in ((third, 5), (second, 9)):
            late.neighbours.claim("a", term)
            await soon(lambda term=term: first.neighbours.machine.term("a") == term + 1)
        assert set(first.drivers) == {"a", "b"}
        await soon(lambda: all(host.homes["a"] == first.host_id for host in (*hosts(cluster), cluster.host)))
        await (await cluster.submit("a", 5)).done()
        assert (await cluster.status("a")).steps == 1


async def test_who_says_goodbye_has_left_and_who_does_not_is_found_to_have_failed() -> None:
    async with Cluster("local") as cluster:
        for name in ("a", "b", "c"):
            await cluster.spawn(name, Counter)
        one, other, last = hosts(cluster)
        machine = last.neighbours.machine
        await soon(lambda: len(machine.living()) == 4)
        one.leave()
        await one.close()
        await soon(lambda: machine.standing(one.host_id) == State.LEFT)
        await other.close()
        await soon(lambda: machine.standing(other.host_id) == State.FAILED)
        assert machine.living() == sorted((last.host_id, cluster.host.host_id))
        assert machine.failed_since(other.host_id) is not None
        await cluster.kill("b")
        await soon(lambda: machine.standing(other.host_id) == State.ALIVE)
