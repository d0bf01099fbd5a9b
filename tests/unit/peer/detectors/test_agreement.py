"""Agreement of judges, and of samples: counted as the papers say."""

from math import log
from random import Random

import pytest
from normal_runs import alarms, scores, step

from peer.detectors import Agreement, SemanticEntropy, semantic_entropy
from peer.detectors.agreement import meanings
from peer.errors import CallerError, ConfigInvalid

JUDGES = ("judge.a", "judge.b", "judge.c")


def judged(number, *said):
    return step(number, **{judge: value for judge, value in zip(JUDGES, said, strict=True) if value is not None})


def test_as_many_judges_as_it_takes_find_a_step_wrong():
    steps = [judged(1, 0.9, 0.9, 0.9), judged(2, 0.1, 0.9, 0.9), judged(3, 0.1, 0.2, 0.9), judged(4, 0, 0, 0)]
    assert scores(Agreement(JUDGES, k=2), steps) == [0, 0.5, 1, 1.5]
    assert scores(Agreement(JUDGES, k=3), steps) == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_judges_that_err_alone_are_outvoted_as_often_as_chance_says():
    chance = Random(1)

    def jury(wrong):
        return judged(1, *((chance.random() < 0.9) != wrong for _ in JUDGES))

    detector = Agreement(JUDGES, k=2)
    # Two of three that err one time in ten: 0.1^3 + 3 * 0.1^2 * 0.9 = 0.028.
    assert alarms(detector, [jury(False) for _ in range(5000)]) / 5000 == pytest.approx(0.028, abs=0.008)
    assert alarms(detector, [jury(True) for _ in range(5000)]) / 5000 == pytest.approx(0.972, abs=0.008)


def test_a_judge_who_is_not_heard_counts_for_neither_side():
    detector = Agreement(JUDGES, k=2)
    found = detector.see(judged(1, 0.1, None, float("nan")))
    assert (found.score, found.evidence) == (0.5, {"judge.a": 0.1, "wrong": 1, "k": 2, "heard": 1})
    assert detector.see(step(2)) is None


def test_entropy_is_over_meanings_and_not_over_words():
    answers = ["Paris", "paris", "It is PARIS", "Lyon"]

    def same(one, two):
        return one.lower().split()[-1] == two.lower().split()[-1]

    assert meanings(answers, same) == [0, 0, 0, 1]
    assert semantic_entropy(answers, same) == pytest.approx(-(0.75 * log(0.75) + 0.25 * log(0.25)))
    assert semantic_entropy(answers) == pytest.approx(log(4))


def test_entropy_is_nothing_where_all_agree_and_the_logarithm_where_none_do():
    assert semantic_entropy([1, 1, 1]) == 0
    assert semantic_entropy(range(8)) == pytest.approx(log(8))


def test_uncertain_answers_are_found_and_sure_ones_let():
    chance = Random(2)

    def answered(sure, number):
        drawn = [0 if chance.random() < sure else chance.randrange(1, 10) for _ in range(10)]
        return step(number, semantic_entropy=semantic_entropy(drawn))

    detector = SemanticEntropy(above=1.0)
    assert alarms(detector, [answered(0.95, number) for number in range(300)]) <= 6
    assert alarms(detector, [answered(0.2, number) for number in range(300)]) >= 290


def test_what_makes_no_sense_is_refused_with_its_value():
    with pytest.raises(ConfigInvalid, match="k=4: a whole number from 1 to 3"):
        Agreement(JUDGES, k=4)
    with pytest.raises(ConfigInvalid, match="judges"):
        Agreement("judge.a", k=1)
    with pytest.raises(ConfigInvalid, match="above=-1"):
        SemanticEntropy(above=-1)
    with pytest.raises(CallerError, match="1 samples: their spread is told by two at least"):
        semantic_entropy(["one"])
    with pytest.raises(CallerError, match="1001 samples: at most 1000"):
        semantic_entropy(range(1001))
