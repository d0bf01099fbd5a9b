"""What was asked before, and answered: it is not done again, however late it comes again, over restarts too (TR-6).

Questions that change something are numbered by their asker, upwards, over all of its lives. Their answers are in a log
of the host, durable before they are given. Of each asker the newest are kept; what is older than those is refused.
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from msgspec import Struct

from peer import errors
from peer.ports import LogStore
from protocol.errors import UNREADABLE, WireInvalid
from protocol.ids import HostId
from protocol.wire import Answer

LOG = "asked:"
"""No agent can have its name."""
OF_ONE_MAX = 512
"""Answers kept of one asker."""
ASKERS_MAX = 512
BODY_BYTES_MAX = 4096
"""Of an answer; a larger one is not said again after a restart, only that it was given."""
CONDENSE = 2_000


class AnsweredRecord(Struct, frozen=True, array_like=True):
    """A question that changes something was answered."""

    host: HostId
    number: int
    body: bytes
    error: str


class FloorRecord(Struct, frozen=True, array_like=True):
    """Older questions of a host are refused; of any host that is not kept, if it names none."""

    host: HostId
    number: int


_records = msgspec.msgpack.Decoder(tuple[AnsweredRecord | None, FloorRecord | None])


class _Asker:
    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.answers: OrderedDict[int, AnsweredRecord] = OrderedDict()


class Repeats:
    """The answers that one host has given."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._askers: OrderedDict[HostId, _Asker] = OrderedDict()
        self._floor = 0
        """Of askers that are not kept."""
        self._written = 0

    def open(self) -> None:
        """Go on from the log."""
        for data in self._store.read(LOG):
            answered, floor = decode_answered(data)
            if answered is not None:
                self._take(answered)
            elif floor is not None and floor.host:
                self._asker(floor.host).floor = floor.number
            elif floor is not None:
                self._floor = max(self._floor, floor.number)

    def find(self, host: HostId, number: int) -> Answer | None:
        """Return the answer that a question was given; None if it is new.

        Raises: CallerError, if it is so old that this can't be told.
        """
        asker = self._askers.get(host)
        found = None if asker is None else asker.answers.get(number)
        if found is not None:
            return Answer(number, found.body, found.error)
        if number <= (self._floor if asker is None else asker.floor):
            raise errors.CallerError(
                "this was asked before, or long ago: many later questions were answered since. Nothing changed. Look,"
                " and ask anew; if it was just asked, set the clock of the machine that asks."
            )
        return None

    def keep(self, host: HostId, given: Answer, done: Callable[[], None]) -> None:
        """Write an answer down; `done` is called when it is durable."""
        body = given.body if len(given.body) <= BODY_BYTES_MAX else b"it was answered before, at length: look"
        error = given.error if body == given.body else "CallerError"
        record = AnsweredRecord(host, given.number, body, error)
        self._take(record)
        self._written += 1
        if self._written % CONDENSE:
            self._store.append(LOG, [_encoded(record)], done)
            return
        floors = [FloorRecord("", self._floor), *(FloorRecord(name, one.floor) for name, one in self._askers.items())]
        kept = [each for asker in self._askers.values() for each in asker.answers.values()]
        self._store.append(LOG, [_encoded(each) for each in (*floors, *kept)], done, True)

    def _take(self, record: AnsweredRecord) -> None:
        asker = self._asker(record.host)
        asker.answers[record.number] = record
        while len(asker.answers) > OF_ONE_MAX:
            asker.floor = max(asker.floor, asker.answers.popitem(last=False)[0])
        while len(self._askers) > ASKERS_MAX:
            gone = self._askers.popitem(last=False)[1]
            self._floor = max(self._floor, gone.floor, *gone.answers)

    def _asker(self, host: HostId) -> _Asker:
        asker = self._askers.get(host)
        if asker is None:
            asker = self._askers[host] = _Asker(self._floor)
        self._askers.move_to_end(host)
        return asker


def _encoded(record: AnsweredRecord | FloorRecord) -> bytes:
    is_answer = isinstance(record, AnsweredRecord)
    return msgspec.msgpack.encode((record if is_answer else None, None if is_answer else record))


def decode_answered(data: bytes) -> tuple[AnsweredRecord | None, FloorRecord | None]:
    """Return what the log keeps. Raises: WireInvalid."""
    try:
        return _records.decode(data)
    except UNREADABLE as error:
        raise WireInvalid(f"it is no answer that was given ({error})") from error
