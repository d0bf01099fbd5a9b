"""A trained autoencoder from its file: it needs no PyTorch to find odd steps."""

import sys

import pytest
from msgspec.structs import replace
from normal_runs import alarms, joint, scores, step
from vae_run import DETECTOR, FILE, STEPS

from peer.detectors import Vae, load
from peer.detectors.features import rows, trained_on
from peer.detectors.vae_network import Array
from peer.errors import CallerError, ConfigInvalid


def test_odd_combinations_are_found_and_false_alarms_stay_near_what_was_promised(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    trained = load(FILE)
    assert alarms(trained, joint(20, 300, odd=True)) / 300 > 0.75
    assert sum(alarms(trained, joint(seed, 1000)) for seed in range(10, 15)) / 5000 < 0.01


def test_its_file_says_what_it_was_trained_on():
    trained = load(FILE)
    assert trained.trained_on == trained_on(rows(STEPS, DETECTOR.features, 1, "vae"), DETECTOR.features)
    assert replace(trained, weights=(), scale=None, trained_on="") == DETECTOR


def test_what_is_far_off_or_lacks_a_feature_has_a_finite_score_or_none():
    watch = load(FILE).begin()
    far = {"length": 1e308, "amount": -1e308, "cost": 1e200, "delay": 0.0}
    assert 1 < watch.see(step(1, **far)).score <= 1e6
    assert watch.see(step(2, length=1.0)) is None


def test_without_pytorch_training_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigInvalid, match=r"'torch', which is not installed.*ebbtide\[vae\]"):
        DETECTOR.train(STEPS)


def test_what_makes_no_sense_is_refused_with_its_value():
    for settings, says in (
        ({"hidden": 0}, "hidden=0: a whole number from 1 to 1024"),
        ({"latent": 1.5}, "latent=1.5"),
        ({"epochs": 0}, "epochs=0"),
        ({"quantile": 0}, "quantile=0"),
    ):
        with pytest.raises(ConfigInvalid, match=says):
            Vae(("amount",), **settings)
    with pytest.raises(CallerError, match=r"198 of 198 steps .* learns from 199 at least"):
        DETECTOR.train(STEPS[:198])
    with pytest.raises(CallerError, match="was not trained"):
        DETECTOR.begin()


def test_weights_that_do_not_fit_or_are_no_numbers_are_refused():
    trained = load(FILE)
    with pytest.raises(ConfigInvalid, match=r"encoder, .* do not fit 4 features, hidden=9 and latent=2"):
        replace(trained, hidden=9)
    with pytest.raises(ConfigInvalid, match=r"noise: not .4,. finite numbers"):
        Array("noise", (4,), bytes(31))
    with pytest.raises(ConfigInvalid, match=r"noise: not .1,. finite numbers"):
        Array("noise", (1,), b"\xff" * 8)


def test_two_watches_say_the_same():
    trained = load(FILE)
    assert scores(trained, joint(5, 100)) == scores(trained, joint(5, 100))
