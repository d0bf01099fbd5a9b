"""Hosts that outlive the program that has launched them: actors of Ray with names, which follow from their folder."""

from hashlib import blake2b
from pathlib import Path
from typing import Any

from peer import errors
from peer.backends.ray_ending import Place, end_all
from peer.backends.ray_import import ray


def namespace(folder: Path) -> str:
    """Return where Ray has the hosts of a folder: no two clusters share it."""
    return f"ebbtide-{blake2b(str(folder.resolve()).encode(), digest_size=8).hexdigest()}"


def named(folder: Path, host: str) -> dict[str, Any]:
    """Return what an actor is started with, so that it goes on by itself and is found again."""
    return {"name": host, "namespace": namespace(folder), "lifetime": "detached"}


def hosts_of(folder: Path) -> list[str]:
    """Return the hosts of a folder that run on the Ray that has been joined."""
    where = namespace(folder)
    found: list[Any] = ray.util.list_named_actors(all_namespaces=True)
    return [actor["name"] for actor in found if actor["namespace"] == where]


def check_free(folder: Path) -> None:
    """Check that no hosts of a folder run there.

    Raises: LogBusy, naming them.
    """
    hosts = hosts_of(folder)
    if hosts:
        raise errors.LogBusy(
            f"the cluster in {folder} runs on this Ray already: {', '.join(sorted(hosts))}. Nothing was started."
            f" 'ebbtide down {folder}' ends it; 'ebbtide ps' shows it."
        )


def end_hosts(folder: Path) -> list[str]:
    """End the hosts of a folder, each in order; return which have said that they did."""
    places = [Place(folder / host, ray.get_actor(host, namespace(folder)), []) for host in hosts_of(folder)]
    return [place.name for place in end_all(places)]


def end_host(folder: Path, host: str) -> bool:
    """End one host of a folder in order, and have Ray not start it again; return whether it ran there."""
    if host not in hosts_of(folder):
        return False
    end_all([Place(folder / host, ray.get_actor(host, namespace(folder)), [])])
    return True
