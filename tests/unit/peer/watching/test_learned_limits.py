"""A limit that learns, what its log tells of other limits, and the chance that a score is wrong."""

from random import Random

import pytest

from peer.watching import Labelled, Learned, off_policy
from peer.watching.chances import BOUNDS, PRIOR, chance_of


def stream(seed: int, count: int, off: float) -> list[tuple[float, bool]]:
    """Scores of steps of which one in twenty is wrong, and then higher by so much."""
    chance = Random(seed)
    found: list[tuple[float, bool]] = []
    for _ in range(count):
        wrong = chance.random() < 0.05
        found.append((abs(chance.gauss(off if wrong else 0.0, 0.33)), wrong))
    return found


def labelled(steps: list[tuple[float, bool]], learned: Learned, limit: float, seed: int) -> list[Labelled]:
    """Those of which the truth comes out under a limit, by alarms and audits."""
    chance = Random(f"audit/{seed}")
    found: list[Labelled] = []
    for score, wrong in steps:
        if score >= limit:
            found.append(Labelled(score, wrong))
        elif chance.random() < (audit := learned.audit(score, limit)):
            found.append(Labelled(score, wrong, audit))
    return found


def test_a_log_tells_what_other_limits_would_have_cost_though_another_one_was_in_force() -> None:
    learned = Learned(explore=0.5)
    steps = stream(1, 40_000, 1.3)
    known = labelled(steps, learned, 1.5, 1)
    for limit in (0.7, 1.0, 1.5, 2.0):
        seen = [Labelled(*step) for step in steps if step[0] >= learned.low]
        true = sum(learned.cost(limit, step) for step in seen) / len(seen)
        (estimate,) = off_policy(learned, known, [limit])
        assert abs(estimate.cost - true) <= 1.5 * estimate.half, (limit, true, estimate)


def test_it_goes_down_where_it_misses_and_up_where_it_cries_wolf() -> None:
    learned = Learned()
    missing = [Labelled(0.75, True, 0.3)] * 15 + [Labelled(0.6, False, 0.2)] * 15
    assert learned.next(1.0, missing) < 0.75
    wolf = [Labelled(1.2, False)] * 15 + [Labelled(3.0, True)] * 5
    assert 1.2 < learned.next(1.0, wolf) <= 3.0


def test_it_never_leaves_its_bounds_and_needs_more_than_a_few_steps() -> None:
    learned = Learned(low=0.8, high=2.0, patience=10)
    assert learned.next(1.0, [Labelled(9.0, False)] * 9) == 1.0
    assert learned.next(1.0, [Labelled(9.0, False)] * 50) == 1.0, "no limit up to 2 is better: none is moved to"
    assert learned.next(1.0, [Labelled(1.5, False)] * 50) <= 2.0
    assert min(learned.limits()) == 0.8
    assert max(learned.limits()) == pytest.approx(2.0)


def test_what_may_be_chance_moves_nothing() -> None:
    learned = Learned(margin=1.0)
    one = [Labelled(1.2, False), Labelled(1.2, True)] * 10
    assert learned.next(1.0, one) == 1.0


def test_nothing_below_the_lowest_limit_is_audited_and_more_the_nearer_to_the_limit() -> None:
    learned = Learned(explore=0.3)
    assert learned.audit(0.4, 1.0) == 0.0
    assert learned.audit(1.0, 1.0) == 0.0
    assert 0 < learned.audit(0.6, 1.0) < learned.audit(0.9, 1.0) < 0.3


def test_a_chance_rises_with_the_score_whatever_has_come_out() -> None:
    assert [chance_of(bound, []) for bound in (0.0, *BOUNDS)] == list(PRIOR)
    known = [(1.1, True, 1.0)] * 20 + [(2.0, False, 1.0)] * 20
    chances = [chance_of(bound, known) for bound in (0.0, *BOUNDS)]
    assert chances == sorted(chances)
    assert chance_of(3.0, [(3.0, False, 1.0)] * 50) < 0.1
