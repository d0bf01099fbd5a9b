"""An agent's own part of a cone: what its steps depend on, turned round (RB-2, RB-11).

Source: causal-consistent rollback, Lanese, Mezzina, Schmitt, Stefani 2011: undo a step only with all of its
consequences. The cost of a part follows the part, not the history.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import TypeVar

from protocol.clock import Clock
from protocol.ids import MessageId, StepId
from protocol.proposal import ConeStep, Debit
from protocol.step import StepRecord, Tolerated, space_of


class Cone:
    """The dependency edges of one agent's steps."""

    def __init__(self) -> None:
        self._records: dict[StepId, StepRecord] = {}
        self._readers: dict[StepId, list[StepId]] = {}
        self._consumers: dict[MessageId, list[StepId]] = {}
        self._tolerant: dict[StepId, list[StepId]] = {}
        """By writer, the steps that read a sum with a tolerance for it."""
        self.forgotten = 0
        """How many steps have been dropped behind the horizon."""

    def add(self, record: StepRecord) -> None:
        """Note a step's edges. They never change."""
        self._records[record.step] = record
        message = record.input.message
        if message is not None:
            self._consumers.setdefault(message, []).append(record.step)
        for writer in dict.fromkeys(read.writer for read in record.reads):
            if writer is not None and writer != record.step:
                self._readers.setdefault(writer, []).append(record.step)
        for writer in _tolerated_by(record):
            self._tolerant.setdefault(writer, []).append(record.step)

    def drop(self, step: StepId) -> None:
        """Forget a step that is final, and its edges (CP-6)."""
        record = self._records.pop(step)
        self.forgotten += 1
        message = record.input.message
        if message is not None:
            _discard(self._consumers, message, step)
        for writer in dict.fromkeys(read.writer for read in record.reads):
            if writer is not None and writer != step:
                _discard(self._readers, writer, step)
        for writer in _tolerated_by(record):
            _discard(self._tolerant, writer, step)

    def __contains__(self, step: StepId) -> bool:
        return step in self._records

    def record(self, step: StepId) -> StepRecord:
        """Return an own step's record.

        Raises: KeyError, if the step is not in the log.
        """
        return self._records[step]

    def records(self) -> list[StepRecord]:
        """Return the own steps that are not forgotten, in the order in which they ran."""
        return list(self._records.values())

    def before(self, horizon: int) -> list[StepRecord]:
        """Return the oldest steps, as far as they ran in epochs before `horizon`."""
        return list(takewhile(lambda record: record.epoch < horizon, self._records.values()))

    def since(self, horizon: int) -> StepId | None:
        """Return the oldest own step that ran in epoch `horizon` or later, or None."""
        return next((record.step for record in self._records.values() if record.epoch >= horizon), None)

    def check(self, incarnation: int, seq: int) -> None:
        """Assert that no step is newer than the agent's own count."""
        if self._records:
            last = next(reversed(self._records))
            assert last.seq <= seq or last.incarnation < incarnation

    def last_clock(self) -> Clock:
        """Return the clock of the last step; empty before the first."""
        return next(reversed(self._records.values())).clock if self._records else {}

    def __len__(self) -> int:
        return len(self._records)

    def consumer(self, message: MessageId) -> StepId | None:
        """Return the last step that consumed a message, retracted or not."""
        steps = self._consumers.get(message)
        return steps[-1] if steps else None

    def direct(self, message: MessageId) -> list[StepId]:
        """Return the own steps that consumed a message, or read what its producer wrote, also with a tolerance."""
        writer = message.producer
        return [*self._consumers.get(message, ()), *self._readers.get(writer, ()), *self._tolerant.get(writer, ())]

    def part(
        self,
        roots: Iterable[StepId],
        credited: Iterable[MessageId],
        is_gone: Callable[[StepId], bool] | None = None,
    ) -> tuple[StepId, ...]:
        """Return, in order, the own steps that depend on the own `roots` or on the `credited` messages and entries."""
        found: dict[StepId, None] = {}
        self.grow(found, {}, roots, credited, is_gone)
        return tuple(sorted(found))

    def grow(
        self,
        found: dict[StepId, None],
        producers: dict[StepId, None],
        roots: Iterable[StepId],
        credited: Iterable[MessageId],
        is_gone: Callable[[StepId], bool] | None = None,
    ) -> list[StepId]:
        """Add to a part what joins it; return that. The cost follows what is new, but for tolerant readers.

        Args:
            found: the part so far.
            producers: who made what is credited so far.
            roots: steps that are in the part by themselves; others' are passed over.
            credited: messages and entries of cone steps of others.
            is_gone: tells which writers count as retracted besides those of this cone; without it no tolerant reader
                joins (RB-11).
        """
        fresh: list[StepId] = []

        def join(steps: Iterable[StepId]) -> None:
            for step in steps:
                if step not in found:
                    found[step] = None
                    fresh.append(step)

        def counts(writer: StepId) -> bool:
            return writer in found or writer in producers or (is_gone is not None and is_gone(writer))

        def exceeded(writer: StepId) -> list[StepId]:
            # What counts only grows here, so whoever is within its limit now is asked again with the next writer.
            readers = self._tolerant.get(writer, ()) if is_gone is not None else ()
            return [r for r in readers if r not in found and any(t.is_exceeded(counts) for t in _sums(r, writer))]

        def _sums(reader: StepId, writer: StepId) -> list[Tolerated]:
            return [t for t in self._records[reader].tolerated if any(part[0] == writer for part in t.parts)]

        join(root for root in roots if root in self._records)
        for message in credited:
            producers[message.producer] = None
            join(self._consumers.get(message, ()))
            join(self._readers.get(message.producer, ()))
        if is_gone is not None and self._tolerant:
            # What others freeze or undo has changed since: ask all anew.
            for writer in [*producers, *found]:
                join(exceeded(writer))
        at = 0
        while at < len(fresh):
            step = fresh[at]
            at += 1
            join(exceeded(step))
            join(self._readers.get(step, ()))
            for index, output in enumerate(self._records[step].outputs):
                if output.receiver == step.agent:
                    join(self._consumers.get(MessageId(step, index), ()))
        return fresh

    def after(self, step: StepId) -> Iterator[StepRecord]:
        """Give the own steps that ran after one in its life, in order."""
        seq = step.seq
        while (record := self._records.get(StepId(step.agent, step.incarnation, seq := seq + 1))) is not None:
            yield record

    def following(self, step: StepId | None) -> Iterator[StepRecord]:
        """Give the own steps that ran after one, in all lives; without one, or where it is forgotten, from the oldest.

        The cost follows what is taken, but for a step that is forgotten.
        """
        if step is None or step not in self._records:
            yield from (each for each in self._records.values() if step is None or each.step[1:] > step[1:])
            return
        last = step
        for record in self.after(step):
            last = record.step
            yield record
        if last != next(reversed(self._records)):
            # Lives after this one: there are few.
            yield from (each for each in self._records.values() if each.step.incarnation > last.incarnation)

    def sends(self, step: StepId, subscribers: dict[str, list[str]], entries_from: int) -> ConeStep:
        """Return a step with its debits: its messages, and its shared entries to every subscriber."""
        record = self._records[step]
        debits = [Debit(index, output.receiver, output.number) for index, output in enumerate(record.outputs)]
        for space in dict.fromkeys(space_of(entry.key) for entry in record.entries):
            debits.extend(
                Debit(entries_from, subscriber, 0)
                for subscriber in subscribers.get(space, ())
                if subscriber != step.agent
            )
        return ConeStep(step, tuple(dict.fromkeys(debits)), record.epoch)


def _tolerated_by(record: StepRecord) -> dict[StepId, None]:
    return dict.fromkeys(writer for sums in record.tolerated for writer, _ in sums.parts if writer != record.step)


K = TypeVar("K")


def _discard(index: dict[K, list[StepId]], key: K, step: StepId) -> None:
    left = [other for other in index.get(key, ()) if other != step]
    if left:
        index[key] = left
    else:
        index.pop(key, None)
