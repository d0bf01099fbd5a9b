"""The study of limits that learn: its figures are what its parts say."""

import pytest

from peer.watching import Labelled, Learned
from sims.studies.limits import CASES, Case, fixed, learning, stream, study


def test_a_stream_is_the_same_for_a_seed_and_has_the_share_of_wrong_steps() -> None:
    found = stream(CASES[0], 1, 5000)
    assert found == stream(CASES[0], 1, 5000)
    assert sum(found.wrong) / 5000 == pytest.approx(0.02, abs=0.006)


def test_a_fixed_limit_costs_what_its_steps_cost() -> None:
    costs = Learned()
    found = stream(CASES[0], 1, 2000)
    steps = [Labelled(*pair) for pair in zip(found.scores, found.wrong, strict=True)]
    assert fixed(found, 1.0, costs) == pytest.approx(sum(costs.cost(1.0, step) for step in steps) / 2)


def test_learning_beats_the_charts_own_limit_where_what_is_normal_drifts() -> None:
    case = Case("drift", lambda at: 8.0, lambda at: 1.0 + at)
    found = stream(case, 3, 6000)
    assert learning(found, Learned(), 3) < fixed(found, 1.0, Learned())


def test_a_learner_that_never_moves_costs_what_its_limit_costs() -> None:
    found = stream(CASES[0], 2, 3000)
    still = Learned(patience=1 << 30, explore=0.0)
    assert learning(found, still, 2) == pytest.approx(fixed(found, 1.0, still))


def test_a_line_has_regret_against_the_best_of_all_limits() -> None:
    line = study(CASES[0], range(2), steps=2000)
    assert line.best <= line.own
    assert line.regret == line.learned - line.best
