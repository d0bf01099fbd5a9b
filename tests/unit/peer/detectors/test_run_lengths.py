"""Average run lengths of control charts: as in published tables, and as the charts themselves run."""

from math import inf, isinf, sqrt
from random import Random

import pytest
from normal_runs import first_alarm, step

from peer.detectors import Cusum, Ewma, Shewhart
from peer.detectors.run_lengths import (
    cusum_arl,
    cusum_limit,
    ewma_arl,
    ewma_limit,
    limit_for,
    one_sided_cusum_arl,
    shewhart_arl,
    shewhart_limit,
)
from peer.errors import ConfigInvalid

SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)


def near(published):
    """Return what was published with three digits, as what may be compared."""
    return [pytest.approx(value, rel=5e-3, abs=6e-3) for value in published]


@pytest.mark.parametrize(
    ("h", "published"),
    [
        (4, (168, 74.2, 26.6, 13.3, 8.38, 4.75, 3.34, 2.62, 2.19, 1.71)),
        (5, (465, 139, 38.0, 17.0, 10.4, 5.75, 4.01, 3.11, 2.57, 2.01)),
    ],
)
def test_a_cusum_runs_as_in_montgomerys_table(h, published):
    """Montgomery, table 9.3 (from Lucas and Crosier 1982): both sides, k = 0.5."""
    assert [cusum_arl(0.5, h, shift) for shift in SHIFTS] == near(published)


@pytest.mark.parametrize(("k", "h"), [(0.25, 8.01), (0.5, 4.77), (0.75, 3.34), (1.0, 2.52)])
def test_a_cusum_has_hawkins_limits_for_a_run_of_370(k, h):
    """Hawkins 1993, as in Montgomery, table 9.4: h to two digits."""
    assert cusum_limit(370, k) == pytest.approx(h, abs=6e-3)


@pytest.mark.parametrize(
    ("lambda_", "limit", "published"),
    [
        (0.40, 3.054, (500, 224, 71.2, 28.4, 14.3, 5.9, 3.5, 2.5, 2.0, 1.4)),
        (0.25, 2.998, (500, 170, 48.2, 20.1, 11.1, 5.5, 3.6, 2.7, 2.3, 1.7)),
        (0.20, 2.962, (500, 150, 41.8, 18.2, 10.5, 5.5, 3.7, 2.9, 2.4, 1.9)),
        (0.10, 2.814, (500, 106, 31.3, 15.9, 10.3, 6.1, 4.4, 3.4, 2.9, 2.2)),
        (0.05, 2.615, (500, 84.1, 28.8, 16.4, 11.4, 7.1, 5.2, 4.2, 3.5, 2.7)),
    ],
)
def test_an_ewma_runs_as_in_lucas_and_saccuccis_table(lambda_, limit, published):
    """Lucas and Saccucci 1990, as in Montgomery, table 9.11."""
    found = [ewma_arl(lambda_, limit, shift) for shift in SHIFTS]
    assert found == [pytest.approx(value, rel=5e-3, abs=0.06) for value in published]
    assert ewma_limit(500, lambda_) == pytest.approx(limit, abs=1e-3)


def test_shewharts_chart_runs_as_its_formula_says():
    assert shewhart_arl(3) == pytest.approx(370.4, abs=0.05)
    assert shewhart_arl(3, 1) == pytest.approx(43.9, abs=0.05)
    assert shewhart_limit(370.398) == pytest.approx(3, abs=1e-6)


def test_an_ewma_that_forgets_all_is_shewharts_chart():
    assert ewma_arl(1.0, 3.0, 0.7) == pytest.approx(shewhart_arl(3.0, 0.7), rel=1e-9)


def test_a_cusum_that_may_grow_no_more_than_a_hair_is_shewharts_chart():
    assert cusum_arl(2.5, 1e-9) == pytest.approx(shewhart_arl(2.5), rel=1e-6)


def test_runs_are_longer_with_the_limit_and_shorter_with_the_shift():
    limits = [cusum_arl(0.5, h) for h in (1, 2, 4, 8, 12)]
    assert limits == sorted(limits)
    runs = [ewma_arl(0.1, 2.8, shift) for shift in SHIFTS]
    assert runs == sorted(runs, reverse=True)
    assert [cusum_arl(0.5, 5, -shift) for shift in SHIFTS] == [cusum_arl(0.5, 5, shift) for shift in SHIFTS]


def test_what_next_to_never_comes_is_infinite_or_huge_and_never_negative():
    assert isinf(one_sided_cusum_arl(0.5, 5, -10))
    assert cusum_arl(0.5, 5, 10) == pytest.approx(1, abs=1e-5)
    assert all(cusum_arl(0.5, h) > 1e9 for h in (20, 40, 64))
    assert all(ewma_arl(0.1, limit) > 1e9 for limit in (8, 20, 64))
    assert shewhart_arl(60) == inf


@pytest.mark.parametrize(
    ("chart", "promised"),
    [
        (Shewhart("amount", 2.5, mean=100, sd=10), lambda shift: shewhart_arl(2.5, shift)),
        (Ewma("amount", 0.1, 2.3, mean=100, sd=10), lambda shift: ewma_arl(0.1, 2.3, shift)),
        (Ewma("amount", 0.4, 2.5, mean=100, sd=10), lambda shift: ewma_arl(0.4, 2.5, shift)),
        (Cusum("amount", 0.5, 3.5, mean=100, sd=10), lambda shift: cusum_arl(0.5, 3.5, shift)),
        (Cusum("amount", 1.0, 2.0, mean=100, sd=10), lambda shift: cusum_arl(1.0, 2.0, shift)),
    ],
)
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_charts_themselves_run_so_long(chart, promised, shift):
    chance, runs, steps = Random(20_260_101), 600, 0
    watch = chart.begin()
    lengths = []
    while len(lengths) < runs:
        steps += 1
        if watch.see(step(steps, amount=100 + 10 * (chance.gauss(0, 1) + shift))).score >= 1:
            # Each alarm begins the chart anew.
            lengths.append(steps)
            steps = 0
    mean = sum(lengths) / runs
    error = sqrt(sum((length - mean) ** 2 for length in lengths) / runs / runs)
    assert abs(mean - promised(shift)) < 4 * error


def test_the_defaults_run_as_their_docstrings_say():
    assert ewma_arl(Ewma("amount").lambda_, Ewma("amount").limit) == pytest.approx(500, rel=1e-2)
    assert cusum_arl(Cusum("amount").k, Cusum("amount").h) == pytest.approx(465, rel=1e-2)
    assert cusum_arl(0.5, 5.0, 1.0) == pytest.approx(10.4, abs=0.05)


def test_a_limit_is_found_for_any_chart():
    assert limit_for(lambda limit: one_sided_cusum_arl(0.5, limit), 336) == pytest.approx(4.0, abs=0.01)
    limit = shewhart_limit(100)
    steps = [step(1, amount=100 + 10 * limit * 0.999), step(2, amount=100 + 10 * limit * 1.001)]
    assert first_alarm(Shewhart("amount", limit, mean=100, sd=10), steps)[0] == 2


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: shewhart_arl(0), "limit=0"),
        (lambda: ewma_arl(0, 3), "lambda_=0: a number, more than 0, at most 1"),
        (lambda: ewma_arl(1.5, 3), "lambda_=1.5"),
        (lambda: cusum_arl(-1, 4), "k=-1"),
        (lambda: cusum_arl(0.5, float("inf")), "h=inf"),
        (lambda: cusum_arl(0.5, 5, float("nan")), "shift=nan"),
        (lambda: cusum_limit(1), "arl0=1: more than"),
        (lambda: cusum_limit(float("inf")), "arl0=inf"),
    ],
)
def test_what_no_chart_can_be_is_refused_with_its_value(call, says):
    with pytest.raises(ConfigInvalid, match=says):
        call()
