"""Restores as one host votes on them: every member of the view must agree, and one reject is final (CP-7).

At most one restore of a number can be agreed on: a host accepts one at a time, and all members must. So the restores of
a cluster form one sequence, whose length is the era.
"""

from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.tally import Count, Statement, Tally
from protocol.ids import HostId
from protocol.proposal import Restore

ENDED_KEPT = 64
"""Motions that came to nothing are remembered, so that a late tally does not revive them."""


class Motion:
    """One restore that is being voted on, as this host stands to it."""

    def __init__(self, restore: Restore, commit: Commit) -> None:
        self.restore = restore
        self.commit = commit
        self.count = Count(commit.epoch, commit.next_view(), 0)
        self.own: Statement | None = None
        """This host's vote, once that is durable."""


class Restores:
    """The restores that one host has heard of."""

    def __init__(self, host: HostId) -> None:
        self._host = host
        self.agreed: list[Restore] = []
        """Those agreed on, in order."""
        self.open: dict[str, Motion] = {}
        self.ended: dict[str, Tally] = {}
        """By id, the last count of those that came to nothing."""

    @property
    def era(self) -> int:
        """How many restores have been agreed on."""
        return len(self.agreed)

    def why_not(self, restore: Restore, commit: Commit | None, horizon: int, now_us: int) -> str:
        """Return why this host does not agree to a restore; empty if it does."""
        if commit is None or restore.epoch > commit.epoch or restore.epoch < 1:
            return f"checkpoint {restore.epoch} is not known to be committed here"
        if why := behind(restore, horizon):
            return why
        for past in self.agreed:
            if past.epoch < restore.epoch <= past.top:
                return f"restore {past.number} to checkpoint {past.epoch} has passed over checkpoint {restore.epoch}"
        if any(motion.own is not None and not motion.own.reject for motion in self.open.values()):
            return "another restore is being voted on"
        if restore.deadline_us and now_us > restore.deadline_us:
            return "the deadline has passed"
        return ""

    def is_paused(self) -> bool:
        """Tell whether this host has agreed to a restore that is not decided: its agents begin no step meanwhile."""
        return any(motion.own is not None and not motion.own.reject for motion in self.open.values())

    def needs(self) -> int | None:
        """Return the oldest epoch that an undecided restore needs; None without one."""
        return min((motion.restore.epoch for motion in self.open.values()), default=None)

    def verdict(self, motion: Motion) -> bool | None:
        """Tell whether a restore is agreed on; None while that is open. Both answers are stable."""
        if motion.count.rejects:
            return False
        return True if motion.count.is_complete() else None

    def agree(self, restore: Restore) -> bool:
        """Take in a restore that is agreed on, in order; True if it is news."""
        if restore.number != self.era + 1:
            return False
        self.agreed.append(restore)
        for pid, motion in list(self.open.items()):
            if motion.restore.number <= restore.number:
                del self.open[pid]
        return True

    def end(self, motion: Motion) -> None:
        """A restore came to nothing."""
        self.open.pop(motion.restore.id, None)
        self.ended[motion.restore.id] = motion.count.tally(motion.restore)
        while len(self.ended) > ENDED_KEPT:
            del self.ended[next(iter(self.ended))]


def behind(restore: Restore, horizon: int) -> str:
    """Return why a restore can't go back behind a horizon; empty if it does not."""
    if restore.epoch >= horizon:
        return ""
    return f"checkpoint {restore.epoch} is behind the horizon: everything before checkpoint {horizon} is compacted"
