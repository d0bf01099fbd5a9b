"""Rules: exact at their limits, graded between, and never an exception."""

from functools import partial
from random import Random

import pytest
from normal_runs import alarms, scores, step, values

from peer.detectors import Bounds, Check, Confidence, Failures, Seen, Threshold
from peer.errors import ConfigInvalid
from protocol.ids import StepId


def failed(code: str = "", attempt: int = 1) -> Seen:
    return Seen(StepId("worker", 1, 1), "Order", 0, attempt=attempt, failure=code)


def test_what_a_rule_forbids_is_found_and_nothing_else():
    chance = Random(1)
    shares = [chance.random() for _ in range(1000)]
    steps = [step(number, confidence=share, amount=share * 100) for number, share in enumerate(shares)]
    low = sum(share < 0.3 for share in shares)
    assert alarms(Confidence(below=0.3), steps) == low
    assert alarms(Threshold("amount", above=30.0), steps) == 1000 - low
    assert alarms(Bounds("amount", 30, 60), steps) == sum(not 0.3 <= share <= 0.6 for share in shares)


def test_a_value_at_the_limit_is_allowed_and_the_next_one_is_not():
    assert scores(Threshold("amount", below=0.1), values([{"amount": 0.1}]))[0] < 1
    assert scores(Threshold("amount", below=0.1), values([{"amount": 0.09999999999999999}]))[0] >= 1
    assert scores(Threshold("amount", above=0.1), values([{"amount": 0.1}]))[0] < 1
    assert all(score < 1 for score in scores(Bounds("amount", -0.1, 0.3), values([{"amount": -0.1}, {"amount": 0.3}])))
    assert scores(Bounds("amount", 0.1, 0.3), values([{"amount": 0.30000000000000004}]))[0] >= 1


def test_scores_grow_from_what_is_usual_to_the_limit_and_beyond():
    assert scores(Confidence(0.5), [step(1, share) for share in (1.0, 0.75, 0.25, 0.0)]) == [0.0, 0.5, 1.5, 2.0]
    assert scores(Bounds("amount", 0, 10), values({"amount": x} for x in (5.0, 7.5, 15.0))) == [0.0, 0.5, 2.0]
    assert scores(Bounds("amount", 3, 3), values([{"amount": 3.0}, {"amount": 4.0}]))[0] == 0


def test_bounds_as_wide_as_numbers_are_keep_their_scores_finite():
    assert scores(Bounds("amount", -1.7e308, 1.7e308), values([{"amount": 1.6e308}]))[0] < 1


@pytest.mark.parametrize(
    ("function", "evidence"),
    [
        (lambda step: True, {}),
        (lambda step: 1 == 1.0, {}),
        (lambda step: "the sum is off", {"why": "the sum is off"}),
        (lambda step: False, {"why": "returned False"}),
        (lambda step: None, {"why": "returned None"}),
        (lambda step: "", {"why": "returned ''"}),
        (lambda step: 1 / 0, {"error": "ZeroDivisionError: division by zero"}),
        (lambda step: step.scores["nothing"], {"error": "KeyError: 'nothing'"}),
    ],
)
def test_a_check_finds_wrong_whatever_is_not_true_and_an_error_is_its_evidence(function, evidence):
    found = Check("sum", function).begin().see(step(1))
    assert found is not None
    assert (found.score, found.evidence) == (1.0 if evidence else 0.0, evidence)


def test_a_check_whose_error_has_no_text_or_a_long_one_is_a_finding_all_the_same():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def mute(step: Seen) -> bool:
        raise Mute

    assert Check("mute", mute).see(step(1)).evidence == {"error": "Mute"}
    long = Check("long", lambda step: "x" * 10_000).see(step(1))
    assert len(long.evidence["why"]) == 200


def test_a_check_has_another_version_by_its_source_and_its_edition():
    one = Check("a", lambda step: True)
    two = Check("a", lambda step: "no")
    assert one.version == one.version != two.version
    assert Check("a", failed, edition="2").version != Check("a", failed).version
    assert Check("a", partial(failed, "x")).version == Check("a", partial(failed, "x")).version


def test_failures_are_found_by_their_codes_and_by_attempts():
    steps = [failed(), failed("ToolFailed"), failed("Refused"), failed(attempt=4)]
    assert scores(Failures(), steps) == [0, 1, 1, 0]
    assert scores(Failures(codes=("Refused",)), steps) == [0, 0, 1, 0]
    assert scores(Failures(attempts=2), steps) == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Threshold("amount"), "give one of them"),
        (lambda: Threshold("amount", below=1, above=2), "below=1, above=2"),
        (lambda: Threshold("amount", below=float("nan")), "below=nan"),
        (lambda: Threshold("", below=1), "feature=''"),
        (lambda: Threshold("amount", below="much"), "below='much'"),
        (lambda: Threshold("amount", below=10**400), "below=1000"),
        (lambda: Confidence(1.5), "below=1.5: a number from 0 to 1"),
        (lambda: Bounds("amount", 2, 1), "low=2, high=1"),
        (lambda: Check("", len), "name=''"),
        (lambda: Check("a", "no function"), "function='no function'"),
        (lambda: Failures(codes="Refused"), r"as in \('Refused',\)"),
        (lambda: Failures(attempts=0), "attempts=0: a whole number from 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_its_value(make, says):
    with pytest.raises(ConfigInvalid, match=says):
        make()
