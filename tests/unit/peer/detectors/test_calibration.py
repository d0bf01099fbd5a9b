"""Calibration: confidence becomes the share of right steps, and diagrams say how far off it was."""

from random import Random

import pytest
from normal_runs import scores, step

from peer.detectors import Calibrated, Calibration, Confidence, expected_calibration_error, reliability
from peer.detectors.calibration import METHODS, wilson
from peer.errors import CallerError, ConfigInvalid


def truth(confidence):
    """Return the chance that an agent is right who is too sure of itself."""
    return confidence**3


def pairs(seed, count):
    chance = Random(seed)
    said = [chance.random() for _ in range(count)]
    return [(confidence, chance.random() < truth(confidence)) for confidence in said]


@pytest.mark.parametrize("method", METHODS)
def test_calibrated_confidence_is_near_the_share_of_right_steps(method):
    made = Calibration.fit(pairs(1, 4000), method)
    fresh = pairs(2, 4000)
    before = expected_calibration_error(reliability(fresh))
    after = expected_calibration_error(reliability((made.calibrated(said), right) for said, right in fresh))
    assert before > 0.2
    assert after < 0.05
    for said in (0.2, 0.5, 0.8, 0.95):
        assert made.calibrated(said) == pytest.approx(truth(said), abs=0.08)


def test_a_curve_of_isotonic_calibration_is_scikit_learns_own():
    from sklearn.isotonic import IsotonicRegression

    known = pairs(3, 500)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    theirs.fit([said for said, _ in known], [float(right) for _, right in known])
    made = Calibration.fit(known)
    places = [at / 997 for at in range(998)]
    assert [made.calibrated(at) for at in places] == pytest.approx(list(theirs.predict(places)), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_rises_and_stays_a_probability_whatever_is_asked(method):
    made = Calibration.fit(pairs(4, 200), method)
    curve = [made.calibrated(at / 100) for at in range(-50, 151)]
    assert curve == sorted(curve)
    assert 0 <= curve[0] <= curve[-1] <= 1


@pytest.mark.parametrize("method", METHODS)
def test_a_detector_of_calibrated_confidence_finds_what_a_plain_limit_does_not(method):
    detector = Calibrated(Calibration.fit(pairs(5, 3000), method), below=0.5)
    steps = [step(1, 0.7), step(2, 0.95), step(3, None), step(4, float("nan"))]
    assert [score >= 1 for score in scores(detector, steps)] == [True, False]
    assert [score >= 1 for score in scores(Confidence(below=0.5), steps)] == [False, False]
    assert detector.trained_on == detector.calibration.trained_on != ""


def test_false_alarms_of_the_detector_are_as_rare_as_probabilities_say():
    detector = Calibrated(Calibration.fit(pairs(6, 4000)), below=0.5)
    fresh = pairs(7, 4000)
    watch = detector.begin()
    let = [right for said, right in fresh if watch.see(step(1, said)).score < 1]
    stopped = [right for said, right in fresh if watch.see(step(1, said)).score >= 1]
    assert sum(let) / len(let) > 0.5 > sum(stopped) / len(stopped)


def test_a_reliability_diagram_counts_right_steps_by_confidence():
    bins = reliability([(0.05, False), (0.05, True), (0.95, True), (1.0, True)], bins=10)
    assert [(one.low, one.count, one.right) for one in bins] == [(0.0, 2, 0.5), (0.9, 2, 1.0)]
    assert bins[1].confidence == pytest.approx(0.975)
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)
    assert expected_calibration_error([]) == 0


def test_wilsons_interval_is_as_published():
    """Newcombe 1998, table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_few_pairs_or_what_is_none_is_refused():
    with pytest.raises(CallerError, match=r"49 pairs, .* isotonic calibration needs 50 at least"):
        Calibration.fit(pairs(1, 49))
    with pytest.raises(CallerError, match="60 pairs, 60 of them right"):
        Calibration.fit([(0.5, True)] * 60)
    with pytest.raises(CallerError, match=r"pair 1: \(1.5, True\) is not a confidence from 0 to 1"):
        Calibration.fit([(0.5, True), (1.5, True)])
    with pytest.raises(CallerError, match="pair 0: 'ab'"):
        reliability(["ab"])
    with pytest.raises(CallerError, match="pair 0"):
        reliability([(0.5, "yes")])
    with pytest.raises(ConfigInvalid, match="method='guess': one of isotonic, platt"):
        Calibration.fit(pairs(1, 100), "guess")
    with pytest.raises(ConfigInvalid, match="bins=0"):
        reliability([], bins=0)
    with pytest.raises(CallerError, match="points of a map"):
        Calibration("isotonic", xs=(0.5, 0.1), ys=(0.1, 0.2))


@pytest.mark.parametrize("method", METHODS)
def test_pairs_of_one_confidence_and_of_two_that_part_all_are_fitted(method):
    one = Calibration.fit([(0.9, at % 4 == 0) for at in range(100)], method)
    assert one.calibrated(0.9) == pytest.approx(0.25, abs=0.02)
    two = Calibration.fit([(0.1, False)] * 50 + [(0.9, True)] * 50, method)
    assert two.calibrated(0.1) < 0.1 < 0.9 < two.calibrated(0.9)
