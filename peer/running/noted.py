"""What `ebbtide up` notes in a cluster's folder: for those who come later, and for `ebbtide down`."""

from pathlib import Path

import msgspec
from msgspec import Struct

from peer.errors import ConfigInvalid
from peer.store.files import Files

FILE = "up.json"


class Noted(Struct):
    """How a cluster was started."""

    app: str
    """The file that names its agents: beside it their classes are found."""
    backend: str
    address: str = ""
    """Of a Ray that somebody else has started."""


def note(folder: Path, noted: Noted) -> None:
    """Note how a cluster is started."""
    Files().put(folder / FILE, msgspec.json.encode(noted))


def noted_in(folder: Path) -> Noted | None:
    """Return how the cluster of a folder was last started; None, if that was not by `ebbtide up`.

    Raises: ConfigInvalid.
    """
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Noted)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigInvalid(
            f"{folder / FILE} does not say how the cluster was started ({error}). Nothing was done. Remove it, and"
            " start the cluster again."
        ) from error


def app_of(folder: Path) -> Path | None:
    """Return the file that a cluster was started with, if it was by `ebbtide up`."""
    noted = noted_in(folder)
    return None if noted is None else Path(noted.app)
