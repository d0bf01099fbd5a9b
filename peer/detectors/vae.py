"""A variational autoencoder over features of steps: odd is what it can't put into few numbers and bring back.

It is trained by PyTorch (`peer.detectors.vae_training`, the extra `vae`). Its weights are kept as plain arrays, and
what follows from them is reckoned by numpy alone (`peer.detectors.vae_network`). So only training needs PyTorch, and a
file of a trained one holds numbers and no code.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from peer.detectors.features import Rows, row, rows, trained_on
from peer.detectors.scale import Scale, scale_of, steps_for, unseen_scores, untrained
from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import settle, share, texts, version_of, whole
from peer.detectors.vae_network import Array, Network, shapes
from peer.detectors.vae_training import weights
from peer.errors import ConfigInvalid

ROWS_MAX = 20_000
"""Training steps, evenly over all: more only take longer."""


class Vae(Struct, frozen=True):
    """A step that a variational autoencoder of normal steps does not know is wrong.

    The score is the negative evidence bound at the middle of what the encoder says: the error of what comes back, each
    feature by its own variance, and how far the encoding is from what is usual (the divergence). It draws nothing, so
    the same step has the same score.

    Args:
        features: what a step must report; of one that lacks any, nothing is said.
        hidden: width of the encoder's and the decoder's layer.
        latent: numbers into which a step is put: fewer than features, as a rule.
        epochs: times that training goes over all steps.
        quantile: of normal steps so many score less than 1.
        seed: of the first weights, the order of steps and the draws while it is trained.

    Raises: ConfigInvalid.
    Source: Kingma and Welling 2014 (section 3 and appendix B); as a detector: An and Cho 2015.
    """

    memoryless: ClassVar[bool] = True

    features: Sequence[str]
    hidden: int = 16
    latent: int = 2
    epochs: int = 150
    quantile: float = 0.995
    seed: int = 1
    weights: Sequence[Array] = ()
    scale: Scale | None = None
    trained_on: str = ""

    def __post_init__(self) -> None:
        settle(self, features=texts("features", self.features), quantile=share("quantile", self.quantile))
        whole("hidden", self.hidden, 1, 1024)
        whole("latent", self.latent, 1, 256)
        whole("epochs", self.epochs, 1, 100_000)
        whole("seed", self.seed, 0, 2**32 - 1)
        settle(self, weights=tuple(self.weights))
        if self.weights:
            _matching(self)

    @property
    def name(self) -> str:
        """`vae(features)`."""
        return f"vae({','.join(self.features)})"

    @property
    def version(self) -> str:
        """Changes with the settings, and with the weights."""
        return version_of(self)

    def train(self, steps: Sequence[Seen]) -> "Vae":
        """Learn how normal steps look; the same steps and settings make the same detector, on one machine.

        The limit comes from steps that the network it was reckoned by had not seen: five are trained for it.

        Raises: CallerError, if the steps are too few; ConfigInvalid, without PyTorch.
        """
        values = rows(steps, self.features, steps_for(self.quantile), self.name)
        values = values[:: -(-len(values) // ROWS_MAX)]

        def fit(part: Rows) -> Network:
            return Network(weights(part, self.hidden, self.latent, self.epochs, self.seed))

        scale = scale_of(unseen_scores(values, fit), self.quantile)
        kept = weights(values, self.hidden, self.latent, self.epochs, self.seed)
        arrays = tuple(Array.of(name, kept[name]) for name in sorted(kept))
        return replace(self, weights=arrays, scale=scale, trained_on=trained_on(values, self.features))

    def begin(self) -> "_Vae":
        """Return a watch; PyTorch is not needed. Raises: CallerError, if it is not trained."""
        if self.scale is None or not self.weights:
            raise untrained(self.name)
        return _Vae(self.features, Network({array.name: array.values() for array in self.weights}), self.scale)


class _Vae:
    """Keeps nothing: what it says of a step hangs on that step alone."""

    def __init__(self, features: Sequence[str], network: Network, scale: Scale) -> None:
        self._features, self._network, self._scale = features, network, scale

    def see(self, step: Seen) -> Finding | None:
        values = row(step, self._features)
        if values is None:
            return None
        error, divergence = self._network.parts(np.array([values]))
        found = {**dict(zip(self._features, values, strict=True)), "error": float(error[0])}
        score = self._scale.score(float(error[0] + divergence[0]))
        return Finding(score, {**found, "divergence": float(divergence[0])})


def _matching(detector: Vae) -> None:
    """Raises: ConfigInvalid, if the weights are not those of a network of these settings."""
    wanted = shapes(len(detector.features), detector.hidden, detector.latent)
    found = {array.name: tuple(array.shape) for array in detector.weights}
    if found != wanted:
        wrong = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        raise ConfigInvalid(
            f"weights: {', '.join(wrong)} do not fit {len(detector.features)} features, hidden={detector.hidden} and"
            f" latent={detector.latent}. Train it anew: train(steps). No detector was made."
        )
