"""How many agents share a host, whether they fit, and how they travel to it."""

from pathlib import Path

import pytest

from ebbtide import Agent, Cluster
from peer.agents.spec import AgentSpec
from peer.backends import packing
from peer.backends.packing import available_bytes, check_fits, counting, few, together
from peer.backends.parcel import PART_BYTES, packed, unpacked
from peer.errors import CallerError


class Idle(Agent):
    pass


@pytest.mark.parametrize(
    ("agents", "hosts_up", "cores", "replicas", "found"),
    [
        (100, 0, 4, 0, 25),
        (101, 0, 4, 0, 26),
        (3, 0, 8, 0, 1),
        (100, 0, 1, 2, 34),
        (100, 3, 4, 0, 100),
        (100, 9, 4, 0, 100),
        (100_000, 0, 4, 0, 5_000),
    ],
)
def test_agents_are_shared_out_among_processors(
    agents: int, hosts_up: int, cores: int, replicas: int, found: int
) -> None:
    assert together(agents, hosts_up, cores, replicas) == found


def test_what_can_not_fit_is_refused_before_it_starts() -> None:
    check_fits(1_000, 2, "ray", 10**9)
    check_fits(10**9, 2, "ray", None)
    with pytest.raises(CallerError, match=r"1,000,000 agents on 4 hosts take at least 20\.2 GB"):
        check_fits(1_000_000, 4, "ray", 8 * 10**9)


async def test_a_cluster_refuses_what_does_not_fit_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable: 100 kB\n")
    async with Cluster("local") as cluster:
        with monkeypatch.context() as patch:
            patch.setattr(packing, "MEMINFO", meminfo)
            assert available_bytes() == 102_400
            with pytest.raises(CallerError, match="Nothing was started"):
                await cluster.spawn_all([AgentSpec(f"a{number}", Idle) for number in range(10)])
        ups: list[tuple[int, int]] = []
        specs = [AgentSpec(f"a{number}", Idle) for number in range(10)]
        await cluster.spawn_all(specs, counting(lambda up, of: ups.append((up, of)), 10))
        assert ups[-1] == (10, 10)


async def test_auto_is_a_number_of_agents() -> None:
    async with Cluster("local", agents_per_actor="auto", replicas=1) as cluster:
        await cluster.spawn_all([AgentSpec(f"a{number}", Idle) for number in range(10)])
        assert len(set(cluster.host.homes.values())) == 2
    with pytest.raises(CallerError, match="agents_per_actor"):
        Cluster("local", agents_per_actor="many")


def test_where_nothing_tells_how_much_memory_there_is_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packing, "MEMINFO", tmp_path / "none")
    assert available_bytes() is None


def test_many_names_are_told_in_short() -> None:
    assert few(["a", "b"]) == "a, b"
    assert few([f"a{number}" for number in range(2_000)]) == "a0, a1, a2 and 1,997 more"


def test_agents_travel_in_parts_that_ray_keeps_in_no_store() -> None:
    specs = [AgentSpec(f"a{number}", Idle, {"seed": f"{number:x}" * 40}) for number in range(20_000)]
    parts = packed(specs)
    assert len(parts) > 1
    assert all(len(part) <= PART_BYTES < 100_000 for part in parts)
    assert unpacked(parts) == specs
