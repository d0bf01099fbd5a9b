"""What lets others in: the secret of a cluster, and where its hosts are, as its folder has them.

Each host writes its address into its own folder at every start, and takes it away when it ends in order. What a host
that was killed has left there leads nowhere: whoever comes looks who answers.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from peer import errors
from peer.keys import HostKeys
from peer.store.files import Files
from peer.store.outside.keeping import Places
from peer.trust import authority
from protocol.ids import HostId

logger = logging.getLogger("ebbtide")

ABOUT = "cluster.json"
"""In a cluster's folder: what whoever comes later has to know, and was told to the one who started it."""
ADDRESS = "address.json"
"""In a host's folder."""
ELSEWHERE = "elsewhere.json"
"""In the folder of who has launched a cluster: where those hosts were started whose folders are on other machines."""


class Address(Struct):
    """Where a host is, in its present life."""

    host: HostId
    address: str
    pid: int
    """Its process, on the machine where it runs; 0, where it is another machine's to know."""


class About(Struct):
    """What is not to be seen from the rest of a cluster's folder."""

    blobs: str = ""
    """Where bulky values are; empty: beside the logs."""
    vault: str = ""
    """Where keys are, likewise."""


def founded(folder: Path, places: Places) -> HostKeys:
    """Note what whoever comes later has to know; return the cluster's authority, which is made at the first start.

    Raises: ConfigInvalid, for a key that can't be used.
    """
    root = authority.load_or_create(folder)
    beside = Places.beside(folder, None, None)
    about = About(*(given if given != usual else "" for given, usual in
                    ((places.blobs, beside.blobs), (places.vault, beside.vault))))  # fmt: skip
    Files().put(folder / ABOUT, msgspec.json.encode(about))
    return root


def places_of(folder: Path) -> Places:
    """Return where a cluster keeps what is outside its logs. Raises: ConfigInvalid."""
    file = folder / ABOUT
    try:
        about = msgspec.json.decode(file.read_bytes(), type=About)
    except FileNotFoundError:
        about = About()
    except (ValueError, OSError) as error:
        raise errors.ConfigInvalid(
            f"{file} does not say what a cluster's does ({error}). Nothing was started. It is written anew when the"
            " cluster is started."
        ) from error
    return Places.beside(folder, about.blobs or None, about.vault or None)


def came(folder: Path, address: Address) -> None:
    """A host is up: note where, in its folder."""
    try:
        Files().put(folder / ADDRESS, msgspec.json.encode(address))
    except OSError as error:
        # A full disk is no reason for a host not to come up: it waits for room, and the others know where it is.
        logger.warning("%s: its address can't be noted (%s), so who attaches has to find it by others", folder, error)


def went(folder: Path) -> None:
    """A host ends in order."""
    (folder / ADDRESS).unlink(missing_ok=True)


def noted_elsewhere(folder: Path, hosts: Mapping[str, Address]) -> None:
    """Note where hosts were started whose folders are on other machines, for who attaches here."""
    if hosts:
        known = _elsewhere(folder) | {name: structs.replace(each, pid=0) for name, each in hosts.items()}
        Files().put(folder / ELSEWHERE, msgspec.json.encode(known))


def all_went(folder: Path) -> None:
    """The hosts of a cluster have ended, those too whose folders are on other machines."""
    (folder / ELSEWHERE).unlink(missing_ok=True)


def _elsewhere(folder: Path) -> dict[str, Address]:
    file = folder / ELSEWHERE
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Address])
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise errors.ConfigInvalid(
            f"{file} does not say where hosts are ({error}). Nothing was started. Remove it; it is written anew when"
            " the cluster is started."
        ) from error


def addresses_in(folder: Path) -> Mapping[str, Address]:
    """Return where the hosts of a cluster's folder are, or were when they were killed, by name."""
    found = _elsewhere(folder)
    for file in sorted(folder.glob(f"*/{ADDRESS}")):
        try:
            found[file.parent.name] = msgspec.json.decode(file.read_bytes(), type=Address)
        except FileNotFoundError:
            continue  # it has ended meanwhile
        except ValueError as error:
            raise errors.ConfigInvalid(
                f"{file} is no address of a host ({error}). Nothing was started. Remove it; the host writes it anew"
                " when it is started."
            ) from error
    return found
