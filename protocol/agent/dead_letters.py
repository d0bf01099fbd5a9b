"""The inputs that one agent has given up, each with why; bases tell only what has come since the one before (CP-6)."""

from collections.abc import Sequence
from typing import Any

from protocol.ids import Lineage
from protocol.records import BaseRecord, Letter
from protocol.step import Input


class DeadLetters:
    """One agent's dead letters, the first of them first."""

    def __init__(self) -> None:
        self._all: list[Letter] = []
        self._gone: dict[Lineage, None] = {}
        """Those of them that were taken up again, or dropped, since the last full base (ST-11)."""
        self.added = 0
        """How many were ever given up in this life."""
        self._told = 0
        """How many the bases hold since the last full one."""

    @property
    def letters(self) -> list[Letter]:
        """What is given up, and was not taken up again or dropped."""
        if not self._gone:
            return self._all
        return [letter for letter in self._all if letter.input.lineage not in self._gone]

    def add(self, item: Input, why: str, time_us: int) -> None:
        """An input is given up."""
        self._gone.pop(item.lineage, None)
        self.added += 1
        self._all.append(Letter(item, why, time_us))

    def last(self, count: int) -> list[Letter]:
        """Return the last that were given up."""
        return self._all[len(self._all) - count :]

    def find(self, lineage: Lineage) -> Letter | None:
        """Return the letter of a lineage, or None."""
        if lineage in self._gone:
            return None
        return next((letter for letter in reversed(self._all) if letter.input.lineage == lineage), None)

    def remove(self, lineage: Lineage) -> None:
        """A letter is one no more."""
        self._gone[lineage] = None

    def inputs(self) -> list[Input]:
        """Return the inputs alone, those taken up again or dropped too: they were taken on once (ST-10)."""
        return [letter.input for letter in self._all]

    def told(self, is_full: bool) -> dict[str, Any]:
        """Return this part's slice of a base: all of them in a full one, else those that are new."""
        if is_full:
            self._all, self._gone = self.letters, {}
        first, self._told = 0 if is_full else self._told, len(self._all)
        return {"dead": tuple(self._all[first:]), "redriven": tuple(self._gone)}

    def load(self, bases: Sequence[BaseRecord]) -> None:
        """Take in this part's slice of bases, the full one first."""
        for base in bases:
            self._all.extend(base.dead)
        self._gone = dict.fromkeys(bases[-1].redriven)
        self._told = len(self._all)
