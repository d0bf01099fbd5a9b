"""Restores as one host votes on them: every member of the view must agree, and one reject is final (CP-7).

At most one restore of a number can be agreed on: a host accepts one at a time, and all members must. So the restores of
a cluster form one sequence, whose length is the era.
"""

from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.tally import Count, Statement, Tally
from protocol.ids import HostId
from protocol.proposal import Restore

ENDED_KEPT = 64
"""Calls that came to nothing are remembered, so that a late tally does not revive them."""


class Call:
    """One restore as this host stands to it."""

    def __init__(self, restore: Restore, commit: Commit) -> None:
        self.restore = restore
        self.commit = commit
        self.count = Count(commit.epoch, commit.next_view(), 0)
        self.own: Statement | None = None
        """This host's vote, once that is durable."""
        self.is_voting = False


class Calls:
    """The restores that one host has heard of."""

    def __init__(self, host: HostId) -> None:
        self._host = host
        self.restores: list[Restore] = []
        """Those agreed on, in order."""
        self.open: dict[str, Call] = {}
        self.ended: dict[str, Tally] = {}
        """By id, the last count of those that came to nothing."""

    @property
    def era(self) -> int:
        """How many restores have been agreed on."""
        return len(self.restores)

    def why_not(self, restore: Restore, commit: Commit | None, horizon: int, now_us: int) -> str:
        """Return why this host does not agree to a restore; empty if it does."""
        if commit is None or restore.epoch > commit.epoch or restore.epoch < 1:
            return f"checkpoint {restore.epoch} is not known to be committed here"
        if why := behind(restore, horizon):
            return why
        for past in self.restores:
            if past.epoch < restore.epoch <= past.top:
                return f"restore {past.number} to checkpoint {past.epoch} has passed over checkpoint {restore.epoch}"
        if any(call.own is not None and not call.own.reject for call in self.open.values()):
            return "another restore is being voted on"
        if restore.deadline_us and now_us > restore.deadline_us:
            return "the deadline has passed"
        return ""

    def is_paused(self) -> bool:
        """Tell whether this host has agreed to a restore that is not decided: its agents begin no step meanwhile."""
        return any(call.own is not None and not call.own.reject for call in self.open.values())

    def needs(self) -> int | None:
        """Return the oldest epoch that an undecided restore needs; None without one."""
        return min((call.restore.epoch for call in self.open.values()), default=None)

    def verdict(self, call: Call) -> bool | None:
        """Tell whether a restore is agreed on; None while that is open. Both answers are stable."""
        if call.count.rejects:
            return False
        return True if call.count.is_complete() else None

    def agreed(self, restore: Restore) -> bool:
        """Take in a restore that is agreed on, in order; True if it is news."""
        if restore.number != self.era + 1:
            return False
        self.restores.append(restore)
        for pid, call in list(self.open.items()):
            if call.restore.number <= restore.number:
                del self.open[pid]
        return True

    def end(self, call: Call) -> None:
        """A restore came to nothing."""
        self.open.pop(call.restore.id, None)
        self.ended[call.restore.id] = call.count.tally(call.restore)
        while len(self.ended) > ENDED_KEPT:
            del self.ended[next(iter(self.ended))]


def behind(restore: Restore, horizon: int) -> str:
    """Return why a restore can't go back behind a horizon; empty if it does not."""
    if restore.epoch >= horizon:
        return ""
    return f"checkpoint {restore.epoch} is behind the horizon: everything before checkpoint {horizon} is compacted"
