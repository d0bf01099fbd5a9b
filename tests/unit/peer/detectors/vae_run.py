"""One trained autoencoder, as a file that tests read without PyTorch: `python vae_run.py` writes it anew."""

from pathlib import Path

from normal_runs import joint

from peer.detectors import Vae, save

FILE = Path(__file__).with_name("vae.detector")
DETECTOR = Vae(("length", "amount", "cost", "delay"), hidden=8, latent=2)
STEPS = joint(1, 600)

if __name__ == "__main__":
    print(save(DETECTOR.train(STEPS), FILE))
