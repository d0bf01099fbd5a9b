"""One agent's colour, what is settled and final of its steps, and the restores that it has carried out (CP-1 to CP-7).

It makes its own transitions; what follows from them for steps, messages and effects is for others to do.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from protocol.proposal import Restore
from protocol.records import BaseRecord, Cut
from protocol.step import Input


class Colours:
    """Where one agent stands among the checkpoints of its cluster."""

    def __init__(self) -> None:
        self.epoch = 0
        """The colour: how many cuts this agent's host has made (CP-1)."""
        self.committed = 0
        """The newest epoch that is known to be committed, and in whose view the host is."""
        self.horizon = 0
        """Steps of epochs before this one are final: folded and forgotten (CP-6)."""
        self.restores: list[Restore] = []
        """Every restore carried out, by number from 1; their count is the era (CP-7)."""
        self.restored_us: list[int] = []
        """When each of them was."""
        self.cuts: list[Cut] = []
        """The cuts made here, but for those that the horizon has passed: for people to look at."""
        self.committed_us: dict[int, int] = {}
        """By epoch, when its commit was heard of in this life; for people to look at."""
        self.is_outside = True
        """The host is in no committed view yet: no epoch settles anything here (CP-3)."""
        self.is_told = False
        """Its host has said in this life what is committed, and before that, whether a restore is being voted on."""
        self.is_paused = False
        """A restore is being voted on: no step begins."""

    @property
    def era(self) -> int:
        """How many restores have been carried out here (CP-7)."""
        return len(self.restores)

    def cut(self, epoch: int, incarnation: int, seq: int, time_us: int) -> None:
        """The cut of an epoch is made, after the step that the agent's life and `seq` name."""
        self.epoch = max(self.epoch, epoch)
        self.cuts.append(Cut(epoch, self.era, incarnation, seq, time_us))

    def settled(self, epoch: int, horizon: int, now_us: int) -> None:
        """An epoch is committed, and this host is in its view; what is before the horizon is final."""
        self.is_outside, self.is_told = False, True
        self.committed = max(self.committed, epoch)
        self.horizon = max(self.horizon, horizon)
        self.committed_us.setdefault(epoch, now_us)

    def settles(self, epoch: int) -> bool:
        """Tell whether an epoch is settled, as its host has said in this life.

        What a base tells was so in an earlier life, which may have ended between a vote and its restore (RQ-2).
        """
        return self.is_told and epoch < self.committed

    def restored(self, restore: Restore, time_us: int) -> None:
        """A restore is carried out."""
        self.restores.append(restore)
        self.restored_us.append(time_us)

    def paused(self, pending: bool) -> None:
        """A restore is being voted on, or no longer."""
        self.is_paused = pending

    def forget(self, horizon: int) -> None:
        """Forget the cuts that a horizon has passed."""
        self.cuts = [cut for cut in self.cuts if cut.epoch >= horizon]
        self.committed_us = {epoch: at_us for epoch, at_us in self.committed_us.items() if epoch >= horizon}

    def is_passed(self, epoch: int, era: int) -> bool:
        """Tell whether a restore has undone every step of this epoch and era (CP-7)."""
        return any(restore.epoch <= epoch for restore in self.restores[era:])

    def is_discarded(self, item: Input) -> bool:
        """Tell whether a restore has sent this external input to the dead letters (CP-7)."""
        return item.producer is None and any(
            restore.inputs == "discard" and restore.epoch <= item.epoch for restore in self.restores[item.era :]
        )

    # -- bases -----------------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base."""
        return {
            "epoch": self.epoch,
            "committed": self.committed,
            "horizon": self.horizon,
            "is_outside": self.is_outside,
            "restores": tuple(self.restores),
            "restored_us": tuple(self.restored_us),
            "cuts": tuple(self.cuts),
        }

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        self.epoch, self.committed, self.horizon = base.epoch, base.committed, base.horizon
        self.is_outside = base.is_outside
        self.restores, self.restored_us = list(base.restores), list(base.restored_us)
        self.cuts = list(base.cuts)


def places(cuts: Sequence[Cut], first: int, last: int, end: Cut) -> tuple[Cut, ...]:
    """Return the places of an agent in the cuts of all epochs from `first` to `last`, and in those that it has made.

    Who slept has made none (CP-13): its place is that of its next cut, or where its log ends.

    Args:
        cuts: those that it has made, in order.
        first: the first epoch.
        last: the last epoch.
        end: where its log ends.
    """
    found, later, made = list(cuts), deque(cuts), {cut.epoch for cut in cuts}
    for epoch in range(first, last + 1):
        while later and later[0].epoch < epoch:
            later.popleft()
        if epoch not in made:
            found.append((later[0] if later else end)._replace(epoch=epoch, time_us=0))
    return tuple(sorted(found))
