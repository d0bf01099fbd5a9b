"""How a detector is judged, on runs whose figures can be reckoned by hand."""

import pytest

from peer.detectors import Bounds, Cusum, Seen
from peer.errors import CallerError
from protocol.ids import StepId
from sims.detection.evaluating import evaluate
from sims.detection.injection import Injection
from sims.detection.judging import judge, row
from sims.detection.scenarios import Payments, Played


def run(values: list[float], wrong: set[int]) -> Played:
    """One agent's steps, a second apart, of which some are wrong, by number from 1."""
    steps = [StepId("a", 1, number) for number in range(1, len(values) + 1)]
    seen = tuple(Seen(step, "int", 0, scores={"x": value}) for step, value in zip(steps, values, strict=True))
    times = {step: float(step.seq) for step in steps}
    return Played(seen, frozenset(steps[number - 1] for number in wrong), times)


BOUNDS = Bounds("x", 0.0, 10.0)


def test_precision_recall_delay_and_cost_are_as_reckoned_by_hand() -> None:
    found = judge(BOUNDS, run([5, 5, 8, 20, 20, 5, 30], {3, 4, 5}))
    assert (found.caught, found.vain, found.alarms, found.false_alarms) == (2, 1, 3, 1)
    assert (found.episodes, found.noticed, found.delays, found.delays_s) == (1, 1, (1,), (1.0,))
    assert found.cost == 100 * 1 + 10 * 1 + 2 * 3
    shown = row("bounds", "kind", 1.0, [found])
    assert (shown.precision, shown.recall, shown.delay) == (2 / 3, 2 / 3, 1)
    assert shown.false_per_1000 == pytest.approx(1000 / 7)


def test_what_is_missed_is_no_delay_and_names_no_precision() -> None:
    found = judge(BOUNDS, run([5, 9, 5], {2}))
    assert (found.caught, found.noticed, found.delays) == (0, 0, ())
    assert row("bounds", "kind", 1.0, [found]).precision is None


def test_a_chart_begins_anew_with_what_is_right_in_place_of_what_was_undone() -> None:
    chart = Cusum("x", k=0.5, h=4.0, mean=0.0, sd=1.0)
    values = [0.0] * 20 + [3.0] * 10 + [0.0] * 20
    played, clean = run(values, set(range(21, 31))), run([0.0] * 50, set())
    found = judge(chart, played, clean=clean)
    assert found.caught == 10
    assert found.vain == 0
    assert found.alarms == 5, "every second wrong step brings the sum over its limit, from nothing"
    assert found.delays == (1,)


def test_detectors_that_see_a_fault_are_told_from_those_that_do_not() -> None:
    found = evaluate(Payments(payments=450, scorers=1), [101], [1], ["threshold", "hallucination"])
    rows = {(each.detector, each.kind): each for each in found.rows}
    assert {kind for _, kind in rows} == {"threshold", "hallucination"}
    assert len(rows) >= 2 * 8
    assert rows["page_hinkley(ratio)", "threshold"].recall > 0.8
    assert rows["page_hinkley(ratio)", "hallucination"].recall < 0.5
    assert rows["bounds(ratio)", "hallucination"].recall > 0.5


def test_no_seed_is_both_trained_on_and_tried() -> None:
    with pytest.raises(CallerError, match=r"seeds \[2\] are used both"):
        evaluate(Payments(), [1, 2], [2, 3])
    with pytest.raises(CallerError, match="payments has no fault 'typo', but: threshold, drift, hallucination"):
        evaluate(Payments(), [1], [2], ["typo"])


def test_a_fault_of_the_payments_strikes_one_scorer_in_the_middle_of_its_work() -> None:
    scenario = Payments(payments=300, scorers=2)
    played = scenario.play(1, scenario.faults["threshold"])
    assert {step.agent for step in played.wrong} == {"risk-1"}
    assert {seen.agent for seen in played.seen} == {"risk-1", "risk-2"}
    assert not scenario.play(1, Injection("none")).wrong
