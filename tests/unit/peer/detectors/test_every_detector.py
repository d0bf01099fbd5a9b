"""What the port promises, of every detector: total, the same each time, and told apart by its version."""

import subprocess
import sys
from itertools import product
from multiprocessing.reduction import ForkingPickler
from random import Random

import pytest
from normal_runs import ODD_VALUES, joint, scores, step
from vae_run import FILE

import peer.detectors
from peer.detectors import (
    Adwin,
    Agreement,
    Bounds,
    Calibrated,
    Calibration,
    Check,
    Confidence,
    Cusum,
    Ewma,
    Failures,
    HalfSpaceTrees,
    Outliers,
    PageHinkley,
    Seen,
    SemanticEntropy,
    Shewhart,
    Threshold,
    load,
)
from protocol.ids import StepId

TWO = ("length", "amount")


def small(step):
    return step.scores.get("amount", 0.0) < 3


def calibration():
    chance = Random(1)
    return Calibration.fit([(value, chance.random() < value) for value in [chance.random() for _ in range(200)]])


def trained():
    steps = joint(1, 300)
    learners = [Shewhart("amount"), Ewma("amount"), Cusum("amount"), Adwin("amount"), PageHinkley("amount")]
    learners += [Outliers(kind, TWO, quantile=0.9) for kind in ("IsolationForest", "ECOD", "LOF", "KNN", "HBOS", "GMM")]
    learners += [HalfSpaceTrees(TWO, trees=3, window=50, quantile=0.9)]
    rules = [Threshold("amount", above=2), Confidence(0.5), SemanticEntropy(1.0), Bounds("amount", -2, 2)]
    rules += [Check("small", small), Failures(("Refused",), attempts=2), Agreement(TWO, k=1, below=-1)]
    return [*rules, Calibrated(calibration(), 0.5), *(one.train(steps) for one in learners), load(FILE)]


ALL = trained()
every = pytest.mark.parametrize("detector", ALL, ids=lambda detector: detector.name)


def odd_steps():
    """Return steps whose features are odd in every way, among usual ones."""
    usual = joint(9, 40)
    odd = [
        Seen(
            StepId("worker", 1, 1000 + at),
            "",
            0,
            attempt=0,
            confidence=one,
            scores={"length": two, "amount": one, "cost": two, "delay": one, "semantic_entropy": one}
            if one is not None and two is not None
            else {},
            failure="x" * 10_000,
        )
        for at, (one, two) in enumerate(product(ODD_VALUES, repeat=2))
    ]
    return [one for pair in zip(odd[:40], usual, strict=True) for one in pair] + odd[40:] + usual


@every
@pytest.mark.filterwarnings("error")
def test_whatever_a_step_reports_nothing_is_raised_and_scores_are_finite(detector):
    watch = detector.begin()
    for one in odd_steps():
        found = watch.see(one)
        assert found is None or 0 <= found.score <= 1e6
        for value in found.evidence.values() if found is not None else ():
            assert isinstance(value, int | float | str)
            assert not isinstance(value, str) or len(value) <= 200


@every
def test_a_step_that_lacks_what_is_looked_at_is_not_judged(detector):
    if not isinstance(detector, Check | Failures):
        assert detector.begin().see(step(1)) is None


@every
def test_two_watches_that_see_the_same_say_the_same_whatever_another_saw_between(detector):
    one, two, other = detector.begin(), detector.begin(), detector.begin()
    for at, seen in enumerate(joint(7, 120, odd=True)):
        other.see(joint(8, 1)[0] if at % 2 else seen)
        assert one.see(seen) == two.see(seen)


@every
def test_a_copy_in_another_process_is_the_same_detector(detector):
    copy = ForkingPickler.loads(ForkingPickler.dumps(detector))
    assert (copy, copy.version) == (detector, detector.version)
    assert scores(copy, joint(7, 40)) == scores(detector, joint(7, 40))


def test_names_and_versions_tell_detectors_apart():
    assert len({detector.name for detector in ALL}) == len(ALL)
    assert len({detector.version for detector in ALL}) == len(ALL)
    assert all(" " not in detector.name for detector in ALL)
    assert Cusum("amount", k=1, mean=0, sd=1).version == Cusum("amount", k=1.0, mean=0.0, sd=1.0).version
    assert Cusum("amount", h=4).version != Cusum("amount", h=5).version
    assert Outliers("KNN", ["a", "b"]).version == Outliers("KNN", ("a", "b")).version


def test_no_library_of_an_extra_is_imported_until_it_is_used():
    code = (
        "import sys, peer.detectors as d; d.Outliers('KNN', ('a',)); d.Adwin('a'); d.Vae(('a',)); print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"river", "sklearn", "pyod", "torch", "numba"} & {name.split(".")[0] for name in ran.stdout.split()}


@pytest.mark.parametrize(
    ("module", "use"),
    [
        ("river.drift", lambda: Adwin("amount", low=0, high=1).begin()),
        ("river.anomaly", lambda: HalfSpaceTrees(TWO, window=50, quantile=0.9).train(joint(1, 200))),
        ("sklearn.ensemble", lambda: Outliers("IsolationForest", TWO, quantile=0.9).train(joint(1, 200))),
        ("pyod.models.knn", lambda: Outliers("KNN", TWO, quantile=0.9).train(joint(1, 200))),
        ("sklearn.isotonic", calibration),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_the_remedy(module, use, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(peer.errors.ConfigInvalid, match=r"is not installed .* pip install 'ebbtide\[detect\]'"):
        use()
