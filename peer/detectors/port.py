"""What a detector is to the rest: a value that begins to watch, and sees one step after the other.

A detector is frozen and can be sent to other processes; what it has seen lies in the `Watch` that it begins. Each
agent's steps get a watch of their own. A watch may be begun anew at any time and shown again the newest few hundred
steps that still stand: so it keeps nothing that these do not tell, and a rollback takes what was undone out of it.
"""

from collections.abc import Sequence
from typing import Protocol, Self

from peer.detectors.seen import Finding, Seen


class Watch(Protocol):
    """Looks at one agent's steps."""

    def see(self, step: Seen) -> Finding | None:
        """Take in the next step, and say what it is worth; None: this detector has nothing to say of such a step.

        It is total: whatever a step reports, it raises nothing.
        """
        ...


class Detector(Protocol):
    """A frozen Struct with its settings, and what it has been trained on.

    One whose word on a step hangs on no other step says so by `memoryless = True`: then a watcher keeps nothing for it.
    """

    @property
    def name(self) -> str:
        """As in logs, tables and on the command line, with the feature that it looks at: `ewma(amount)`."""
        ...

    @property
    def version(self) -> str:
        """Changes with its settings and with what it was trained on, so that a log says which one it was."""
        ...

    def begin(self) -> Watch:
        """Return one that has seen nothing yet."""
        ...


class Trainable(Protocol):
    """A detector that first has to see how a normal run looks."""

    def train(self, steps: Sequence[Seen]) -> Self:
        """Return the detector as these steps, of one or more normal runs and in their order, make it.

        Raises: CallerError, if they are too few, or lack what it looks at; it says how many it needs.
        """
        ...
