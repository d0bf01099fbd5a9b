"""A run whose hosts outlive the command that has launched them: another one goes on with it, and proves it.

Its folder holds what both need: the logs, the bank's books, and how the run was asked for.
"""

from pathlib import Path
from typing import Any

import msgspec

from peer.backends import ray_head
from peer.errors import ConfigInvalid
from peer.running.down import end_on_ray
from peer.running.token import use_token
from peer.store.files import Files
from peer.trust import authority

PLACE = "demo"
"""In the cluster's folder: what is the run's own."""
FILE = "options.json"
CPUS = 2
END_S = 60.0


def place_in(folder: Path) -> Path:
    """Return where a run keeps its books, which is made."""
    place = folder / PLACE
    place.mkdir(parents=True, exist_ok=True)
    return place


def launch_options(folder: Path) -> dict[str, Any]:
    """Start a Ray that outlives this program; return how a cluster is launched on it. Raises: BackendFailed."""
    head = ray_head.start(folder, authority.load_or_create(folder), CPUS)
    use_token(folder)
    return {"address": head.address, "bind": "tcp://127.0.0.1:*", "detached": True}


def note(folder: Path, options: dict[str, Any]) -> None:
    """Note how a run was asked for."""
    Files().put(place_in(folder) / FILE, msgspec.json.encode(options))


def noted_in(folder: Path) -> dict[str, Any]:
    """Return how the run of a folder was asked for. Raises: ConfigInvalid."""
    file = folder / PLACE / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, ValueError) as error:
        raise ConfigInvalid(
            f"{file} does not say how a run was asked for ({error}). Nothing was done. Name the folder of a demo that"
            " was started with --detached, and has not come to its end."
        ) from error


def end(folder: Path) -> None:
    """End a run's hosts, and its Ray; it can't be resumed any more. Raises: BackendFailed, AskTimeout."""
    end_on_ray(folder, "", END_S)
    (folder / PLACE / FILE).unlink(missing_ok=True)
