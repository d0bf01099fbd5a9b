"""A host's own log without what is past: it follows the checkpoints kept and not the length of the run (CP-6)."""

from collections.abc import Sequence

from protocol.checkpoints.epoch import COMMITS_KEPT
from protocol.checkpoints.messages import (
    CheckpointRecord,
    ComingRecord,
    CommitRecord,
    HandedRecord,
    KnownRecord,
    MetRecord,
    MovedRecord,
    MoveRecord,
    StatedRecord,
    TakenRecord,
)
from protocol.ids import AgentId


def condensed(records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
    """Return the records that a host's next life still needs, in order: starting from them is as from all of them.

    Of commits the newest count; what was said of a cut counts until its epoch is committed; whoever is in the newest
    view need not be named any more. Of an agent that has come or gone the last word counts, and of moves that were
    taken that they were. Votes on restores and decrees of successions are few, and stay.
    """
    commits = [record for record in records if isinstance(record, CommitRecord)]
    kept = commits[-COMMITS_KEPT:]
    newest = max((record.commit.epoch for record in kept), default=-1)
    view = dict.fromkeys(host for record in kept if record.commit.epoch == newest for host in record.commit.view)
    oldest = kept[0] if kept else None
    found: list[CheckpointRecord] = []
    past = _past_moves(records, newest)
    known = [name for record in records if isinstance(record, KnownRecord) for name in record.ids]
    known += [record.id for record in past if isinstance(record, TakenRecord) and record.id]
    if known:
        found.append(KnownRecord(tuple(known)))
    is_past = oldest is not None
    for record in records:
        is_past = is_past and record is not oldest
        match record:
            case CommitRecord():
                if not is_past:
                    found.append(record)
            case StatedRecord():
                if record.epoch >= newest:
                    found.append(record)
            case MetRecord():
                if record.host not in view:
                    found.append(record)
            case KnownRecord():
                pass
            case MoveRecord():
                if record not in past:
                    found.append(record)
            case _:
                found.append(record)
    return found


def _past_moves(records: Sequence[CheckpointRecord], newest: int) -> list[MoveRecord]:
    """Return what was said of agents that have come and gone since, and need not be said any more."""
    moves = [record for record in records if isinstance(record, MoveRecord)]
    last: dict[AgentId, MoveRecord] = {}
    for record in moves:
        if isinstance(record, MovedRecord | ComingRecord | TakenRecord):
            last[record.agent] = record
    handed = {record.id: record.epoch for record in moves if isinstance(record, HandedRecord)}
    over = {record.id for record in moves if isinstance(record, MovedRecord) and handed.get(record.id, newest) < newest}
    return [
        record
        for record in moves
        if (isinstance(record, MovedRecord) and record is not last[record.agent] and record.id in over)
        or (isinstance(record, ComingRecord | TakenRecord) and record is not last[record.agent])
        or (isinstance(record, HandedRecord) and record.id in over and _id_of(last.get(record.agent)) != record.id)
    ]


def _id_of(record: MoveRecord | None) -> str:
    return record.id if isinstance(record, MovedRecord | TakenRecord) else ""
