"""The authority of a cluster: a key in its folder. Who can read it may let anybody in, and do all that anybody may."""

from hashlib import blake2b
from pathlib import Path

from peer.errors import ConfigInvalid
from peer.keys import HostKeys

FILE = "authority.key"
"""In a cluster's folder."""


def load_or_create(folder: Path) -> HostKeys:
    """Return the authority of a folder, which is made at the first start. Raises: ConfigInvalid."""
    if not (folder / FILE).exists():
        HostKeys.generate().save(folder / FILE)
    return load(folder)


def load(folder: Path) -> HostKeys:
    """Return the authority of a cluster that has been started from a folder.

    Raises: ConfigInvalid, if it is not there, can't be read, is none, or others may read it.
    """
    file = folder / FILE
    try:
        return HostKeys.load(file)
    except FileNotFoundError as error:
        raise ConfigInvalid(
            f"{file}, the authority of a cluster, is not there. Nothing was started. Name the folder of a cluster that"
            " has been started, or start one there; or come by a grant of your own: as_=Person.load(file)."
        ) from error
    except OSError as error:
        raise ConfigInvalid(
            f"{file}, the authority of the cluster, can't be read: {error.strerror or error}. Nothing was started. Only"
            " the user who has started the cluster may read it; others come by a grant of their own."
        ) from error


def derived(authority: HostKeys, purpose: bytes) -> bytes:
    """Return 32 bytes that follow from the authority's private key, and tell nothing of it.

    Args:
        purpose: what for, 16 bytes at most.
    """
    return blake2b(authority.private_bytes(), digest_size=32, person=purpose).digest()
