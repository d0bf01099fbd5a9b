"""The messages to one receiver that are far from being sent: of each its number, its step and its place (CL-5).

They are in the order of their numbers, and so of their steps, and take 25 bytes each, wherever what they say lies.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from protocol.ids import AgentId, StepId

RUN = 4096
"""So many stand in one run of arrays: what is taken from the front is given back run by run."""

WRITTEN, DURABLE, GONE = range(3)
_MAY_LEAVE = bytes((DURABLE, DURABLE, GONE, *range(3, 256)))


class Far(NamedTuple):
    """One of the messages."""

    step: StepId
    number: int
    place: int

    @property
    def name(self) -> tuple[int, int]:
        """By which its receiver knows it."""
        return self.step.incarnation, self.number


class _Run:
    __slots__ = ("at", "incarnation", "left", "numbers", "places", "seqs", "states")

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.numbers = array("q")
        self.seqs = array("q")
        self.places = array("q")
        self.states = bytearray()
        self.left = 0
        """How many are not gone."""
        self.at = 0
        """The first that is not."""


class Shelved:
    """What waits for one receiver behind what is at hand."""

    def __init__(self) -> None:
        self._agent: AgentId = ""
        self._runs: list[_Run] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def follows(self, step: StepId, number: int) -> bool:
        """Tell whether a message comes after all that are here."""
        if not self._runs:
            return True
        last = self._runs[-1]
        if step.incarnation != last.incarnation:
            return step.incarnation > last.incarnation
        return number > last.numbers[-1] and step.seq >= last.seqs[-1]

    def put(self, step: StepId, number: int, place: int) -> None:
        """Add a message that follows; it is not `ripe` before `release`."""
        self._agent = step.agent
        if not self._runs or self._runs[-1].incarnation != step.incarnation or len(self._runs[-1].numbers) == RUN:
            self._runs.append(_Run(step.incarnation))
        run = self._runs[-1]
        run.numbers.append(number)
        run.seqs.append(step.seq)
        run.places.append(place)
        run.states.append(WRITTEN)
        run.left += 1
        self._count += 1

    def release(self, incarnation: int, number: int) -> None:
        """A message is durable: it may leave."""
        found = self._find(incarnation, number)
        if found is not None:
            found[0].states[found[1]] = DURABLE

    def release_all(self) -> None:
        """All are durable."""
        for run in self._runs:
            run.states = run.states.translate(_MAY_LEAVE)

    def ripe(self, most: int, is_held: Callable[[StepId], bool]) -> list[Far]:
        """Take out the first that may leave; those that are held are passed over."""
        found: list[tuple[_Run, int]] = []
        for run in self._runs:
            for at in range(run.at, len(run.numbers)):
                if len(found) == most or run.states[at] == WRITTEN:
                    return [self._out(*each) for each in found]
                if run.states[at] == DURABLE and not is_held(self._step(run, at)):
                    found.append((run, at))
        return [self._out(*each) for each in found]

    def pop(self, incarnation: int, number: int) -> Far | None:
        """Take one out; None if it is not here."""
        found = self._find(incarnation, number)
        return None if found is None else self._out(*found)

    def pop_step(self, step: StepId) -> list[Far]:
        """Take out what a step has sent."""
        return [self._out(*each) for each in self._of(step)]

    def has_of(self, step: StepId) -> bool:
        """Tell whether something is here that a step has sent."""
        return bool(self._of(step))

    def all(self) -> Iterator[Far]:
        """Give all, in order."""
        for run in self._runs:
            for at in range(run.at, len(run.numbers)):
                if run.states[at] != GONE:
                    yield Far(self._step(run, at), run.numbers[at], run.places[at])

    def _step(self, run: _Run, at: int) -> StepId:
        return StepId(self._agent, run.incarnation, run.seqs[at])

    def _find(self, incarnation: int, number: int) -> tuple[_Run, int] | None:
        first = bisect_left(self._runs, (incarnation, number), key=lambda run: (run.incarnation, run.numbers[-1]))
        if first == len(self._runs) or self._runs[first].incarnation != incarnation:
            return None
        run = self._runs[first]
        at = bisect_left(run.numbers, number)
        return (run, at) if run.numbers[at] == number and run.states[at] != GONE else None

    def _of(self, step: StepId) -> list[tuple[_Run, int]]:
        found: list[tuple[_Run, int]] = []
        if step.agent != self._agent:
            return found
        name = (step.incarnation, step.seq)
        first = bisect_left(self._runs, name, key=lambda run: (run.incarnation, run.seqs[-1]))
        for run in self._runs[first:]:
            if (run.incarnation, run.seqs[0]) > name:
                break
            at = bisect_left(run.seqs, step.seq)
            while at < len(run.seqs) and run.seqs[at] == step.seq:
                if run.states[at] != GONE:
                    found.append((run, at))
                at += 1
        return found

    def _out(self, run: _Run, at: int) -> Far:
        run.states[at] = GONE
        run.left -= 1
        self._count -= 1
        while run.at < len(run.numbers) and run.states[run.at] == GONE:
            run.at += 1
        if not run.left:
            self._runs.remove(run)
        return Far(self._step(run, at), run.numbers[at], run.places[at])

    def check(self) -> None:
        """Assert that all are in order, and counted."""
        all_far = list(self.all())
        assert len(all_far) == self._count
        for before, far in pairwise(all_far):
            assert before.name < far.name, f"{far} is out of order"
            assert before.step <= far.step, f"{far} is out of order"
        assert all(run.left for run in self._runs)
