"""What an agent has handled, in order, and its checkpoints as places in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sims.baselines.process import VALUE_BYTES
from sims.baselines.worker import Job


@dataclass
class Entry:
    """A step that stands, and what it handled."""

    step: int
    job: Job
    tag: Any = None
    """What the protocol has to know of the step."""


@dataclass
class Checkpoint:
    """An agent's state at one place of its journal."""

    place: int = 0
    state: dict[str, int] = field(default_factory=dict)
    tag: Any = None


class Journal:
    """The steps of one agent that stand, and the checkpoints it can go back to.

    Inputs are kept here as a receiver's log keeps them, so that what was received after a checkpoint is handled again:
    papers that speak of lost messages leave that to the channels.
    """

    def __init__(self, tag: Any = None) -> None:
        self.entries: list[Entry] = []
        self.checkpoints = [Checkpoint(tag=tag)]
        self._written = 0

    def checkpoint(self, state: dict[str, int], tag: Any = None) -> int:
        """Make a checkpoint; return how many bytes it takes, with the inputs logged since the last one."""
        self.checkpoints.append(Checkpoint(len(self.entries), dict(state), tag))
        size = (len(state) + len(self.entries) - self._written) * VALUE_BYTES
        self._written = len(self.entries)
        return size

    def place_of(self, step: int) -> int:
        """Return the place of a step."""
        return next(at for at, entry in enumerate(self.entries) if entry.step == step)

    def first(self, is_meant: Callable[[Entry], bool]) -> int | None:
        """Return the place of the first entry of a kind, or None."""
        return next((at for at, entry in enumerate(self.entries) if is_meant(entry)), None)

    def before(self, place: int) -> int:
        """Return the number of the last checkpoint that holds nothing of this place or after it."""
        return max(at for at, found in enumerate(self.checkpoints) if found.place <= place)

    def back_to(self, number: int, place: int | None = None) -> list[Entry]:
        """Forget everything after a checkpoint, or after a later place; return what was forgotten, in order."""
        del self.checkpoints[number + 1 :]
        place = self.checkpoints[number].place if place is None else place
        gone = self.entries[place:]
        del self.entries[place:]
        self._written = min(self._written, place)
        return gone
