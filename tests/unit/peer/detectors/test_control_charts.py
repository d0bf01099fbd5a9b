"""Control charts: they find shifts, say since when, and keep quiet otherwise."""

import pytest
from normal_runs import alarms, first_alarm, normal, shifted, step, values

from peer.detectors import Cusum, Ewma, Shewhart
from peer.detectors.run_lengths import cusum_arl, ewma_arl
from peer.errors import CallerError, ConfigInvalid

CHARTS = [Shewhart("amount"), Ewma("amount"), Cusum("amount")]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_trained_chart_finds_a_shift_and_stays_near_its_promised_rate_of_false_alarms(chart):
    trained = chart.train(normal(1, 2000))
    promised = {"shewhart": 370.4, "ewma": 499.6, "cusum": 465.4}[chart.name.split("(")[0]]
    false = sum(alarms(trained, normal(seed, 2000)) for seed in range(10, 30))
    assert 0.6 < false / (40_000 / promised) < 1.5
    number, found = first_alarm(trained, shifted(50, 200, 400, 3.0), after=200)
    assert 201 <= number <= 215
    assert found.evidence["amount"] > 100


def test_small_shifts_are_found_as_soon_as_run_lengths_say():
    for chart, promised in ((CHARTS[1], ewma_arl(0.1, 2.814, 1.0)), (CHARTS[2], cusum_arl(0.5, 5.0, 1.0))):
        trained = chart.train(normal(2, 5000))
        delays = [first_alarm(trained, normal(seed, 500, 1.0))[0] for seed in range(100, 300)]
        assert sum(delays) / len(delays) == pytest.approx(promised, rel=0.15)


def test_a_cusum_says_since_when_and_a_chart_for_single_values_means_the_step_itself():
    given = {"mean": 100, "sd": 10}
    steps = values({"amount": x} for x in (95, 100, 104, 130, 130, 130, 130))
    number, found = first_alarm(Cusum("amount", **given), steps)
    # 104 and what was before leave the sum at zero; 130 adds 2.5 each time.
    assert (number, found.since) == (5, steps[3].step)
    number, found = first_alarm(Shewhart("amount", 2.5, **given), steps)
    assert (number, found.since) == (4, None)


def test_the_change_is_dated_near_where_it_was_put():
    for chart in CHARTS[1:]:
        trained = chart.train(normal(3, 5000))
        away = []
        for seed in range(300, 400):
            _, found = first_alarm(trained, shifted(seed, 200, 300, 1.5), after=200)
            away.append(found.since.seq - 201)
        assert abs(sorted(away)[50]) <= 2
        assert sum(abs(steps) <= 10 for steps in away) >= 75


def test_both_sides_are_watched():
    for chart in CHARTS:
        trained = chart.train(normal(4, 500))
        for shift in (-4.0, 4.0):
            assert first_alarm(trained, shifted(60, 100, 50, shift), after=100)[0] < 110


def test_a_chart_begins_anew_after_an_alarm():
    chart = Cusum("amount", mean=0, sd=1)
    watch = chart.begin()
    found = [watch.see(one) for one in values({"amount": x} for x in (20.0, 0.0, 0.0))]
    assert [one.score >= 1 for one in found] == [True, False, False]
    assert found[1].score == 0


def test_steps_that_lack_the_feature_are_passed_over():
    watch = Cusum("amount", mean=0, sd=1).begin()
    watch.see(step(1, amount=3.0))
    assert watch.see(step(2)) is None
    assert watch.see(step(3, amount=float("nan"))) is None
    assert watch.see(step(4, amount=3.0)).since == step(1).step


def test_huge_means_with_small_deviations_are_learnt():
    steps = values({"amount": 1e12 + one.scores["amount"]} for one in normal(5, 300))
    trained = Shewhart("amount").train(steps)
    assert trained.sd == pytest.approx(10, rel=0.1)
    assert trained.mean == pytest.approx(1e12 + 100, abs=3)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_what_can_not_be_learnt_from_or_watched_is_refused(chart):
    with pytest.raises(CallerError, match="19 of 19 steps have a number for amount, and it learns from 20"):
        chart.train(normal(1, 19))
    with pytest.raises(CallerError, match="0 of 50 steps"):
        chart.train([step(number) for number in range(50)])
    with pytest.raises(CallerError, match=r"100 on each of 30 steps.*Bounds\('amount', low, high\)"):
        chart.train(values({"amount": 100.0} for _ in range(30)))
    with pytest.raises(CallerError, match="does not know what is normal"):
        chart.begin()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Shewhart("amount", 0), "limit=0"),
        (lambda: Ewma("amount", lambda_=1.01), "lambda_=1.01: a number, more than 0, at most 1"),
        (lambda: Cusum("amount", k=-0.1), "k=-0.1: a number, at least 0"),
        (lambda: Cusum("amount", h=-1), "h=-1"),
        (lambda: Cusum("amount", mean=0, sd=0), "sd=0"),
        (lambda: Cusum(7), "feature=7"),
    ],
)
def test_a_chart_that_makes_no_sense_is_refused_with_its_value(make, says):
    with pytest.raises(ConfigInvalid, match=says):
        make()
