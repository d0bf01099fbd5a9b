"""Features of steps as numbers: one after the other to train on, and of one step to look at."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from peer.detectors.seen import Seen
from peer.errors import CallerError, ConfigInvalid

Rows = np.ndarray[tuple[int, int], np.dtype[np.float64]]
"""A row for each step, a column for each feature."""
VALUE_MAX = 1e100
"""Of values that are learnt from: their squares and sums stay finite."""


def row(step: Seen, features: Sequence[str]) -> list[float] | None:
    """Return the features of one step; None if it lacks one, or one is no number."""
    found: list[float] = []
    for feature in features:
        value = step.value(feature)
        if value is None:
            return None
        found.append(value)
    return found


def rows(steps: Sequence[Seen], features: Sequence[str], least: int, what: str) -> Rows:
    """Return the features of the steps that have all of them.

    Args:
        least: how many such steps are needed.
        what: the name of the detector, for the error.

    Raises: CallerError, if they are fewer, or a value is too large to be squared and added up.
    """
    found = [values for step in steps if (values := row(step, features)) is not None]
    if len(found) < least:
        raise CallerError(
            f"{what}: {len(found)} of {len(steps)} steps have a number for {', '.join(features)}, and it learns from"
            f" {least} at least. It was not trained. Give it more steps, and have handlers report what they lack."
        )
    values = np.array(found, dtype=np.float64)
    for feature, most in zip(features, np.max(np.abs(values), axis=0).tolist(), strict=True):
        if most > VALUE_MAX:
            raise CallerError(
                f"{what}: {feature} is {most:g} or -{most:g} on some step: it learns from values up to {VALUE_MAX:g}."
                " It was not trained. Report its logarithm, or leave that step out."
            )
    return values


def column(steps: Sequence[Seen], feature: str, least: int, what: str) -> list[float]:
    """Return one feature of the steps that have it.

    Raises: CallerError, as above.
    """
    return [float(value) for value in rows(steps, (feature,), least, what)[:, 0]]


def packed(values: Rows) -> bytes:
    """Return rows as bytes, the same on every machine."""
    return values.astype("<f8").tobytes()


def unpacked(data: bytes, features: Sequence[str]) -> Rows:
    """Return rows from their bytes."""
    return np.frombuffer(data, dtype="<f8").astype(np.float64).reshape(-1, len(features))


def whole_rows(data: bytes, features: Sequence[str]) -> None:
    """Look at bytes that are to be rows.

    Raises: ConfigInvalid, if they are not.
    """
    if len(data) % (8 * len(features)):
        raise ConfigInvalid(f"rows: {len(data)} bytes are no rows of {len(features)} features. No detector was made.")


def trained_on(values: Rows, features: Sequence[str]) -> str:
    """Return the SHA-256, in hex, of what a detector was trained on: the features' names and the rows."""
    return sha256("\0".join(features).encode() + b"\0\0" + packed(values)).hexdigest()
