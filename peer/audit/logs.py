"""Hosts' folders as one: which logs there are, and which of them speaks for an agent.

After a succession an agent's log stands in two folders, the dead host's and its successor's, with the same beginning.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from peer.errors import ConfigInvalid, LogCorrupt
from peer.host.repeats import LOG as ASKED
from peer.host.repeats import decode_answered
from peer.replication.sealing import level_of
from peer.replication.trustee import PREFIX as SHARE
from peer.replication.trustee import decode_parts
from peer.store.heads import LOG as HEADS
from peer.store.heads import decode_head
from peer.store.reading import Logs, Stored, open_logs
from peer.trust.orders import LOG as ORDERS
from peer.trust.orders import decode_order
from peer.values import texts
from protocol.ids import HOST, AgentId
from protocol.records import BirthRecord
from protocol.wire import decode_host_record, decode_record

COPY = "copy:"
"""Begins the names of logs that are kept for others, as `copy:HOST/LOG`."""


class OwnLog(NamedTuple):
    """The log that speaks for an agent."""

    agent: AgentId
    logs: Logs
    note: str = ""
    """What is to be known of the same agent's logs in other folders; empty if they agree."""


def is_agents(name: str) -> bool:
    """Tell whether a log is an agent's own: those of hosts, and copies, have names that no agent can have."""
    return ":" not in name


def check_readable(name: str, body: bytes) -> None:
    """Check that a record of a log can be read, whoever reads it: an agent, its host, or who succeeds them.

    Raises: WireInvalid.
    """
    if name.startswith(COPY):
        if level_of(body):
            return  # only its owner, or who succeeds that, can say more
        name = name[len(COPY) :].partition("/")[2]
    if name == HOST:
        decode_host_record(body)
    elif name == HEADS:
        decode_head(body)
    elif name == ASKED:
        decode_answered(body)
    elif name == ORDERS:
        decode_order(body)
    elif name.startswith(SHARE):
        decode_parts(body)
    elif is_agents(name):
        decode_record(body)


def is_hosts(place: Path) -> bool:
    """Tell whether a folder is a host's: whoever opens its logs is told what is wrong with them."""
    return any(place.glob("log*"))


def places_in(folder: Path) -> list[Path]:
    """Return a host's folder, or all hosts' folders in a folder.

    Raises: ConfigInvalid, naming the folder, if there is no log.
    """
    if not folder.is_dir():
        what = f"{str(folder)!r} is a file, and no folder" if folder.exists() else f"there is no folder {str(folder)!r}"
        raise ConfigInvalid(f"{what}. Nothing was read. Name a host's folder, or that of all.")
    if is_hosts(folder):
        return [folder]
    found = sorted((path for path in folder.iterdir() if path.is_dir() and is_hosts(path)), key=natural)
    if not found:
        raise ConfigInvalid(
            f"{str(folder)!r} holds no log, nor does any folder in it. Nothing was read."
            " Name a host's folder, as in run/host-1, or the folder of all hosts, as in run."
        )
    return found


def hosts_in(folder: Path) -> list[Logs]:
    """Open a host's folder, or all hosts' folders in a folder.

    Raises: ConfigInvalid, naming the folder, if there is no log, or if a log can't be read by this release.
    """
    return [open_logs(place) for place in places_in(folder)]


def own_logs(hosts: Sequence[Logs]) -> list[OwnLog]:
    """Return, for each agent, the log that speaks for it."""
    found: dict[AgentId, list[Logs]] = {}
    for logs in hosts:
        for name in logs.agents():
            if is_agents(name):
                found.setdefault(name, []).append(logs)
    return [_chosen(agent, found[agent]) for agent in sorted(found)]


def _chosen(agent: AgentId, candidates: list[Logs]) -> OwnLog:
    """Choose the log that goes on: of the newest incarnation, and of those the longest."""
    best, notes = candidates[0], list[str]()
    for other in candidates[1:]:
        at = fork(best, other, agent)
        if at is None:
            best = max(best, other, key=lambda logs: logs.length(agent))
            continue
        lives = [newest_life(logs, agent, at) for logs in (best, other)]
        left, best = (best, other) if _rank(lives[1], other, agent) > _rank(lives[0], best, agent) else (other, best)
        gone = left.length(agent) - at + 1
        why = "they began a new life" if min(lives) != max(lives) else "neither began a new life, which no host does"
        notes.append(
            f"the logs of {agent} in {left.folder.name} and {best.folder.name} differ from record {at} on: {why};"
            f" told is what {best.folder.name} has, and {gone} records that only {left.folder.name} has are not"
        )
    return OwnLog(agent, best, "; ".join(notes))


def _rank(life: int, logs: Logs, agent: AgentId) -> tuple[int, int]:
    return life, logs.length(agent)


def fork(one: Logs, other: Logs, agent: AgentId) -> int | None:
    """Return the first number at which two logs of an agent differ; None if one only goes on where the other ends."""
    left, right = intact(one, agent), intact(other, agent)
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        if a.number == b.number and a.body != b.body:
            return a.number
        # What is archived may be dropped in one folder and not in the other.
        behind = a.number - b.number
        if behind <= 0:
            a = next(left, None)
        if behind >= 0:
            b = next(right, None)
    return None


def intact(logs: Logs, agent: AgentId, first: int = 1) -> Iterator[Stored]:
    """Yield a log's records up to the first that is not as it was written."""
    try:
        yield from logs.read(agent, first)
    except LogCorrupt:
        return


def newest_life(logs: Logs, agent: AgentId, first: int) -> int:
    """Return the newest incarnation that began at record `first` of a log or later; 0: none did."""
    births = (decode_record(stored.body) for stored in intact(logs, agent, first))
    return max((record.incarnation for record in births if isinstance(record, BirthRecord)), default=0)


def natural(path: Path) -> list[tuple[int, str]]:
    """Return what puts folders in the order that people count in."""
    return texts.natural(path.name)
