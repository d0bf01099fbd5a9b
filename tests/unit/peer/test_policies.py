"""Policies of checkpoints: the formula, and learners that end near the best interval, whatever they were told first."""

from math import sqrt
from random import Random

import pytest

from peer import errors
from peer.policies import Bandit, Fixed, Hindsight, Ladder, Line, YoungDaly
from protocol.policy import Observation, Period

S = 1_000_000


def seen(cost_s=2.0, failures=0, lived_s=0.0):
    return Observation(0, round(cost_s * S), failures, round(lived_s * S))


def live(policy, mtbf_s, price, seed=1, failures=300):
    """Let a policy pace a machine that fails at random; return the intervals that it chose, in seconds."""
    rng, chosen, cost_us, told = Random(seed), [], 0, 0
    fails = rng.expovariate(1 / mtbf_s) * S
    now = 0.0
    while told < failures:
        wanted_us = policy.interval_us(Observation(round(now), cost_us, told, round(now)))
        chosen.append(wanted_us / S)
        price_us = round(price(wanted_us / S) * S)
        if now + wanted_us + price_us <= fails:
            now += wanted_us + price_us
            cost_us = price_us
            policy.learn(Period(wanted_us, wanted_us + price_us, price_us, 0))
        else:
            lost_us = max(1, round(fails - now))
            policy.learn(Period(wanted_us, lost_us, 0, lost_us))
            told, now = told + 1, fails
            fails += rng.expovariate(1 / mtbf_s) * S
    return chosen


def typical(chosen):
    late = sorted(chosen[len(chosen) // 2 :])
    return late[len(late) // 2]


def test_the_formula_is_the_formula():
    assert YoungDaly(failure_s=3600).begin(1).interval_us(seen()) == 120 * S
    assert YoungDaly(failure_s=3600, first_s=7).begin(1).interval_us(seen(cost_s=0)) == 7 * S
    assert Fixed(3.5).begin(1).interval_us(seen()) == 3_500_000


def test_the_measured_formula_goes_from_what_was_assumed_to_what_is_seen():
    policy = YoungDaly(assumed_s=3600).begin(1)
    assert policy.interval_us(seen()) == 120 * S
    often = policy.interval_us(seen(failures=99, lived_s=9900))
    assert often == pytest.approx(sqrt(2 * 2 * 135) * S, rel=1e-3)


@pytest.mark.parametrize("told", [1 / 30, 1.0, 30.0])
def test_hindsight_ends_near_the_best_interval_whatever_it_was_told(told):
    best = sqrt(2 * 2 * 1800)
    chosen = live(Hindsight(best * sqrt(told), 0.5, 8000).begin(3), 1800, lambda interval: 2.0)
    assert best / 1.6 < typical(chosen) < best * 1.6


@pytest.mark.parametrize("told", [1 / 30, 1.0, 8.0])
def test_the_bandit_ends_near_the_best_interval(told):
    best = sqrt(2 * 2 * 1800)
    chosen = live(Bandit(best * sqrt(told), 0.5, 8000).begin(3), 1800, lambda interval: 2.0)
    assert best / 3 < typical(chosen) < best * 3


def test_hindsight_is_not_misled_by_a_cost_that_grows_with_the_interval_and_the_formula_is():
    # What is proportional is paid at any interval: only the fixed part should count.
    best = sqrt(2 * 2 * 1800)

    def price(interval):
        return 2.0 + 0.1 * interval

    assert best / 1.6 < typical(live(Hindsight(best, 0.5, 8000).begin(3), 1800, price)) < best * 1.6
    assert typical(live(YoungDaly(failure_s=1800).begin(3), 1800, price)) > 3 * best


@pytest.mark.parametrize("policy", [Bandit(60.0), Hindsight(60.0)])
def test_equal_seeds_choose_alike_and_a_policy_keeps_to_its_bounds(policy):
    assert live(policy.begin(5), 600, lambda interval: 1.0, failures=30) == live(
        policy.begin(5), 600, lambda interval: 1.0, failures=30
    )
    tight = type(policy)(first_s=60.0, least_s=40.0, most_s=100.0)
    assert all(40 <= interval <= 100 for interval in live(tight.begin(5), 600, lambda i: 1.0, failures=30))


def test_a_bandit_does_not_learn_from_periods_that_others_have_chosen():
    policy = Bandit(first_s=1.0).begin(1)
    for _ in range(100):
        policy.learn(Period(0, S, S, 5 * S))
    assert policy.interval_us(seen()) == S


def test_hindsight_remembers_only_the_newest_gaps():
    policy = Hindsight(60.0, remembers=8).begin(1)
    live(policy, 100_000, lambda interval: 2.0, failures=12)
    slow = typical(live(policy, 100_000, lambda interval: 2.0, failures=8))
    quick = typical(live(policy, 200, lambda interval: 2.0, failures=60))
    assert quick < slow / 5


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (Fixed(0), "interval_s=0"),
        (YoungDaly(failure_s=-1), "failure_s=-1"),
        (Bandit(first_s=5, most_s=2), "first_s=5"),
        (Hindsight(first_s=float("nan")), "first_s=nan"),
        (Hindsight(remembers=0), "remembers=0"),
    ],
)
def test_a_setting_that_cannot_be_is_named(policy, said):
    with pytest.raises(errors.ConfigInvalid, match=said):
        policy.begin(1)


# -- the parts ---------------------------------------------------------------------------------------------------------


def test_a_ladder_finds_the_least_of_a_valley_and_tries_only_its_neighbours():
    ladder = Ladder([1, 2, 4, 8, 16, 32, 64], 0, 0.0, Random(1))
    rng, tried = Random(2), []
    for _ in range(600):
        best, at = ladder.best(), ladder.choose()
        assert abs(at - best) <= 1
        tried.append(at)
        ladder.learn(at, abs(ladder.arms[at] - 8) + rng.random(), 1.0)
    assert ladder.arms[ladder.best()] == 8
    assert sum(ladder.arms[at] == 8 for at in tried[-200:]) > 150


def test_a_ladder_that_forgets_follows_when_the_valley_moves():
    ladder = Ladder([1, 2, 4, 8, 16, 32, 64], 0, 60.0, Random(1))
    for valley in (4, 32):
        for _ in range(800):
            at = ladder.choose()
            ladder.learn(at, abs(ladder.arms[at] - valley), 1.0)
        assert ladder.arms[ladder.best()] == valley


def test_a_line_is_fitted_and_neither_starts_nor_falls_below_nothing():
    line = Line()
    assert not line.is_known()
    for x in (10.0, 20.0, 30.0):
        line.add(x, 3.0 + 0.5 * x)
    assert line.at(100.0) == pytest.approx(53.0)
    falling = Line()
    for x, y in ((10.0, 5.0), (20.0, 3.0)):
        falling.add(x, y)
    assert falling.at(100.0) == pytest.approx(4.0, rel=0.01)
    steep = Line()
    for x, y in ((10.0, 1.0), (20.0, 9.0)):
        steep.add(x, y)
    assert steep.at(0.0) == 0.0
