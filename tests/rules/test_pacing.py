"""Rule CP-9 with a policy: when it is asked, whose it is, and what it is told."""

from dataclasses import dataclass, field

from protocol.checkpoints.pacing import INTERVAL_US_MIN, STAND_IN
from protocol.limits import CheckpointLimits
from protocol.policy import Observation, Period
from tests.rules.crowd import Crowd

S = 1_000_000


@dataclass
class Told:
    """A policy that says what the test wants, and writes down what it is told."""

    interval: int
    seen: list[Observation] = field(default_factory=list)
    periods: list[Period] = field(default_factory=list)

    def interval_us(self, seen: Observation) -> int:
        self.seen.append(seen)
        return self.interval

    def learn(self, period: Period) -> None:
        self.periods.append(period)


class Maker:
    """Makes them, one for each life of each host."""

    def __init__(self, *intervals: int) -> None:
        self.intervals = intervals
        self.made: list[Told] = []
        self.seeds: list[int] = []

    def begin(self, seed: int) -> Told:
        self.seeds.append(seed)
        self.made.append(Told(self.intervals[len(self.made) % len(self.intervals)]))
        return self.made[-1]


def crowd_of(maker: Maker, *names: str) -> Crowd:
    return Crowd(*names, limits=CheckpointLimits(policy=maker))


def test_cp9_a_policy_says_when_and_is_told_what_each_period_has_cost() -> None:
    maker = Maker(1 * S)
    crowd = crowd_of(maker, "h0")
    crowd.rounds(35)
    (policy,) = maker.made
    assert crowd.machines["h0"].epochs.committed == 3
    assert [period.wanted_us for period in policy.periods[1:]] == [S, S, S]
    assert all(S <= period.span_us <= S + crowd.limits.gossip_us for period in policy.periods[1:])
    assert all(period.lost_us == 0 for period in policy.periods)
    assert [seen.failures for seen in policy.seen] == [0] * len(policy.seen)
    assert policy.seen[-1].lived_us == crowd.now_us - 5 * crowd.limits.gossip_us - S


def test_cp9_a_policy_is_asked_once_for_each_period() -> None:
    maker = Maker(1 * S)
    crowd = crowd_of(maker, "h0")
    crowd.cuts_by_hand.add("h0")
    crowd.rounds(45)
    # The epoch began once and is not committed: it is begun again and again, but by one choice.
    assert len(maker.made[0].seen) == len(maker.made[0].periods) + 1


def test_cp9_whatever_a_policy_says_the_next_begins_no_sooner_than_the_least_interval() -> None:
    crowd = crowd_of(Maker(1), "h0")
    assert crowd.machines["h0"].checkpointing.next_us == crowd.now_us + INTERVAL_US_MIN
    for says in (0, -5):
        asleep = crowd_of(Maker(says), "h0")
        asleep.rounds(50)
        assert asleep.machines["h0"].epochs.committed == 0


def test_cp9_the_first_of_the_view_paces_and_the_others_stand_in_for_it() -> None:
    maker = Maker(1 * S, 20 * S, 20 * S)
    crowd = crowd_of(maker, "h0", "h1", "h2")
    crowd.do("h0", crowd.machines["h0"].begin(1, crowd.now_us))
    crowd.rounds(60)
    commit = crowd.machines["h1"].epochs.commit
    assert commit is not None
    assert commit.view[0] == "h0"
    first, second, _ = maker.made
    assert [period.wanted_us for period in first.periods[-3:]] == [S, S, S]
    # The others hear of the same periods, and know that they have chosen none of them.
    assert [period.wanted_us for period in second.periods[-3:]] == [0, 0, 0]
    before = commit.epoch
    crowd.rounds(10 * (STAND_IN + 2), without=("h0",))
    # One that is away stops commits, but not beginnings.
    assert crowd.machines["h1"].epochs.colour > before


def test_cp9_a_restore_ends_a_period_and_tells_what_it_has_undone() -> None:
    maker = Maker(2 * S)
    crowd = crowd_of(maker, "h0")
    crowd.rounds(45)
    machine, (policy,) = crowd.machines["h0"], maker.made
    assert machine.epochs.committed == 2
    cut_us = machine.checkpointing.began_us
    crowd.do("h0", machine.restore(1, "wish", 2, "discard", "", 0, crowd.now_us))
    assert policy.periods[-1].lost_us == crowd.now_us - cut_us
    assert policy.periods[-1].cost_us == 0
    assert policy.seen[-1].failures == 1
    # The next period begins with the restore.
    assert machine.checkpointing.next_us == crowd.now_us + 2 * S
    crowd.rounds(25)
    assert machine.epochs.committed == 3
    assert policy.periods[-1].wanted_us == 2 * S
    assert policy.periods[-1].lost_us == 0


def test_cp9_a_restore_further_back_has_undone_more() -> None:
    maker = Maker(2 * S)
    crowd = crowd_of(maker, "h0")
    machine = crowd.machines["h0"]
    cuts: list[int] = []
    while machine.epochs.committed < 3:
        crowd.rounds(1)
        if machine.epochs.committed > len(cuts):
            cuts.append(machine.checkpointing.began_us)
    crowd.do("h0", machine.restore(1, "wish", 1, "discard", "", 0, crowd.now_us))
    assert maker.made[0].periods[-1].lost_us == crowd.now_us - cuts[0] >= 4 * S


def test_cp9_each_life_of_each_host_has_a_policy_and_a_seed_of_its_own() -> None:
    maker = Maker(1 * S)
    crowd = crowd_of(maker, "h0", "h1")
    assert len(set(maker.seeds)) == 2
    again = Maker(1 * S)
    crowd_of(again, "h0", "h1")
    assert again.seeds == maker.seeds
    crowd.start("h1")
    assert len(maker.made) == 3
    assert not maker.made[2].periods
