"""Worlds whose checkpoints a policy paces: by the formula, or by what earlier ones have cost."""

import pytest

from peer.policies import Bandit, Fixed, Hindsight, YoungDaly
from sims.faults import Crash
from sims.virtual.chance import Constant
from sims.workload import Periodic, Workload
from sims.world import World


class Noting:
    """A policy that writes down what it is told, by the host that it is made for."""

    def __init__(self, interval_us):
        self.interval = interval_us
        self.periods = []

    def interval_us(self, seen):
        return self.interval

    def learn(self, period):
        self.periods.append(period)


class NotingMaker:
    def __init__(self, interval_us):
        self.interval, self.made = interval_us, []

    def begin(self, seed):
        self.made.append(Noting(self.interval))
        return self.made[-1]


def world_with(policy, faults=(), seed=4):
    world = World(seed, hosts=3, agents_per_host=2, faults=faults, checkpoint_policy=policy, checkpoints_kept=50)
    world.populate(Workload(inputs=300, arrivals=Periodic(0.01), depth=1, failing=0.0))
    return world


def committed(world):
    return [world.engine.boxes[host].host.checkpoints.machine.epochs.committed for host in world.hosts]


def test_a_world_makes_a_checkpoint_as_often_as_its_policy_says():
    with world_with(Fixed(0.25)) as often, world_with(Fixed(1.0)) as seldom:
        for world in (often, seldom):
            world.run(until=3.0)
        assert 8 <= min(committed(often)) <= 12
        assert 2 <= min(committed(seldom)) <= 3


def test_a_world_comes_to_rest_though_its_policy_lets_one_checkpoint_follow_the_other():
    # Frames that take long: a commit takes longer than the wait for the next, and longer than a world looks for rest.
    with World(4, hosts=3, delay=Constant(100_000), checkpoint_policy=Fixed(0.001), checking="end") as world:
        world.populate(Workload(inputs=10, failing=0.0))
        world.run(until=3.0)
        assert "host-1" not in world.busy()
        assert world.settle(limit=20.0) < 20.0
        assert min(committed(world)) > 3


def test_the_formula_takes_the_cost_that_the_world_has_measured():
    with world_with(YoungDaly(failure_s=20.0, first_s=0.2)) as world:
        world.run(until=3.0)
        machine = world.engine.boxes["host-1"].host.checkpoints.machine
        cost_s = machine.checkpointing.cost_us / 1e6
        assert 0 < cost_s < 0.1
        assert len(world.steps()) > 300
        expected = 3.0 / (2 * cost_s * 20.0) ** 0.5
        assert expected / 3 < min(committed(world)) < expected * 3


def test_a_restore_is_told_to_the_policies_with_what_it_has_undone():
    maker = NotingMaker(500_000)
    with world_with(maker) as world:
        world.run(until=1.9)
        world.restore(min(committed(world)), inputs="retry")
        world.settle()
        ended = [[period for period in policy.periods if period.lost_us] for policy in maker.made]
        assert [len(periods) for periods in ended] == [1, 1, 1]
        assert all(0 < periods[0].lost_us < 700_000 for periods in ended)
        # One of them has chosen the intervals; the others know that they have not.
        pacing = [policy for policy in maker.made if any(period.wanted_us for period in policy.periods[2:])]
        assert len(pacing) == 1
        world.check()


@pytest.mark.parametrize("policy", [Bandit(first_s=0.2), Hindsight(first_s=0.2)])
def test_learners_pace_a_world_with_restores_and_crashes_and_every_run_is_the_same(policy):
    def play():
        with world_with(policy, Crash("host-2", at=1.2, restart_after=0.1)) as world:
            for number in range(1, 4):
                world.run(until=0.9 * number)
                world.restore(min(committed(world)), inputs="retry")
            world.settle()
            world.check()
            return min(committed(world)), world.trace_hash()

    first = play()
    assert first[0] >= 5
    assert play() == first


def test_a_pacing_host_that_is_gone_stops_no_checkpoint_for_long():
    with World(4, hosts=3, agents_per_host=1, checkpoint_policy=Fixed(0.2), replicas=1, successor=1.0) as world:
        world.populate(Workload(inputs=20, failing=0.0))
        world.run(until=2.0)
        view = world.engine.boxes["host-2"].host.checkpoints.machine.epochs.commit.view
        (first,) = [box.name for box in world.engine.boxes.values() if box.keys.host_id == view[0]]
        before = max(committed(world))
        world.engine.bury(first)
        world.run(until=25.0)
        alive = [name for name in world.hosts if name != first]
        after = [world.engine.boxes[name].host.checkpoints.machine.epochs.committed for name in alive]
        assert min(after) > before + 10
        world.check()
