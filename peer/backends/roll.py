"""Which hosts have ever been launched from a folder: one of them whose own folder is gone is lost, and not new."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from peer import errors
from peer.store.files import Files

FILE = "hosts.json"


def names_in(folder: Path) -> list[str]:
    """Return the names of the hosts that were ever launched from a folder, in order; none where nobody noted any.

    Raises: ConfigInvalid, naming the file, if it can't be read or is no list of names.
    """
    file = folder / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[str])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.ConfigInvalid(
            f"{folder} can't be used as the cluster's folder: {error}. Nothing was started. Name a folder that is"
            " there, or can be made."
        ) from error
    except msgspec.DecodeError as error:
        raise errors.ConfigInvalid(
            f"{file} is no list of hosts ({error}). Nothing was started. Write into it the names of the hosts"
            ' that have ever run from this folder, as in ["host-1", "host-2"], or start from another folder.'
        ) from error


class Roll:
    """The names of a cluster's hosts, in its folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._names = names_in(folder)

    def is_new(self, name: str) -> bool:
        """Tell whether no host of that name was ever launched from here."""
        return name not in self._names

    def add(self, names: Iterable[str]) -> None:
        """Note hosts that run; durable when this returns."""
        fresh = [name for name in names if name not in self._names]
        if not fresh:
            return
        self._names += fresh
        self._file.parent.mkdir(parents=True, exist_ok=True)
        Files().put(self._file, msgspec.json.encode(self._names))
