"""The epochs of one host: its colour, the commits that it knows, and the count of the epoch under way (CP-1 to CP-4).

A host's colour is the number of cuts that it has made. Source: Lai and Yang 1987, Mattern 1989; checked by
docs/model/Epochs.tla.
"""

from msgspec import Struct

from protocol.checkpoints.tally import Count, Statement
from protocol.fact import Began
from protocol.ids import HostId, Number

COMMITS_KEPT = 4
"""Commits whose views are remembered: a count may run over the view before the newest."""


class Commit(Struct, frozen=True, tag=True):
    """A committed epoch: every member of its view has made its cut and placed it. Stable, and the same everywhere."""

    epoch: Number
    view: tuple[HostId, ...]
    """V(epoch): the members, in order."""
    left: tuple[HostId, ...] = ()
    """Those of them that have no part in the next."""
    begun: tuple[Began, ...] = ()
    """Every beginning after a loss that the cuts name: it includes those of earlier epochs."""
    horizon: Number = 0
    """No undecided proposal needs an epoch before this one."""

    def next_view(self) -> tuple[HostId, ...]:
        """Return the members that the next epoch begins with."""
        return tuple(host for host in self.view if host not in self.left)


class Epochs:
    """What one host knows of epochs."""

    def __init__(self, host: HostId) -> None:
        self._host = host
        self.colour = 0
        self.own: Statement | None = None
        """What this host says of its cut of epoch `colour`, once that is durable."""
        self.commits: dict[int, Commit] = {}
        self._viewed: Commit | None = None
        self._members: dict[HostId, None] = {}
        self.count: Count | None = None
        """Of the epoch after the newest commit."""

    @property
    def commit(self) -> Commit | None:
        """The newest commit that is known; None before any."""
        return self.commits[max(self.commits)] if self.commits else None

    @property
    def committed(self) -> int:
        """The newest epoch that is known to be committed; -1 before any."""
        commit = self.commit
        return -1 if commit is None else commit.epoch

    def is_in_view(self, host: HostId) -> bool:
        """Tell whether a host is in the newest view that is known here."""
        commit = self.commit
        if commit is not self._viewed:
            # Asked for every frame: a look-up, however many there are.
            self._viewed, self._members = commit, dict.fromkeys(() if commit is None else commit.view)
        return host in self._members

    def may_begin(self) -> bool:
        """Tell whether this host may begin the next epoch: it knows the one before to be committed, as a member."""
        commit = self.commit
        return commit is not None and self.colour == commit.epoch and self._host in commit.next_view()

    def stated(self, statement: Statement) -> bool:
        """This host's cut is placed: it counts from now on. True if that is news to the count."""
        self.own = statement
        return self.add_own()

    def add_own(self) -> bool:
        """Count this host's own cut, if it is of the epoch under way and the host is concerned."""
        if self.count is None or self.own is None or self.colour != self.count.base + 1:
            return False
        return self.count.add(self.own)

    def remember(self, commit: Commit) -> None:
        """Keep an older commit at hand, for a count that runs over its view."""
        if commit.epoch < self.committed and len(self.commits) < 2 * COMMITS_KEPT:
            self.commits[commit.epoch] = commit

    def learn(self, commit: Commit) -> bool:
        """Take in a commit; True if it is news."""
        if commit.epoch <= self.committed:
            return False
        self.commits[commit.epoch] = commit
        for epoch in sorted(self.commits)[:-COMMITS_KEPT]:
            del self.commits[epoch]
        self.count = Count(commit.epoch, commit.next_view(), commit.epoch + 1)
        self.add_own()
        return True

    def completed(self) -> Commit | None:
        """Return the commit that the count amounts to, or None while somebody is missing (CP-3)."""
        last, count = self.commit, self.count
        if last is None or count is None or not count.is_complete():
            return None
        horizon = max(last.horizon, min(count.undecided, count.base + 1))
        begun = {(began.agent, began.incarnation): began for began in (*last.begun, *count.begun())}
        return Commit(
            epoch=count.base + 1,
            view=count.members(),
            left=tuple(sorted(count.left)),
            begun=tuple(begun[name] for name in sorted(begun)),
            horizon=horizon,
        )
