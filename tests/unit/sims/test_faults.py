"""Faults are values: they combine, survive JSON, and are the same for the same seed."""

import msgspec
import pytest

from sims import faults
from sims.faults import Crash, Delay, KillAtStep, Loss, Partition
from sims.runs.scenario import PRESETS, Scenario, preset
from sims.topology import TOPOLOGIES, topology_of
from sims.virtual.chance import Pareto

ALL = (*faults.KINDS, *faults.NEED_REPLICAS, *faults.AT_WRITES)
HOSTS = ("host-1", "host-2", "host-3")


def test_faults_combine():
    one, two, three = Loss(0.1), Crash("host-1", 0.2), Partition(("host-1",), heal=None)
    assert one + two == [one, two]
    assert one + two + three == [one, two, three]
    more = [two, three]
    assert one + more == [one, two, three]


def test_faults_survive_json():
    given = [
        Loss(0.1, source="host-1"), Delay(Pareto(10, 1.2)), Partition(("host-1",), ("host-2",), 0.1, None, True),
        KillAtStep("a", 3, "asked"), Crash("host-1", disk="lost", keep=0.25),
    ]  # fmt: skip
    assert faults.from_json(faults.to_json(given)) == given


def test_random_faults_are_the_same_for_the_same_seed_and_of_every_kind():
    drawn = [faults.random(seed, HOSTS, ["a", "b"], kinds=ALL, count=8) for seed in range(300)]
    assert drawn[7] == faults.random(7, HOSTS, ["a", "b"], kinds=ALL, count=8)
    kinds = {type(fault) for some in drawn for fault in some}
    assert kinds == set(faults.Fault.__args__)
    assert {fault.disk for some in drawn for fault in some if isinstance(fault, Crash)} == {"kept", "torn", "lost"}


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="earthquake"):
        faults.random(1, HOSTS, ["a"], kinds=("earthquake",))


@pytest.mark.parametrize("name", PRESETS)
def test_a_scenario_survives_json(name):
    for seed in range(20):
        scenario = preset(name, seed)
        assert msgspec.json.decode(scenario.to_json(), type=Scenario) == scenario == preset(name, seed)


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 12, 40])
def test_topologies_have_every_agent_and_nobody_writes_to_a_stranger(name, count):
    graph = topology_of(name, count, 3)
    assert sorted(graph) == list(range(count))
    assert graph == topology_of(name, count, 3)
    for agent, targets in graph.items():
        assert agent not in targets
        assert set(targets) <= set(graph)
    if count > 2 and name not in ("pipeline", "dag"):
        assert all(graph.values())


def test_topologies_look_as_they_are_called():
    assert topology_of("ring", 4) == {0: (1, 3), 1: (0, 2), 2: (1, 3), 3: (0, 2)}
    assert topology_of("pipeline", 3) == {0: (1,), 1: (2,), 2: ()}
    assert topology_of("star", 4)[0] == (1, 2, 3)
    assert topology_of("all-to-all", 4)[2] == (0, 1, 3)
    assert all(target > agent for agent, targets in topology_of("dag", 30).items() for target in targets)
    assert {len(targets) for targets in topology_of("random-regular", 30).values()} == {4}
    degrees = sorted(len(targets) for targets in topology_of("scale-free", 200).values())
    assert degrees[-1] > 5 * degrees[100]
    assert topology_of("client-server", 30)[29] == (29 % 3,)
    with pytest.raises(ValueError, match="no topology 'klein-bottle'"):
        topology_of("klein-bottle", 3)
