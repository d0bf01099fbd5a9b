"""On a real Ray: each process opens what its tools need once, and closes it when it ends in order."""

from pathlib import Path

import pytest
from ray_resources import Writer

from peer import AgentSpec, Cluster

pytestmark = pytest.mark.ray


async def test_each_process_opens_a_resource_once_in_a_life_and_closes_it_at_its_end(tmp_path: Path) -> None:
    book = tmp_path / "book"
    agents = [AgentSpec(name, Writer, {"book": str(book)}) for name in ("a", "b")]
    async with Cluster("ray", agents_per_actor=2, folder=tmp_path / "logs") as cluster:
        await cluster.spawn_all(agents)
        await cluster.submit("a", "one", "two")
        await cluster.submit("b", "three")
        await cluster.quiet()
        assert await cluster.state("b") == {"three": "three in book"}
        (first,) = book.read_text().splitlines()
        await cluster.kill("a")
        await cluster.submit("b", "four")
        await cluster.quiet()
        opened = book.read_text().splitlines()
        assert (opened[0], len(opened)) == (first, 2)
    # Who was killed has closed nothing; the other has.
    assert book.read_text().splitlines() == [*opened, opened[1].replace("opened", "closed")]
