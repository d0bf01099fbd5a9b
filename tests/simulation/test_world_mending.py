"""Disks that rot in a world: what can't be read is mended from a copy, and nothing is lost or done twice (CP-11)."""

import pytest

from protocol.ids import AgentId
from sims.runs.scenario import HOST_LIMITS
from sims.workload import Workload
from sims.world import World


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("where", ["middle", "end", "all"])
def test_a_log_that_rots_while_its_host_is_down_is_mended_from_a_backups_copy(seed: int, where: str) -> None:
    with World(
        seed, hosts=3, agents_per_host=2, replicas=1, replicated=True, checkpoint_every=0.1, host_limits=HOST_LIMITS
    ) as world:
        world.populate(Workload(inputs=20, depth=3))
        world.run(until=0.6)
        engine = world.engine
        box = engine.box("host-1")
        world.crash("host-1", restart_after=None)
        damaged: list[AgentId] = []
        for agent in box.specs:
            length, begin = len(box.disk.logs[agent]), box.disk.anchors.get(agent, 0) + 1
            first, last = {"middle": (begin, begin), "end": (length, length), "all": (begin, length)}[where]
            box.disk.rot(agent, first, last)
            damaged.append(agent)
        world.restart("host-1")
        world.settle()
        told = [(notice.agent, notice.notice) for notice in box.host.notices] if box.host else []
        for agent in damaged:
            assert (agent, "log-damaged") in told
            assert (agent, "log-mended") in told
            assert box.disk.damages(agent) == []
        assert box.host is not None
        assert box.host.residents.broken == {}
        world.check()
