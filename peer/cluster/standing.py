"""The hosts of a cluster as they stand: those that gossip tells of, and those that the folder lists."""

from typing import Any

from peer.backends.admission import addresses_in
from peer.backends.roll import seats_in
from peer.cluster.attached import Attached
from peer.values.texts import natural
from protocol.fact import State
from protocol.ids import HostId

_WORDS = {State.ALIVE: "up", State.SUSPECT: "in doubt", State.FAILED: "failed", State.LEFT: "left"}
DOWN = "down"
"""Of a host that the folder lists, and nobody has heard of."""


def hosts(cluster: Attached) -> list[dict[str, Any]]:
    """Return a cluster's hosts, those that are down too."""
    noted = addresses_in(cluster.folder)
    names = {each.host: name for name, each in noted.items()}
    machine = cluster.host.neighbours.machine
    rows: list[dict[str, Any]] = []
    for fact in cluster.host.known_hosts():
        agents = cluster.host.agents_of(fact.host)
        if not agents and fact.host not in names:
            continue  # a peer like this one
        standing = machine.standing(fact.host)
        row = {"host": names.get(fact.host, ""), "state": DOWN if standing is None else _WORDS[standing]}
        pid = (noted[names[fact.host]].pid or None) if fact.host in names else None
        rows.append(row | {"agents": agents, "address": fact.address, "process": pid, "id": fact.host})
    there = {row["host"] for row in rows}
    for name, seat in seats_in(cluster.folder).items():
        if name not in there:
            moved = [agent for agent in seat.agents if agent in cluster.host.homes]
            if seat.agents and len(moved) == len(seat.agents):
                continue  # others have succeeded it
            row = {"host": name, "state": DOWN, "agents": seat.agents, "address": "", "process": None, "id": ""}
            rows.append(row)
    return sorted(rows, key=lambda row: natural(row["host"]))


def names_of(cluster: Attached) -> dict[HostId, str]:
    """Return the hosts' names, as the cluster's folder has them."""
    return {each.host: name for name, each in addresses_in(cluster.folder).items()}
