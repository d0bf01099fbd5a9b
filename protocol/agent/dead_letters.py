"""The inputs that one agent has given up, each with why; bases tell only what has come since the one before (CP-6)."""

from collections.abc import Sequence
from typing import Any

from protocol.records import BaseRecord
from protocol.step import Input


class DeadLetters:
    """One agent's dead letters, the first of them first."""

    def __init__(self) -> None:
        self.letters: list[tuple[Input, str]] = []
        self._told = 0
        """How many the bases hold since the last full one."""

    def add(self, item: Input, why: str) -> None:
        """An input is given up."""
        self.letters.append((item, why))

    def inputs(self) -> list[Input]:
        """Return the inputs alone."""
        return [item for item, _ in self.letters]

    def told(self, is_full: bool) -> dict[str, Any]:
        """Return this part's slice of a base: all of them in a full one, else those that are new."""
        first, self._told = 0 if is_full else self._told, len(self.letters)
        return {"dead": tuple(self.letters[first:])}

    def load(self, bases: Sequence[BaseRecord]) -> None:
        """Take in this part's slice of bases, the full one first."""
        for base in bases:
            self.letters.extend(base.dead)
        self._told = len(self.letters)
