"""The network of a variational autoencoder: its arrays, their plain form, and what they say of a row, by numpy."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from peer.detectors.features import Rows
from peer.detectors.settings import settle, text, whole
from peer.errors import ConfigInvalid

DEVIATIONS_MAX = 1e3
"""A value farther from the mean counts as if it were so far."""
LOG_VARIANCE = 8.0
"""Logarithms of variances stay within plus and minus this."""

Arrays = Mapping[str, NDArray[np.float64]]


class Array(Struct, frozen=True):
    """A named array: numbers of 64 bits, the least significant byte first, row by row."""

    name: str
    shape: Sequence[int]
    data: bytes

    def __post_init__(self) -> None:
        shape = tuple(whole("shape", length, 1, 1_000_000) for length in self.shape)
        settle(self, name=text("name", self.name), shape=shape)
        if len(self.data) != 8 * int(np.prod(shape)) or not np.all(np.isfinite(self.values())):
            raise ConfigInvalid(f"{self.name}: not {shape} finite numbers. The weights were not written by Vae.train.")

    @classmethod
    def of(cls, name: str, values: NDArray[np.float64]) -> "Array":
        """Return an array's plain form."""
        return cls(name, values.shape, values.astype("<f8").tobytes())

    def values(self) -> NDArray[np.float64]:
        """Return the array."""
        return np.frombuffer(self.data, dtype="<f8").astype(np.float64).reshape(self.shape)


class Network:
    """Weights in use: what it says of a row draws nothing."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __call__(self, values: Rows) -> NDArray[np.float64]:
        """Return for each row how odd it is: the negative evidence bound, in nats."""
        error, divergence = self.parts(values)
        return error + divergence

    def parts(self, values: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return for each row the error of what comes back, and the divergence of its encoding."""
        w = self._arrays
        with np.errstate(over="ignore"):
            placed = np.clip((values - w["mean"]) / w["sd"], -DEVIATIONS_MAX, DEVIATIONS_MAX)
        inner = np.tanh(placed @ w["encoder"] + w["encoder_bias"])
        middle = inner @ w["middle"] + w["middle_bias"]
        spread = np.clip(inner @ w["spread"] + w["spread_bias"], -LOG_VARIANCE, LOG_VARIANCE)
        back = np.tanh(middle @ w["decoder"] + w["decoder_bias"]) @ w["output"] + w["output_bias"]
        noise = np.clip(w["noise"], -LOG_VARIANCE, LOG_VARIANCE)
        error = 0.5 * np.sum((placed - back) ** 2 * np.exp(-noise) + noise, axis=1)
        divergence = 0.5 * np.sum(middle * middle + np.exp(spread) - 1 - spread, axis=1)
        return error, divergence


def shapes(features: int, hidden: int, latent: int) -> dict[str, tuple[int, ...]]:
    """Return the arrays of a network, and their shapes."""
    return {
        "mean": (features,),
        "sd": (features,),
        "encoder": (features, hidden),
        "encoder_bias": (hidden,),
        "middle": (hidden, latent),
        "middle_bias": (latent,),
        "spread": (hidden, latent),
        "spread_bias": (latent,),
        "decoder": (latent, hidden),
        "decoder_bias": (hidden,),
        "output": (hidden, features),
        "output_bias": (features,),
        "noise": (features,),
    }
