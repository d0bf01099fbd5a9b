"""What dead hosts leave behind, as their successor takes it over (CP-8): their agents, until all have made its cut;
what they had said; and whose copy of a log counts, where several successors have come and gone.

To read copies, to ask others for theirs and to bring agents up is the host's to do.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from protocol.action import CutReady
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import CheckpointRecord, CommitRecord, StatedRecord
from protocol.fact import Began
from protocol.ids import AgentId, HostId


class LogCopy(Protocol):
    """What one host has of a log."""

    first: int
    """The number of its first record."""
    is_whole: bool
    """All of it has come."""

    @property
    def records(self) -> Sequence[bytes]:
        """What it holds, in order."""
        ...

    @property
    def end(self) -> int:
        """The number of its last record."""
        ...


C = TypeVar("C", bound=LogCopy)


class Inherited(NamedTuple):
    """All agents that a dead host has left live here, and have made this host's cut."""

    dead: HostId
    said: Sequence[CheckpointRecord]
    begun: tuple[Began, ...]
    horizon: int


class Estate:
    """What one dead host leaves behind.

    Args:
        dead: the host.
        agents: those that can be brought up at once.
        is_open: more may be found: who they are is not known yet.
        said: what the dead host has said, by the copy of its log.
        before: whom it had succeeded itself, the nearest first.
    """

    def __init__(
        self, dead: HostId, agents: Iterable[AgentId], is_open: bool, said: Sequence[CheckpointRecord] = (),
        before: Collection[HostId] = (),
    ) -> None:  # fmt: skip
        self.dead = dead
        self.before = before
        self.agents = tuple(agents)
        self.is_open = is_open
        self.said = said
        self._cuts: dict[AgentId, CutReady | None] = dict.fromkeys(self.agents)
        self._horizons: dict[AgentId, int] = {}

    def found(self, agents: Collection[AgentId]) -> None:
        """Everybody is known now: these come too."""
        self._cuts.update(dict.fromkeys(agents))
        self.is_open = False

    def ready(self, agent: AgentId, cut: CutReady, horizon: int) -> None:
        """An agent, if it is one of these, has made this host's cut; `horizon` is its own now."""
        if agent in self._cuts:
            self._cuts[agent] = cut
            self._horizons[agent] = horizon

    def settled(self, horizon: int) -> None:
        """Those that live here already fold up to a horizon."""
        self._horizons = {agent: max(known, horizon) for agent, known in self._horizons.items()}

    def drop(self, agent: AgentId) -> None:
        """An agent can't come up, or lives elsewhere: the others do not wait for it."""
        self._cuts.pop(agent, None)
        self._horizons.pop(agent, None)

    def inherited(self) -> Inherited | None:
        """Return what is to be said of the dead host, once all of its agents have made the cut."""
        cuts = [cut for cut in self._cuts.values() if cut is not None]
        if self.is_open or len(cuts) < len(self._cuts):
            return None
        begun = tuple(began for cut in cuts for began in cut.begun)
        return Inherited(self.dead, self.said, begun, max(self._horizons.values(), default=0))


class Estates:
    """The estates that one host is taking over."""

    def __init__(self) -> None:
        self._open: dict[HostId, Estate] = {}

    def begin(
        self, dead: HostId, before: Collection[HostId], copied: Sequence[AgentId], begun: Collection[AgentId],
        homes: Iterable[AgentId], said: Sequence[CheckpointRecord],
    ) -> Estate:  # fmt: skip
        """Begin to take a dead host over.

        Args:
            dead: the host.
            before: whom it had succeeded itself. If there are any, it may have died before its backups had all of what
                it had taken over: a copy of an agent may be a part, and only logs begun here already are sure.
            copied: the agents of which there is a copy or a log here.
            begun: those of them that have a log here.
            homes: the agents that lived on it, as far as is known.
            said: what it has said, by the copy of its log.
        """
        ready = [agent for agent in copied if not before or agent in begun]
        is_open = bool(before) or any(agent not in copied for agent in homes)
        estate = Estate(dead, ready, is_open, said, before)
        self._open[dead] = estate
        return estate

    def expect(self, dead: HostId) -> None:
        """What a dead host has left can't be read yet: until then it is not known who is to come."""
        self._open[dead] = Estate(dead, (), is_open=True)

    def reopen(self, owner: HostId, begun: Iterable[AgentId]) -> Estate:
        """What a dead host had itself inherited from `owner` comes here too: first what was begun here already."""
        estate = self._open[owner] = Estate(owner, begun, is_open=True)
        return estate

    def ready(self, agent: AgentId, cut: CutReady, horizon: int) -> None:
        """An agent has made this host's cut."""
        for estate in self._open.values():
            estate.ready(agent, cut, horizon)

    def settled(self, horizon: int) -> None:
        """Every agent here folds up to a horizon."""
        for estate in self._open.values():
            estate.settled(horizon)

    def are_settled(self) -> bool:
        """Tell whether all that this host has inherited is here."""
        return not self._open

    def drop(self, dead: HostId, agent: AgentId) -> None:
        """An agent of a dead host can't come up: the others do."""
        if dead in self._open:
            self._open[dead].drop(agent)

    def gone(self, agent: AgentId) -> None:
        """An agent lives elsewhere after all: nobody waits for its cut here."""
        for estate in self._open.values():
            estate.drop(agent)

    def finished(self) -> list[Inherited]:
        """Return the estates of which nothing is missing, each once."""
        found = [done for estate in self._open.values() if (done := estate.inherited()) is not None]
        for done in found:
            del self._open[done.dead]
        return found


def reached_by(said: Sequence[CheckpointRecord]) -> int:
    """Return the newest epoch of which a host's own log tells: its agents have made that cut, or slept (CP-13)."""
    stated = (record.epoch for record in said if isinstance(record, StatedRecord))
    return max((*stated, *(record.commit.epoch for record in said if isinstance(record, CommitRecord))), default=0)


def commit_in(said: Sequence[CheckpointRecord]) -> Commit | None:
    """Return the newest commit of which a host's own log tells."""
    return max((r.commit for r in said if isinstance(r, CommitRecord)), key=lambda commit: commit.epoch, default=None)


# -- whose copy counts ---------------------------------------------------------------------------------------------


def missing(left: Iterable[AgentId], here: Collection[AgentId], log: AgentId) -> list[AgentId]:
    """Return the agents of whose logs others are to be asked for copies.

    Args:
        left: whoever dead hosts have left, as far as is known.
        here: whoever lives here, or comes up from a copy here.
        log: the name of a host's own log, which is no agent's.
    """
    return [agent for agent in dict.fromkeys(left) if agent not in here and agent != log]


def is_settled(copies: Mapping[HostId, LogCopy], holders: Iterable[HostId]) -> bool:
    """Tell whether all have answered, in full, that must have a copy if anybody has.

    Before, an older copy would be taken for all there was.
    """
    return all(host in copies and copies[host].is_whole for host in holders)


def longest(copies: Iterable[C]) -> C | None:
    """Return the copy of one owner's log that reaches furthest; None if all are empty."""
    best = max(copies, key=lambda copy: copy.end)
    return best if best.records else None


def best_of(copies: Mapping[HostId, LogCopy]) -> HostId:
    """Return whose copy of an agent's log to go on with.

    Args:
        copies: by owner, the last that had it first. One that holds no more than a part of an older owner's was not
            there in full: its owner has said nothing that counts.
    """
    owners = iter(copies)
    best = next(owners)
    for owner in owners:
        if _is_part(copies[best], copies[owner]):
            best = owner
    return best


def _is_part(part: LogCopy, whole: LogCopy) -> bool:
    if part.end > whole.end:
        return False
    at = part.end - whole.first
    return at < 0 or part.records[-1] == whole.records[at]
