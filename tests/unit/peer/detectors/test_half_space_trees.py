"""Half-space trees: odd steps among several features, and slow change that is followed."""

from random import Random

import pytest
from normal_runs import alarms, joint, scores, values

from peer.detectors import HalfSpaceTrees
from peer.errors import CallerError, ConfigInvalid

FEATURES = ("length", "amount")


def far(seed, count):
    chance = Random(seed)
    return values({"length": 6 + chance.gauss(0, 1), "amount": -6 + chance.gauss(0, 1)} for _ in range(count))


def test_far_steps_are_found_and_false_alarms_stay_near_what_was_promised():
    trained = HalfSpaceTrees(FEATURES).train(joint(1, 2000))
    assert alarms(trained, far(50, 100)) >= 95
    false = sum(alarms(trained, joint(seed, 1000)) for seed in range(10, 15))
    assert 0.002 < false / 5000 < 0.025


def test_slow_change_is_followed():
    trained = HalfSpaceTrees(FEATURES).train(joint(1, 2000))
    chance = Random(3)
    slow = [{"length": number / 1000 + chance.gauss(0, 1), "amount": chance.gauss(0, 1)} for number in range(4000)]
    followed = scores(trained, values(slow))[3500:]
    at_once = scores(trained, values(slow[3500:]))
    assert sum(score >= 1 for score in followed) < sum(score >= 1 for score in at_once) / 2


def test_the_same_steps_give_the_same_trees_and_another_seed_others():
    steps = joint(2, 600)
    small = HalfSpaceTrees(FEATURES, trees=5, window=100, quantile=0.95)
    assert small.train(steps) == small.train(steps)
    other = HalfSpaceTrees(FEATURES, trees=5, window=100, quantile=0.95, seed=2).train(steps)
    assert scores(small.train(steps), far(4, 50)) != scores(other, far(4, 50))


def test_what_makes_no_sense_is_refused_with_its_value():
    for settings, says in (
        ({"features": "amount"}, r"as in \('amount',\)"),
        ({"features": ()}, "at least one name"),
        ({"features": ("a", "a")}, "each of them once"),
        ({"features": FEATURES, "trees": 0}, "trees=0"),
        ({"features": FEATURES, "height": 50}, "height=50: a whole number from 1 to 12"),
        ({"features": FEATURES, "quantile": 1.0}, "quantile=1.0"),
    ):
        with pytest.raises(ConfigInvalid, match=says):
            HalfSpaceTrees(**settings)
    with pytest.raises(CallerError, match="it learns from 448 at least"):
        HalfSpaceTrees(FEATURES).train(joint(1, 447))
    with pytest.raises(CallerError, match="was not trained"):
        HalfSpaceTrees(FEATURES).begin()
