"""A host's own log without what is past: it follows the checkpoints kept and not the length of the run (CP-6)."""

from collections.abc import Sequence

from protocol.checkpoints.epoch import COMMITS_KEPT
from protocol.checkpoints.messages import CheckpointRecord, CommitRecord, MetRecord, StatedRecord


def condensed(records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
    """Return the records that a host's next life still needs, in order: starting from them is as from all of them.

    Of commits the newest count; what was said of a cut counts until its epoch is committed; whoever is in the newest
    view need not be named any more. Votes on restores and decrees of successions are few, and stay.
    """
    commits = [record for record in records if isinstance(record, CommitRecord)]
    kept = commits[-COMMITS_KEPT:]
    newest = max((record.commit.epoch for record in kept), default=-1)
    view = dict.fromkeys(host for record in kept if record.commit.epoch == newest for host in record.commit.view)
    oldest = kept[0] if kept else None
    found: list[CheckpointRecord] = []
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
            case _:
                found.append(record)
    return found
