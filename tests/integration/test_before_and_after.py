"""Before a cluster has begun, and once it has ended, whoever asks is told so at once."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, CallerError, Cluster, Context, handles
from peer.cluster.asker import Asker
from peer.cluster.attached import Attached
from peer.cluster.branching import Branching
from peer.cluster.doubting import Doubting
from peer.cluster.draining import Draining
from peer.cluster.inquirer import Inquirer
from peer.cluster.member import Member
from peer.cluster.moving import Mover
from peer.cluster.operating import Operating
from peer.cluster.people import People

pytestmark = pytest.mark.timeout(20)  # a question without an answer waits longer


class Counter(Agent):
    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "spawn": (("b", Counter), {}),
    "spawn_all": (([],), {}),
    "kill": (("a",), {}),
    "leave": (("a",), {}),
    "move": (("a", "b"), {}),
    "even_out": ((), {}),
    "measures": ((), {}),
    "health": ((), {}),
    "about": ((), {}),
    "drain": (("a",), {}),
    "undrain": (("a",), {}),
    "submit": (("a", 1), {}),
    "erase": (("c-1",), {}),
    "checkpoint": ((), {}),
    "restore": ((1,), {}),
    "epochs": ((), {}),
    "effects": ((), {}),
    "quiet": ((), {}),
    "preview": (("a/1/1",), {}),
    "compensate": (("a/1/1",), {"reason": "why"}),
    "rollback": (("a/1/1",), {}),
    "propose": ((), {}),
    "outcome": (("a/1",), {}),
    "rollback_to": (("a", "a/1/1"), {}),
    "effects_of": (("a",), {}),
    "retry": (("a/1/1#1",), {}),
    "settle": (("a/1/1#1",), {"happened": True, "note": "seen"}),
    "status": (("a",), {}),
    "statuses": ((["a"],), {}),
    "profile": (("a",), {}),
    "profiles": ((["a"],), {}),
    "states": ((["a"],), {}),
    "all_of": ((["a"], "status", object), {}),
    "state": (("a",), {}),
    "shared": (("a",), {}),
    "dead_letters": (("a",), {}),
    "dead_letters_of": (("a",), {}),
    "notices": (("a",), {}),
    "requests": (("a",), {}),
    "release": (("a", "x", "note"), {}),
    "inbox": ((), {}),
    "approve": (("a", "x"), {}),
    "reject": (("a", "x"), {}),
    "answer": (("a", "x", 1), {}),
    "pause": (("a",), {}),
    "resume": (("a",), {}),
    "tiers": (("a",), {}),
    "suspect": (("a/1/1",), {"to": "b"}),
    "overturn": (("a/1/1", "fine"), {}),
    "set_tier": (("a", "x", "note"), {}),
    "sagas": (("a",), {}),
    "fail_saga": (("a", "x", "why"), {}),
    "cancel": (("a", "x"), {}),
    "ballots": (("a",), {}),
    "costs": (("a",), {}),
    "cuts": (("a",), {}),
}
"""By method, what it is called with."""
LIFE = {"start", "stop", "detach"}
"""What begins and ends: not asked for in between."""
INNER = {"propose"}
"""What takes values that only the runtime makes."""


def test_every_question_is_among_these() -> None:
    found = {
        name
        for kind in (
            Cluster,
            Attached,
            Branching,
            Doubting,
            Member,
            Draining,
            Operating,
            Mover,
            People,
            Asker,
            Inquirer,
        )
        for name, value in vars(kind).items()
        if not name.startswith("_") and inspect.iscoroutinefunction(value)
    }
    assert found == set(CALLS) | LIFE


@pytest.mark.parametrize("name", sorted(set(CALLS) - INNER))
async def test_whoever_asks_before_the_beginning_or_after_the_end_is_told_at_once(name: str) -> None:
    args, options = CALLS[name]
    cluster = Cluster("local")
    with pytest.raises(CallerError, match=r"is not started\. Nothing was done\. Write 'async with"):
        await getattr(cluster, name)(*args, **options)
    async with cluster:
        await cluster.spawn("a", Counter)
    with pytest.raises(CallerError, match=r"has ended, .* Nothing was done\. Ask inside the block"):
        await getattr(cluster, name)(*args, **options)


async def test_a_cluster_can_be_started_and_stopped_without_a_block(tmp_path: Path) -> None:
    cluster = await Cluster("local", folder=tmp_path).start()
    await cluster.spawn("a", Counter)
    await cluster.submit("a", 1)
    await cluster.stop()
    await cluster.stop()
    with pytest.raises(CallerError, match=r"has ended, with stop\(\)"):
        await cluster.quiet()
    with pytest.raises(CallerError, match="was started before"):
        await cluster.start()
    unused = Cluster("local", folder=tmp_path)
    await unused.stop()
    async with unused:
        await unused.spawn("a", Counter)
        assert await unused.state("a") == {"sum": 1}
        await unused.stop()
    with pytest.raises(CallerError, match="has ended"):
        await unused.quiet()


async def test_a_cluster_is_started_once_and_another_goes_on_in_its_folder(tmp_path: Path) -> None:
    cluster = Cluster("local", folder=tmp_path)
    async with cluster:
        await cluster.spawn("a", Counter)
        await cluster.submit("a", 1)
        with pytest.raises(CallerError, match="was started before"):
            await cluster.__aenter__()
        await cluster.quiet()
    with pytest.raises(CallerError, match="was started before"):
        await cluster.__aenter__()
    async with Cluster("local", folder=tmp_path) as again:
        await again.spawn("a", Counter)
        assert await again.state("a") == {"sum": 1}


async def test_whoever_waits_for_an_answer_when_the_cluster_ends_is_told() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Counter)
        await cluster.kill("a", for_good=True)
        asked = asyncio.ensure_future(cluster.status("a"))
        await asyncio.sleep(0)  # it has asked, and nobody is there
        assert not asked.done()
    with pytest.raises(CallerError, match=r"ended.* before an answer came"):
        await asked
