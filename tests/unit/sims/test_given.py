"""What a world can't be made of is named at once, with its value: nothing hangs, or fails later and elsewhere."""

import pytest

from peer import Agent
from peer.errors import CallerError
from sims import Workload, World
from sims.faults import Loss


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hosts": 0}, "hosts=0"),
        ({"agents_per_host": -1}, "agents_per_host=-1"),
        ({"checkpoint_every": -1}, "checkpoint_every=-1"),
        ({"checkpoints_kept": 0}, "checkpoints_kept=0"),
        ({"replicas": "2"}, "replicas='2'"),
        ({"topology": "mesh"}, "no topology 'mesh'; there are: ring, "),
        ({"checkpoint_policy": 5}, r"checkpoint_policy=5: it has no begin\(seed\)"),
        ({"checking": "never"}, "checking='never'"),
        ({"faults": 5}, "5 is no fault"),
        ({"faults": [Loss(5)]}, "Loss with a share of 5"),
    ],
)
def test_what_no_world_is_made_of_is_named(given, said):
    with pytest.raises(CallerError, match=said):
        World(1, **given)


@pytest.mark.parametrize(("given", "said"), [({"inputs": -1}, "inputs=-1"), ({"failing": 7}, "failing=7")])
def test_what_no_workload_is_is_named(given, said):
    with World(1) as world, pytest.raises(CallerError, match=said):
        world.populate(Workload(**given))


def test_nobody_does_no_work():
    with World(1, agents_per_host=0) as world, pytest.raises(CallerError, match="agents_per_host=0"):
        world.populate()


def test_a_step_of_nobody_is_not_rolled_back():
    with World(1) as world:
        world.spawn("one", Agent)
        for ask in (world.rollback, world.propose):
            with pytest.raises(CallerError, match="two/1/1: no agent 'two' was spawned"):
                ask("one/1/1", "two/1/1")
        assert world.now == 0


def test_an_agent_is_of_an_agents_class():
    with World(1) as world:
        with pytest.raises(CallerError, match="agent 'one': <class 'int'> is no class"):
            world.spawn("one", int)
        world.spawn("one", Agent)
        assert world.agents == ["one"]
