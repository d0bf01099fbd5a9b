"""What stands in an agent's log of groups of requests, which are let go together or not at all (RQ-4)."""

from msgspec import Struct

from protocol.ids import Lineage, Number
from protocol.step import Grouped, GroupVote, LogRecord


class GroupVotedRecord(LogRecord, frozen=True):
    """What this agent says in a group (RQ-4), for good: with the backups before anybody hears it."""

    group: Grouped
    why: str
    """Why none is let go; empty: what it has requested may go."""
    requests: tuple[Lineage, ...] = ()
    """What may go."""
    floor: Number = 0
    """No restore of an epoch before this one undoes the steps that have requested it."""


class GroupDecidedRecord(LogRecord, frozen=True):
    """What this agent saw a group's votes say (RQ-4): in the log before anything of it is let go."""

    group: Grouped
    is_go: bool
    noes: tuple[GroupVote, ...] = ()
    """Who has said no, as far as it has heard."""


class GroupState(Struct, frozen=True, array_like=True):
    """What an agent has said in a group, and what became of that (RQ-4)."""

    group: Grouped
    voted: GroupVotedRecord | None
    decided: GroupDecidedRecord | None
