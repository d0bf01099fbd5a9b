"""Files of detectors: one MessagePack map with the kind, the settings, the version and the hash of the training data.

A file holds numbers and texts, and no code: whoever may write one can make a detector blind, and nothing worse. To be
sure which one it is, name its version, or the hash of its training data, when it is loaded. It holds what the detector
has learnt: for some, the numbers of the training steps themselves.
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from peer.detectors.agreement import Agreement
from peer.detectors.calibration import Calibrated, Calibration
from peer.detectors.charts import Cusum, Ewma, Shewhart
from peer.detectors.drift import Adwin, PageHinkley
from peer.detectors.outliers import Outliers
from peer.detectors.rules import Bounds, Check, Failures, Threshold
from peer.detectors.settings import version_of
from peer.detectors.trees import HalfSpaceTrees
from peer.detectors.vae import Vae
from peer.errors import CallerError, EbbtideError, PeerError

FORMAT = "ebbtide detector"
EDITION = 1
BYTES_MAX = 64 << 20
"""Larger files are not read."""
KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *(Threshold, Bounds, Failures, Shewhart, Ewma, Cusum, Adwin, PageHinkley, HalfSpaceTrees),
        *(Outliers, Calibration, Calibrated, Agreement, Vae),
    )
}


class DetectorFileInvalid(PeerError):
    """A file that is no detector's, is damaged, or holds another than was asked for. Nothing was loaded."""


class _File(Struct, frozen=True):
    """What a file holds."""

    format: str
    edition: int
    kind: str
    settings: msgspec.Raw
    version: str
    trained_on: str
    digest: str
    """The SHA-256 of the settings, in hex."""


def save(detector: Any, path: str | Path) -> str:
    """Write a detector, or a calibration, to a file, in place of one that is there; return its version.

    Raises: CallerError, for a kind that can't be kept (a `Check` is code); OSError.
    """
    kind = type(detector).__name__
    if KINDS.get(kind) is not type(detector):
        remedy = "keep its function in a module" if isinstance(detector, Check) else "it is not one of Ebbtide's"
        raise CallerError(f"{kind} can't be kept in a file: {remedy}. Nothing was written. Kept: {', '.join(KINDS)}")
    settings = msgspec.msgpack.encode(detector)
    trained_on = getattr(detector, "trained_on", "")
    file = _File(
        *(FORMAT, EDITION, kind, msgspec.Raw(settings)),
        *(version_of(detector), trained_on, sha256(settings).hexdigest()),
    )
    path = Path(path)
    # Beside it and then in its place: whoever reads meanwhile sees the old one or the new.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(msgspec.msgpack.encode(file))
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return file.version


def load(path: str | Path, *, version: str | None = None, trained_on: str | None = None) -> Any:
    """Return the detector, or the calibration, of a file.

    Args:
        version, trained_on: what the file must hold; None: whatever it is.

    Raises: DetectorFileInvalid, saying what is wrong with it, if it is no detector's, is damaged, of a newer edition,
    or another than was asked for; OSError.
    """
    path = Path(path)
    if path.stat().st_size > BYTES_MAX:
        raise _invalid(path, f"larger than {BYTES_MAX >> 20} MB", "It is no detector's")
    file = _read(path)
    kind = KINDS.get(file.kind)
    if kind is None:
        raise _invalid(path, f"of an unknown kind, {file.kind[:100]!r}", f"Known: {', '.join(KINDS)}")
    settings = bytes(file.settings)
    if sha256(settings).hexdigest() != file.digest:
        raise _invalid(path, "damaged: its settings are not those that were written", "Save it anew, or restore it")
    try:
        found = msgspec.msgpack.decode(settings, type=kind)
        whole = version_of(found) == file.version and getattr(found, "trained_on", "") == file.trained_on
    except (msgspec.MsgspecError, EbbtideError, ValueError, RecursionError) as error:
        raise _invalid(
            path, f"damaged, or of another release: {str(error).rstrip('.')}", "Train and save it anew"
        ) from error
    if not whole:
        raise _invalid(path, "damaged, or of another release: its version is not its own", "Train and save it anew")
    for asked, held, what in ((version, file.version, "version"), (trained_on, file.trained_on, "trained_on")):
        if asked is not None and asked != held:
            raise _invalid(path, f"another: its {what} is {held!r}, not {asked!r}", "Load the right file")
    return found


def _read(path: Path) -> _File:
    try:
        file = msgspec.msgpack.decode(path.read_bytes(), type=_File)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _invalid(path, f"no detector's ({error})", "Give the file that save() wrote, or restore it") from error
    if file.format != FORMAT:
        raise _invalid(path, "no detector's", "Give the file that save() wrote")
    if file.edition != EDITION:
        raise _invalid(path, f"of edition {file.edition}, and this release reads {EDITION}", "Upgrade")
    return file


def _invalid(path: Path, what: str, remedy: str) -> DetectorFileInvalid:
    return DetectorFileInvalid(f"{path} is {what}. Nothing was loaded. {remedy}.")
