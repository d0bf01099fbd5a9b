"""Drift detectors: they need no mean, find where it changed, and seldom say so for nothing."""

import pytest
from normal_runs import alarms, first_alarm, normal, scores, shifted, step, values

from peer.detectors import Adwin, PageHinkley
from peer.detectors.change_point import change_point
from peer.errors import CallerError, ConfigInvalid


@pytest.mark.parametrize(
    ("detector", "false_most", "delay_most"), [(Adwin("amount"), 2, 45), (PageHinkley("amount"), 6, 8)]
)
def test_a_drift_is_found_and_dated_and_there_are_next_to_no_false_alarms(detector, false_most, delay_most):
    trained = detector.train(normal(1, 1000))
    assert sum(alarms(trained, normal(seed, 2000)) for seed in range(10, 20)) <= false_most
    delays, away = [], []
    for seed in range(100, 130):
        number, found = first_alarm(trained, shifted(seed, 300, 200, 2.0), after=300)
        delays.append(number - 300)
        away.append(abs(found.since.seq - 301))
        assert found.evidence["after"] > found.evidence["before"]
    assert sum(delays) / len(delays) <= delay_most
    assert sorted(away)[15] <= 2


def test_a_falling_mean_is_found_too():
    for detector in (Adwin("amount"), PageHinkley("amount")):
        first_alarm(detector.train(normal(2, 500)), shifted(7, 200, 200, -3.0), after=200)


def test_after_an_alarm_what_has_come_is_the_new_normal():
    trained = PageHinkley("amount").train(normal(3, 500))
    assert alarms(trained, shifted(8, 200, 1500, 4.0)) <= 3


def test_the_scale_of_a_feature_does_not_matter():
    small = [step(one.step.seq, amount=one.scores["amount"] * 1e-9) for one in normal(4, 500)]
    moved = [step(one.step.seq, amount=one.scores["amount"] * 1e-9) for one in shifted(9, 200, 200, 3.0)]
    for detector in (Adwin("amount"), PageHinkley("amount")):
        big = detector.train(normal(4, 500))
        assert scores(detector.train(small), moved) == scores(big, shifted(9, 200, 200, 3.0))


def test_one_huge_value_is_no_drift_to_adwin():
    trained = Adwin("amount").train(normal(5, 500))
    steps = normal(6, 300)
    steps[150] = step(151, amount=1e308)
    assert alarms(trained, steps) == 0


def test_a_change_point_is_where_the_mean_changes_most():
    assert change_point([0, 0, 0, 5, 5]) == 3
    assert change_point([1e12, 1e12, 1e12 + 1]) == 2
    assert change_point([7.0]) == change_point([]) == 0
    assert change_point([one.scores["amount"] for one in shifted(11, 100, 60, 3.0)]) == pytest.approx(100, abs=3)


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: Adwin("amount", delta=0), ConfigInvalid, "delta=0: a number between 0 and 1"),
        (lambda: Adwin("amount", every=0), ConfigInvalid, "every=0"),
        (lambda: Adwin("amount", low=1), ConfigInvalid, "low=1, high=None: give both"),
        (lambda: Adwin("amount", low=1, high=1), ConfigInvalid, "high - low=0.0"),
        (lambda: Adwin("amount").begin(), CallerError, "does not know the feature's range"),
        (lambda: Adwin("amount").train(values({"amount": 3.0} for _ in range(20))), CallerError, "3 on each of 20"),
        (lambda: PageHinkley("amount", threshold=0), ConfigInvalid, "threshold=0"),
        (lambda: PageHinkley("amount", settling=0), ConfigInvalid, "settling=0"),
        (lambda: PageHinkley("amount").begin(), CallerError, "does not know what is normal"),
        (lambda: PageHinkley("amount").train(normal(1, 5)), CallerError, "5 of 5 steps"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_value(make, kind, says):
    with pytest.raises(kind, match=says):
        make()
