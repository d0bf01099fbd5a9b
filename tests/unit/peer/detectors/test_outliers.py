"""Outlier detectors by name: trained on normal steps, one scale for all of them, no model that is code."""

from random import Random

import numpy as np
import pytest
from msgspec.structs import replace
from normal_runs import alarms, first_alarm, joint, scores, step, values

from peer.detectors import HalfSpaceTrees, Outliers
from peer.detectors.outliers import KINDS
from peer.detectors.scale import scale_of, steps_for
from peer.errors import CallerError, ConfigInvalid

FEATURES = ("length", "amount", "cost", "delay")
FAR = {"length": 8.0, "amount": -8.0, "cost": 9.0, "delay": 9.0}


@pytest.mark.parametrize("kind", KINDS)
def test_far_steps_are_found_and_false_alarms_stay_near_what_was_promised(kind):
    trained = Outliers(kind, FEATURES, quantile=0.99).train(joint(1, 600))
    assert first_alarm(trained, [step(1, **FAR)])[0] == 1
    usual = scores(trained, joint(10, 400)) + scores(trained, joint(11, 400))
    assert sum(score >= 1 for score in usual) / 800 < 0.03
    assert np.median(usual) < 0.5


@pytest.mark.parametrize("kind", ["GMM", "MCD"])
def test_what_is_odd_in_its_combination_alone_is_found_by_those_that_know_how_features_hang_together(kind):
    trained = Outliers(kind, FEATURES).train(joint(1, 1000))
    assert alarms(trained, joint(20, 100, odd=True)) >= 75
    assert alarms(trained, joint(21, 1000)) <= 15


@pytest.mark.parametrize("kind", ["IsolationForest", "IForest", "LODA", "CBLOF"])
def test_what_draws_at_random_says_the_same_each_time_and_leaves_the_common_source_as_it_was(kind):
    steps, far = joint(2, 300), joint(3, 30, odd=True)
    np.random.seed(7)
    before = np.random.get_state()[1].tolist()
    one, two = (Outliers(kind, FEATURES, quantile=0.9).train(steps) for _ in range(2))
    assert one == two
    assert scores(one, far) == scores(two, far)
    assert np.random.get_state()[1].tolist() == before
    assert one.version != Outliers(kind, FEATURES, quantile=0.9).train(joint(4, 300)).version


def test_the_hash_of_its_training_is_part_of_what_it_is():
    trained = Outliers("ECOD", FEATURES, quantile=0.9).train(joint(1, 100))
    assert len(trained.trained_on) == 64
    assert trained.library.startswith("pyod ")
    assert replace(trained, trained_on="").version != trained.version


@pytest.mark.parametrize(
    "detector", [Outliers("KNN", FEATURES, quantile=0.9), HalfSpaceTrees(FEATURES, trees=3, window=50, quantile=0.9)]
)
def test_a_library_that_makes_another_model_of_the_same_steps_is_refused(detector):
    trained = detector.train(joint(1, 200))
    trained.begin()
    marks = (trained.marks[0] * 1.01, *trained.marks[1:])
    with pytest.raises(CallerError, match=r"was trained by old 1\.0, and says otherwise by (pyod|river) "):
        replace(trained, marks=marks, library="old 1.0").begin()


def test_a_scale_has_its_limit_where_so_many_normal_scores_are_below():
    scale = scale_of(list(range(1000)), 0.99)
    assert [scale.score(raw) for raw in (500, 990)] == [0.0, 1.0]
    assert scale.score(float("nan")) == scale.score(float("inf")) == 1e6
    assert scale.score(float("-inf")) == 0
    assert (steps_for(0.995), steps_for(0.99), steps_for(0.5)) == (199, 99, 1)


def test_scores_that_many_normal_steps_share_are_no_alarm():
    scale = scale_of([0.0] * 700 + [1.0] * 300, 0.99)
    assert scale.score(1.0) < 1 <= scale.score(1.1)
    constant = scale_of([3.0] * 500, 0.99)
    assert constant.score(3.0) == 0
    assert constant.score(3.1) >= 1


def test_a_feature_that_never_varies_does_no_harm():
    steps = [step(one.step.seq, length=one.scores["length"], amount=5.0) for one in joint(1, 300)]
    for kind in ("IForest", "ECOD", "KNN", "IsolationForest"):
        trained = Outliers(kind, ("length", "amount"), quantile=0.99).train(steps)
        assert alarms(trained, steps) <= 9


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_features_of_few_whole_values_are_learnt_or_refused(kind):
    chance = Random(5)
    steps = values({"tools": float(chance.randrange(3)), "asked": float(chance.random() < 0.02)} for _ in range(400))
    detector = Outliers(kind, ("tools", "asked"), quantile=0.99)
    if kind == "ABOD":
        with pytest.raises(CallerError, match="of 400 normal steps have a raw score that is no number"):
            detector.train(steps)
        return
    trained = detector.train(steps)
    assert alarms(trained, steps) <= 20
    # Trees and bins take what is beyond all that they have seen for the last of it.
    sees_beyond = kind not in ("CBLOF", "HBOS", "IForest", "IsolationForest", "LODA")
    assert alarms(trained, values([{"tools": 40.0, "asked": 0.0}])) == sees_beyond


def test_what_makes_no_sense_is_refused_with_its_value():
    with pytest.raises(ConfigInvalid, match="kind='Oracle': one of IsolationForest, ABOD"):
        Outliers("Oracle", FEATURES)
    with pytest.raises(ConfigInvalid, match="seed=-1"):
        Outliers("KNN", FEATURES, seed=-1)
    with pytest.raises(CallerError, match=r"198 of 198 steps have a number for length, .* learns from 199 at least"):
        Outliers("KNN", FEATURES).train(joint(1, 198))
    with pytest.raises(CallerError, match=r"amount is 1e\+200 .* It was not trained"):
        Outliers("KNN", ("amount",)).train([*joint(1, 300), step(301, amount=1e200)])
    with pytest.raises(CallerError, match="0 of 300 steps"):
        Outliers("KNN", ("nothing",)).train(joint(1, 300))
    with pytest.raises(CallerError, match=r"knn\(amount\) was not trained"):
        Outliers("KNN", ("amount",)).begin()
    assert values([{}])[0].value("amount") is None
