"""Where each record of a folder's logs stands, and what is missing: made by looking at the heads of all frames."""

import threading
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from peer.chain import FIRST_HASH
from peer.damage import Damage
from peer.store.frame import ANCHOR, CUT, FILL, LOST, Frame, name_hash
from protocol.ids import AgentId

_PLACE_BITS = 40
_AT_MASK = (1 << _PLACE_BITS) - 1


class Place(NamedTuple):
    """Where a frame stands."""

    segment: int
    at: int


@dataclass
class _Log:
    firsts: "array[int]" = field(default_factory=lambda: array("Q"))
    ends: "array[int]" = field(default_factory=lambda: array("Q"))
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    anchor: int = 0
    """The first record of the newest frame that stands for all before it; 0: none."""
    number: int = 0
    hash: bytes = FIRST_HASH
    damages: list[Damage] = field(default_factory=list)
    dropped: bool = False
    """It began in segments that are not here."""
    lost: bool = False
    """What followed its last record is nowhere any more."""


class Index:
    """The places of all records of one host's logs."""

    def __init__(self) -> None:
        self._logs: dict[AgentId, _Log] = {}
        self._by_hash: dict[bytes, AgentId] = {}
        self._suspects: dict[AgentId, tuple[Path, str]] = {}
        self._doubt: tuple[Path, str] | None = None
        """A stretch that can't be read may have held whole logs, whose names nobody knows."""
        self._nameless: dict[bytes, Damage] = {}
        """By hash of a name, a log that had all of its records in a damaged batch."""
        self._lock = threading.Lock()
        """The host's loop reads while the writer's thread adds."""
        self.chunks: dict[bytes, Place] = {}
        """By hash of a piece, the frame that holds it."""

    def begin(self, agent: AgentId, number: int, last: bytes) -> None:
        """Note how far a log has come in segments that are in the archive."""
        log = self._log(agent)
        log.number, log.hash, log.dropped = number, last, True

    def _log(self, agent: AgentId) -> _Log:
        log = self._logs.get(agent)
        if log is None:
            log = self._logs[agent] = _Log()
            name = name_hash(agent)
            self._by_hash[name] = agent
            if lost := self._nameless.pop(name, None):
                log.damages.append(lost)
        return log

    # -- what is there ---------------------------------------------------------------------------------------------

    def agents(self) -> list[AgentId]:
        """Return the names of all logs with a record, in order."""
        # A copy is made at once: the writer's thread may begin a log meanwhile.
        return sorted(agent for agent, log in list(self._logs.items()) if log.number or log.damages)

    def tail(self, agent: AgentId) -> tuple[int, bytes]:
        """Return the number and the hash of a log's last record."""
        log = self._logs.get(agent)
        return (0, FIRST_HASH) if log is None else (log.number, log.hash)

    def tails(self) -> dict[AgentId, tuple[int, bytes]]:
        """Return the last record of every log."""
        return {agent: (log.number, log.hash) for agent, log in list(self._logs.items()) if log.number}

    def doubted(self) -> tuple[AgentId, ...]:
        """Return the logs that may have gone on behind their last record, as far as can be told."""
        logs = list(self._logs.items())
        return tuple(agent for agent, log in logs if any(d.end is None or d.end > log.number for d in log.damages))

    def first(self, agent: AgentId) -> int:
        """Return the first record of a log that is here: those before it have been dropped from the archive."""
        log = self._logs.get(agent)
        return log.firsts[0] if log is not None and log.firsts and log.dropped else 1

    def anchor(self, agent: AgentId) -> int:
        """Return the record from which on a log is needed to bring its agent back; 1 without an anchor."""
        log = self._logs.get(agent)
        return max(1, log.anchor) if log is not None else 1

    def frames(self, agent: AgentId, first: int) -> list[tuple[int, int, Place]]:
        """Return first and last number, and place, of each frame with a record from `first` on, in order."""
        log = self._logs.get(agent)
        if log is None:
            return []
        with self._lock:
            at = max(0, bisect_right(log.firsts, first) - 1)
            if at < len(log.ends) and log.ends[at] < first:
                at += 1
            columns = zip(log.firsts[at:], log.ends[at:], log.places[at:], strict=True)
        return [(begin, end, Place(place >> _PLACE_BITS, place & _AT_MASK)) for begin, end, place in columns]

    def damages(self, agent: AgentId) -> list[Damage]:
        """Return what is missing of a log, in order."""
        log = self._logs.get(agent)
        if log is not None:
            return sorted(log.damages)
        lost = self._nameless.get(name_hash(agent))
        if lost is None and self._doubt is not None:
            lost = Damage(1, None, *self._doubt)
        return [] if lost is None else [lost]

    def nameless(self) -> list[Damage]:
        """Return what may be missing of logs whose names nobody can tell any more."""
        found = list(self._nameless.values())
        return found if self._doubt is None else [*found, Damage(1, None, *self._doubt)]

    def is_damaged(self) -> bool:
        """Tell whether any log lacks records that nothing stands in for."""
        return self._doubt is not None or bool(self._nameless) or any(log.damages for log in list(self._logs.values()))

    def ends_at(self, segment: int) -> dict[AgentId, int]:
        """Return how far each log had come by the end of a segment, of those that have records in it or before."""
        found: dict[AgentId, int] = {}
        for agent, log in list(self._logs.items()):
            ends = [end for end, place in zip(log.ends, log.places, strict=True) if place >> _PLACE_BITS <= segment]
            if ends:
                found[agent] = max(ends)
        return found

    def needed(self, agent: AgentId) -> list[Damage]:
        """Return what is missing of a log from its anchor on: without that its agent does not come back."""
        anchor = self.anchor(agent)
        found = [damage for damage in self.damages(agent) if damage.end is None or damage.end >= anchor]
        return [damage._replace(first=max(damage.first, anchor)) for damage in found]

    def drop(self, segment: int) -> None:
        """Segments up to this one are in the archive: nothing of them is read here any more."""
        with self._lock:
            for log in list(self._logs.values()):
                keep = [at for at, place in enumerate(log.places) if place >> _PLACE_BITS > segment]
                if len(keep) < len(log.places):
                    log.dropped = True
                    for column in (log.firsts, log.ends, log.places):
                        column[:] = array("Q", [column[at] for at in keep])
            self.chunks = {name: place for name, place in self.chunks.items() if place.segment > segment}

    def is_lost(self, agent: AgentId) -> bool:
        """Tell whether the end of a log was lost, and nothing was appended since."""
        log = self._logs.get(agent)
        return log is not None and log.lost

    # -- taking in -------------------------------------------------------------------------------------------------

    def add(self, frame: Frame, place: Place, file: Path) -> str:
        """Take in a frame of records; return what is wrong with its place in its log, or nothing."""
        log = self._log(frame.agent)
        with self._lock:
            return self._added(log, frame, place, file)

    def _added(self, log: _Log, frame: Frame, place: Place, file: Path) -> str:
        if frame.flags & CUT:
            self._cut(log, frame.first)
            log.number, log.hash = frame.first - 1, frame.prev
            # Of what stood there nothing counts any more, damaged or not.
            log.damages = [
                damage._replace(end=min(damage.end or frame.first, frame.first - 1))
                for damage in log.damages if damage.first < frame.first
            ]  # fmt: skip
            self._suspects.pop(frame.agent, None)
            log.lost = bool(frame.flags & LOST)
            if not frame.records:
                return ""
        wrong = ""
        if frame.flags & FILL:
            self._fill(log, frame, place)
            return wrong
        if frame.first <= log.number:
            return f"records {frame.first} to {frame.end} of {frame.agent} come twice"
        if frame.first > log.number + 1:
            self._missing(log, log.number + 1, frame.first - 1, file, "it is missing")
        elif frame.prev != log.hash:
            wrong = f"record {frame.first} of {frame.agent} does not follow the one before it"
            log.damages.append(Damage(frame.first, frame.first, file, "it does not follow the record before it"))
        self._suspects.pop(frame.agent, None)
        log.firsts.append(frame.first)
        log.ends.append(frame.end)
        log.places.append(place.segment << _PLACE_BITS | place.at)
        if frame.flags & ANCHOR:
            log.anchor = frame.first
        log.number, log.hash, log.lost = frame.end, frame.last, bool(frame.flags & LOST)
        return wrong

    def _missing(self, log: _Log, first: int, end: int, file: Path, what: str) -> None:
        known = next((damage for damage in log.damages if damage.first == first), None)
        if known is None:
            log.damages.append(Damage(first, end, file, what))
        elif known.end is None or known.end < end:
            log.damages[log.damages.index(known)] = known._replace(end=end)

    def _cut(self, log: _Log, first: int) -> None:
        while log.firsts and log.ends[-1] >= first:
            if log.firsts[-1] < first:
                log.ends[-1] = first - 1
                break
            for column in (log.firsts, log.ends, log.places):
                column.pop()
        if log.anchor >= first:
            log.anchor = 0

    def _fill(self, log: _Log, frame: Frame, place: Place) -> None:
        """Records stand in for damaged ones, or for the same ones in a segment that is to go."""
        keep = [(first, end, at) for first, end, at in zip(log.firsts, log.ends, log.places, strict=True)
                if end < frame.first or first > frame.end]  # fmt: skip
        for first, end, at in zip(log.firsts, log.ends, log.places, strict=True):
            # One that is only covered in part is read in part.
            if first < frame.first <= end:
                keep.append((first, frame.first - 1, at))
            if first <= frame.end < end:
                keep.append((frame.end + 1, end, at))
        keep.append((frame.first, frame.end, place.segment << _PLACE_BITS | place.at))
        keep.sort()
        for column, each in ((log.firsts, 0), (log.ends, 1), (log.places, 2)):
            column[:] = array("Q", [entry[each] for entry in keep])
        log.damages = [left for damage in log.damages for left in _less(damage, frame.first, frame.end)]
        if frame.flags & ANCHOR:
            log.anchor = max(log.anchor, frame.first)
        if frame.end >= log.number:
            log.number, log.hash = frame.end, frame.last

    # -- damage ----------------------------------------------------------------------------------------------------

    def lost(self, frame: Frame, file: Path, what: str) -> None:
        """A frame's body is not as it was written."""
        log = self._log(frame.agent)
        if frame.flags & CUT:
            self._cut(log, frame.first)
            log.number, log.hash = frame.first - 1, frame.prev
        if frame.flags & ANCHOR:
            # What stands before it is not needed, though it is not here itself.
            log.anchor = max(log.anchor, frame.first)
        if frame.end > log.number:
            self._missing(log, max(frame.first, log.number + 1), frame.end, file, what)

    def hurt(self, agent: AgentId, first: int, end: int, file: Path, what: str) -> None:
        """A frame is there, and its records can't be read."""
        log = self._log(agent)
        for at in reversed([at for at, begin in enumerate(log.firsts) if first <= begin <= end]):
            for column in (log.firsts, log.ends, log.places):
                del column[at]
        self._missing(log, first, end, file, what)

    def reached(self, roster: dict[bytes, int], file: Path, what: str) -> list[bytes]:
        """A damaged batch had records up to these; return the names' hashes that nobody knows."""
        unknown: list[bytes] = []
        for name, number in roster.items():
            agent = self._by_hash.get(name)
            if agent is None:
                unknown.append(name)
                self._nameless[name] = Damage(1, number, file, what)
                continue
            log = self._logs[agent]
            known = max([log.number, *(damage.end for damage in log.damages if damage.end is not None)])
            if number > known:
                self._missing(log, known + 1, number, file, what)
        return unknown

    def suspect(self, file: Path, what: str) -> None:
        """A stretch can't be read at all: any log may have had records there."""
        self._doubt = self._doubt or (file, what)
        for agent in self._logs:
            self._suspects.setdefault(agent, (file, what))

    def proven(self, agent: AgentId, number: int, last: bytes, file: Path, is_end: bool = True) -> None:
        """A signature tells how far a log had come: it is proven whole up to here, or known to lack records.

        Not if it was in doubt when that was signed, which is no end (`is_end`): it is in doubt still.
        """
        log = self._log(agent)
        if log.number == number and log.hash == last:
            if is_end:
                self._suspects.pop(agent, None)
        elif log.number < number:
            place, what = self._suspects.pop(agent, (file, "it is missing"))
            self._missing(log, log.number + 1, number, place, what)

    def settle(self) -> None:
        """Everything is read: what is still in doubt counts as damaged."""
        for agent, (file, what) in self._suspects.items():
            log = self._logs[agent]
            if not any(damage.end is None or damage.end > log.number for damage in log.damages):
                log.damages.append(Damage(log.number + 1, None, file, what))
        self._suspects = {}

    def find_gaps(self, file: Path) -> list[AgentId]:
        """Find the logs that lack something from their anchor on: of archived segments that was written again here.

        Args:
            file: what tells where the archive ends.
        """
        found: list[AgentId] = []
        for agent, log in self._logs.items():
            number = max(1, log.anchor)
            ends = [*zip(log.firsts, log.ends, strict=True), (log.number + 1, log.number + 1)]
            for first, end in ends if log.dropped and log.number else ():
                if first > number and not any(d.first <= number and (d.end or first) >= first - 1 for d in log.damages):
                    self._missing(log, number, first - 1, file, "what was written again of it is missing")
                    found.append(agent)
                number = max(number, end + 1)
        return found


def _less(damage: Damage, first: int, end: int) -> list[Damage]:
    """Return what is left of a damage when records stand in for some."""
    if damage.end is None:
        return [] if first <= damage.first else [damage]
    if end < damage.first or first > damage.end:
        return [damage]
    found = [damage._replace(end=first - 1)] if damage.first < first else []
    return [*found, damage._replace(first=end + 1)] if end < damage.end else found
