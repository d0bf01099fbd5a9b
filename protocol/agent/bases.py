"""A peer's whole state as one record, so that recovery need not read the log from its beginning (CP-6).

Each part tells its own slice of it, and takes that in again: a new field stands in one part, and in `BaseRecord`.

What is behind the horizon is folded, so a base holds the steps after it, what waits, and the values. Values of keys
that have not changed since the base before are left out of all but every so manieth: those hold all, and reading may
begin there.
"""

from typing import Any

from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.grouping import Grouping
from protocol.agent.proposer import Proposer
from protocol.agent.rollback import Rollback
from protocol.agent.stepping import Stepping
from protocol.agent.tiering import Tiering
from protocol.agent.versions import Version
from protocol.errors import ShelfUnreadable
from protocol.ids import StepId
from protocol.records import BaseRecord
from protocol.step import Entry

FULL_EVERY = 8
"""So many bases apart are those that hold all: recovery reads at most that many."""

PUT_OFF = 4
"""While messages lie on the shelf, so many times as many are sent before the next base, which holds them all. The log
has them until then, and recovery reads at most that many times what waits."""


class Bases:
    """Makes bases of one peer, and brings a peer back from them."""

    def __init__(
        self, core: Core, effects: Effects, proposer: Proposer, stepping: Stepping, rollback: Rollback,
        grouping: Grouping, tiering: Tiering,
    ) -> None:  # fmt: skip
        self._core = core
        self._effects = effects
        self._proposer = proposer
        self._stepping = stepping
        self._rollback = rollback
        self._grouping = grouping
        self._tiering = tiering
        self._count = 0
        self._forgotten = 0
        """Steps that were forgotten when the last base was made."""
        self._sent = 0
        """Messages that were ever sent, then."""
        self._entries: dict[tuple[StepId, int], None] = {}
        """Entries that a base holds since the last full one."""

    def work(self) -> None:
        """Write a base, if anything was forgotten since the last one, and not too much would be written once more."""
        core = self._core
        if core.cone.forgotten == self._forgotten or core.outbox.added - self._sent < PUT_OFF * core.outbox.shelved():
            return
        try:
            record = self.make()
        except ShelfUnreadable as error:
            core.tell("base-put-off", core.agent, str(error))
            return
        core.append((record,), anchor=record.is_full)

    def make(self) -> BaseRecord:
        """Return the base of the peer as it stands. Raises: ShelfUnreadable; nothing changed."""
        is_full = self._count % FULL_EVERY == 0
        slices: dict[str, Any] = {}
        for told in self.slices(is_full):
            assert not slices.keys() & told, "two parts tell one field"
            slices |= told
        self._count += 1
        self._forgotten, self._sent = self._core.cone.forgotten, self._core.outbox.added
        return BaseRecord(is_full=is_full, **slices)

    def slices(self, is_full: bool) -> list[dict[str, Any]]:
        """Return what each part tells; first who may be unable to, for some remember what they have told."""
        core = self._core
        return [
            core.outbox.told(),
            core.told(),
            core.inbox.told(),
            core.unplaced.told(),
            core.timers.told(),
            core.intents.told(),
            core.dead_letters.told(is_full),
            {"steps": tuple(core.cone.records()), "forgotten": core.cone.forgotten},
            self._told_values(is_full),
            self._effects.told(),
            self._stepping.told(),
            self._rollback.told(),
            self._proposer.told(),
            self._grouping.told(),
            self._tiering.told(),
        ]

    def _told_values(self, is_full: bool) -> dict[str, Any]:
        """Return the values of all keys, or of those that have changed since the base before."""
        core = self._core
        if is_full:
            self._entries = {}
        touched = core.versions.take_touched()
        keys = tuple(core.versions.keys()) if is_full else touched
        entries = tuple(entry for entry in self._final_entries() if (entry.writer, entry.index) not in self._entries)
        self._entries.update(dict.fromkeys((entry.writer, entry.index) for entry in entries))
        return {"keys": tuple((key, self._final_versions(key)) for key in keys), "entries": entries}

    def _final_versions(self, key: str) -> tuple[tuple[StepId, bytes | None, int], ...]:
        versions = self._core.versions.versions_of(key)
        return tuple((v.step, v.value, v.epoch) for v in versions if v.step not in self._core.cone)

    def _final_entries(self) -> list[Entry]:
        core = self._core
        return [entry for step, entries in core.own_entries.items() if step not in core.cone for entry in entries]

    # -- coming back -----------------------------------------------------------------------------------------------

    def start_of(self, records: tuple[object, ...]) -> tuple[list[BaseRecord], int]:
        """Return the bases to begin with, oldest first (the first is full), and where in the log to go on."""
        found: list[BaseRecord] = []
        at = len(records)
        begin = 0
        while at > 0:
            at -= 1
            record = records[at]
            if isinstance(record, BaseRecord):
                begin = begin or at + 1
                found.append(record)
                if record.is_full:
                    return found[::-1], begin
        return [], 0

    def load(self, bases: list[BaseRecord]) -> None:
        """Take in bases: values from all of them, everything else from the last."""
        core, last = self._core, bases[-1]
        core.load(last)
        core.dead_letters.load(bases)
        self._load_values(bases)
        core.load_steps(last)
        self._forgotten = last.forgotten
        core.intents.load(last, core.now_us)
        self._effects.load(last)
        core.inbox.load(last)
        self._stepping.load(last)
        core.outbox.load(last)
        self._sent = core.outbox.added
        core.unplaced.load(last, core.now_us)
        core.timers.load(last)
        self._rollback.load(last)
        self._proposer.load(last)
        self._grouping.load(last)
        self._tiering.load(last)
        self._count = len(bases)

    def _load_values(self, bases: list[BaseRecord]) -> None:
        core = self._core
        for base in bases:
            for key, versions in base.keys:
                core.versions.put_versions(key, tuple(Version(*version) for version in versions))
            for entry in base.entries:
                core.note_entry(entry)
                self._entries[entry.writer, entry.index] = None
