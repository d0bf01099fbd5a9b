"""A folder of hosts as whoever starts a cluster from it finds it: which hosts there must be, and whose each folder is.

What names the hosts is the list in the folder (`hosts.json`) and a mark beside each host's folder (`begun-HOST`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from peer.audit.logs import is_agents, is_hosts, natural
from peer.backends.roll import ADDED, Seat, seats_in
from peer.backends.roll import FILE as ROLL
from peer.damage import Finding
from peer.errors import ConfigInvalid, LogCorrupt
from peer.keys import HostKeys
from peer.store.findings import Report
from peer.store.importing import FILE as OLD
from peer.store.opening import BEGUN, KEY
from peer.store.reading import Logs
from peer.store.segment import HEADER_BYTES, decode_header, read_file, segment_files
from protocol.checkpoints.messages import CheckpointRecord, MadeRecord, SucceededRecord
from protocol.errors import WireInvalid
from protocol.ids import HOST, AgentId, HostId
from protocol.wire import decode_host_record

_FOLDER = "Restore the folder from a backup. Where other hosts keep copies (replicas), they go on with its agents."
_SWAPPED = "Put each host's own folder, log and key back in their places: nobody is to start from this one."
_LISTED = "Restore it from a backup, or write into it who lives where: the hosts' logs tell."


class Seen(NamedTuple):
    """A host's folder, and what was found in its log."""

    place: Path
    logs: Logs | None
    """None: there is no log, or it can't be opened."""
    report: Report


class Premises:
    """The hosts that belong to a folder, whether they are there or not."""

    def __init__(self, folder: Path) -> None:
        """Look into a folder of hosts, or at one host's.

        Raises: ConfigInvalid, if there is no such folder.
        """
        if not folder.is_dir():
            what = "is a file, and no folder" if folder.exists() else "is not there"
            raise ConfigInvalid(
                f"the folder {str(folder)!r} {what}. Nothing was read. Name a host's folder, or that of all."
            )
        alone = is_hosts(folder) or _is_left_of(folder)
        home = folder.resolve().parent if alone else folder
        self.findings: list[Finding] = []
        """What is wrong with the list of hosts."""
        self.seats: dict[str, Seat] = {}
        self._file = home / ROLL
        try:
            self.seats = seats_in(home)
            self._check_fields()
        except (ConfigInvalid, ValueError) as error:
            self._listed(f"it can't be read as the list of hosts ({error.__cause__ or error})")
        marks = {file.name.removeprefix(BEGUN): file for file in home.glob(f"{BEGUN}*") if file.is_file()}
        self._marks = {name: _read(file) for name, file in marks.items() if not name.endswith(".new")}
        there = {path.name for path in home.iterdir() if path.is_dir() and (is_hosts(path) or _is_left_of(path))}
        names = {folder.resolve().name} if alone else {*there, *self._marks, *self._started()}
        if alone:
            # Of its neighbours nothing is said.
            self.findings.clear()
        self.places = (
            [folder if folder.name else folder.resolve()]
            if alone
            else sorted((home / name for name in names), key=natural)
        )
        """The folders of all hosts that there are, or were, in order."""
        self._whole = not alone

    def _started(self) -> list[str]:
        return [name for name, seat in self.seats.items() if seat.ran]

    def _check_fields(self) -> None:
        """A list that decodes may have fields of other names, which are passed over: then it says something else."""
        decoded: Any = msgspec.json.decode(self._file.read_bytes()) if self._file.exists() else []
        for name, seat in decoded.items() if isinstance(decoded, dict) else ():
            for field in sorted(set(seat) - set(Seat.__struct_fields__)):
                self._listed(f"it says {field!r} of {name}, which no release writes")

    def _listed(self, what: str) -> None:
        self.findings.append(Finding(self._file, None, None, what, _LISTED))

    def is_unbegun(self, place: Path) -> bool:
        """Tell whether a first start there has come to nothing: the next one begins anew, and nothing is missed."""
        if place.name in self._marks or (place.name in self.seats and self.seats[place.name].ran):
            return False
        if _is_left_of(place) or (place / OLD).exists():
            return False
        return all(_is_unwritten(file) for file in segment_files(place / "log"))

    # -- what there is -----------------------------------------------------------------------------------------------

    def missing(self, place: Path) -> Finding | None:
        """Return what is wrong if there is no log in a host's folder; None: there is one."""
        if not place.exists():
            named = self._file if place.name in self._started() else place.with_name(BEGUN + place.name)
            return Finding(place, None, None, f"the folder of {place.name} is gone, and {named.name} names it", _FOLDER)
        if not is_hosts(place):
            return Finding(place, None, None, f"{place.name} has been up, and its log is gone", _FOLDER)
        return None

    def check(self, seen: Sequence[Seen]) -> dict[Path, list[Finding]]:
        """Return what is wrong with the hosts but for their records; what is wrong with the list is in `findings`."""
        owners = {one.report.host: one.place for one in reversed(seen) if one.report.host}
        found: dict[Path, list[Finding]] = {one.place: [] for one in seen}
        for one in seen:
            if one.logs is not None:
                found[one.place] += [*self._key(one, owners), *self._identity(one, owners), *_added(one.place)]
        if self._whole:
            for place, finding in self._homes(seen):
                found[place].append(finding)
        return found

    def _key(self, one: Seen, owners: dict[HostId, Path]) -> list[Finding]:
        file, host = one.place / KEY, one.report.host
        if not file.exists():
            what, remedy = "it is missing: the host can't start from its log", "Restore it from a backup."
            return [Finding(file, None, None, what, remedy)]
        try:
            keys = HostKeys.load(file)
        except (ConfigInvalid, OSError) as error:
            return [Finding(file, None, None, f"it can't be used. {error}", "")]
        if host and keys.host_id != host:
            what = f"it is the key of {_named(keys.host_id, owners)}, and host {host} has signed this log"
            return [Finding(file, None, None, what, _SWAPPED)]
        return []

    def _identity(self, one: Seen, owners: dict[HostId, Path]) -> list[Finding]:
        """Check that the host that has written a log is the one that has run here."""
        name, host = one.place.name, one.report.host
        mark = self._marks.get(name, "")
        if host and mark and mark != host:
            what = f"{name} holds the log of host {host}, and {_named(mark, owners)} has run here"
        elif host and owners[host] != one.place:
            what = f"{name} holds the log of host {host}, and so does {owners[host].name}: one is a copy"
        else:
            return []
        return [Finding(one.place / "log", None, None, what, _SWAPPED)]

    def _homes(self, seen: Sequence[Seen]) -> list[tuple[Path, Finding]]:
        """Check the list against the logs: whoever lives somewhere must have its log there, or at a successor."""
        if not self._file.exists() or self.findings:
            return []
        homes = {agent: name for name, seat in self.seats.items() for agent in seat.agents}
        logs = {one.place.name: one.logs for one in seen if one.logs is not None}
        records = [record for each in logs.values() for record in _of_host(each)]
        heirs = {record.by for record in records if isinstance(record, SucceededRecord)}
        made = {record.agent for record in records if isinstance(record, MadeRecord)}
        hosts = {one.place.name: one.report.host for one in seen}
        found: list[tuple[Path, Finding]] = []
        for name in logs:
            if name not in self.seats:
                self._listed(f"it does not name {name}, whose log is here")
        for agent in sorted({agent for each in logs.values() for agent in each.agents() if is_agents(agent)}):
            at = [name for name, each in logs.items() if agent in each.agents()]
            home = homes.get(agent)
            if home is None:
                if agent not in made:
                    what = f"it does not name agent {agent}, whose log is in {at[0]}: it would begin anew elsewhere"
                    self._listed(what)
            elif home in logs and home not in at and not any(hosts[name] in heirs for name in at):
                what = f"agent {agent} lives in {home}, and its log is in {at[0]}: it would begin anew"
                place = next(one.place for one in seen if one.place.name == home)
                found.append((place, Finding(place / "log", agent, None, what, _SWAPPED)))
        return found

    def untold(self, known: Sequence[AgentId]) -> list[tuple[Path, list[AgentId]]]:
        """Return the hosts whose logs are not here, each with those of its agents that no other log tells of."""
        found: list[tuple[Path, list[AgentId]]] = []
        for place in self.places if self._whole else ():
            if not is_hosts(place) and not self.is_unbegun(place):
                lived = self.seats[place.name].agents if place.name in self.seats else []
                left = [agent for agent in lived if agent not in known]
                if left or not lived:
                    found.append((place, left))
        return found


def _is_left_of(folder: Path) -> bool:
    """Tell whether there is a key in a folder: then it was a host's, even without a log."""
    return any(folder.glob(f"{KEY}*"))


def _is_unwritten(segment: Path) -> bool:
    """Tell whether there is a whole header in a segment, and nothing else: it has its name only with that."""
    if not segment.is_file() or segment.stat().st_size != HEADER_BYTES:
        return False
    return decode_header(read_file(segment)) is not None


def _read(file: Path) -> str:
    return file.read_text(encoding="ascii", errors="replace")


def _named(host: HostId, owners: dict[HostId, Path]) -> str:
    return f"host {host}" + (f", whose log is in {owners[host].name}," if host in owners else "")


def _of_host(logs: Logs) -> list[CheckpointRecord]:
    """Return what a host has written of itself, as far as it can be read: that it can't is told of the log itself."""
    found: list[CheckpointRecord] = []
    try:
        for stored in logs.read(HOST) if HOST in logs.agents() else ():
            found.append(decode_host_record(stored.body))
    except (LogCorrupt, WireInvalid):
        return found
    return found


def _added(place: Path) -> list[Finding]:
    file = place / ADDED
    try:
        if file.exists():
            msgspec.json.decode(file.read_bytes(), type=list[tuple[str, str, bytes]])
    except (ValueError, OSError) as error:
        what = f"it is no list of the agents that came later ({error})"
        return [Finding(file, None, None, what, "Restore it from a backup, or remove it and launch them again.")]
    return []
