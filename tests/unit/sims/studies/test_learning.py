"""When learning how often to make a checkpoint pays: what docs/policies.md says, on fewer seeds."""

import pytest

from sims.studies.learning import CASES, FAILURES, build, learning_sweep, policies
from sims.virtual.chance import stream


def waste(case, policy, seeds=3):
    return sum(build(seed, case, policy)["waste"] for seed in range(seeds)) / seeds


@pytest.mark.parametrize("case", CASES)
def test_failures_come_as_often_as_a_case_says(case):
    chosen = CASES[case]
    total, count = 0.0, 0
    for seed in range(10):
        times = chosen.failures(stream(seed, "test"))
        found = [next(times) for _ in range(2000)]
        assert found == sorted(found)
        total, count = total + found[-1], count + len(found)
    assert total / count == pytest.approx(chosen.mtbf_s, rel=0.15)


def test_the_formula_is_hard_to_beat_where_it_was_told_the_truth():
    best = waste("steady, well known", "80.0")
    assert waste("steady, well known", "formula, told") < 1.1 * best
    assert waste("steady, well known", "hindsight") < 1.15 * best
    assert waste("steady, well known", "bandit") < 1.3 * best


@pytest.mark.parametrize("case", ["told 30 times too rare", "told 30 times too often"])
def test_every_learner_beats_a_formula_that_was_told_wrong(case):
    wrong = waste(case, "formula, told")
    assert all(waste(case, policy) < 0.75 * wrong for policy in ("formula, measured", "bandit", "hindsight"))


def test_where_the_formulas_model_is_wrong_measuring_does_not_help_and_learning_does():
    measured = waste("differential snapshots", "formula, measured")
    assert waste("differential snapshots", "bandit") < 0.8 * measured
    assert waste("differential snapshots", "hindsight") < 0.75 * measured


def test_the_table_has_a_row_for_each_case_and_the_best_fixed_is_the_best():
    table = learning_sweep(seeds=1)
    assert list(table["case"]) == list(CASES)
    assert all(0 < row["best fixed"] < 100 for _, row in table.iterrows())
    assert set(policies(CASES["bursts of 10"])) <= set(table.columns)
    assert FAILURES >= 100
