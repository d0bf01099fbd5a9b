"""Training an autoencoder by PyTorch: `make test-vae`."""

import pytest
from normal_runs import alarms, joint, scores
from vae_run import DETECTOR, FILE, STEPS

from peer.detectors import Vae, load

torch = pytest.importorskip("torch", reason="PyTorch is not installed for development: make test-vae")


def test_training_twice_makes_the_same_detector_and_another_seed_another():
    small = Vae(DETECTOR.features, hidden=4, epochs=5, quantile=0.9)
    one, two = small.train(STEPS[:100]), small.train(STEPS[:100])
    assert one == two
    assert one.version == two.version
    assert Vae(DETECTOR.features, hidden=4, epochs=5, quantile=0.9, seed=2).train(STEPS[:100]).version != one.version


def test_training_leaves_pytorchs_seed_and_threads_as_they_were():
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    Vae(DETECTOR.features, hidden=4, epochs=1, quantile=0.9).train(STEPS[:100])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_what_is_trained_now_says_what_the_kept_one_says():
    made, kept = DETECTOR.train(STEPS), load(FILE)
    assert made.trained_on == kept.trained_on
    # Other processors round otherwise: the same, but not to the last digit.
    steps = joint(30, 200)
    assert scores(made, steps) == pytest.approx(scores(kept, steps), rel=0.2, abs=0.1)
    assert alarms(made, joint(20, 300, odd=True)) / 300 > 0.75


def test_a_feature_that_never_varies_and_few_steps_are_learnt_all_the_same():
    trained = Vae(("length", "attempt"), hidden=4, epochs=50, quantile=0.95).train(STEPS[:60])
    assert alarms(trained, STEPS[:60]) <= 12
