"""A host's own log: what the next life of it needs, condensed from time to time (CP-6)."""

from protocol.checkpoints.condensing import condensed
from protocol.checkpoints.messages import CheckpointRecord, CommitRecord
from protocol.wire import encode_host_record

CONDENSE_COMMITS = 64
"""It is condensed after so many commits."""


class Journal:
    """The records of one host's own log that the next life needs."""

    def __init__(self) -> None:
        self._records: list[CheckpointRecord] = []
        self._commits = 0

    def load(self, records: tuple[CheckpointRecord, ...]) -> None:
        """Go on from what earlier lives have written."""
        self._records = list(records)

    def add(self, record: CheckpointRecord) -> tuple[list[bytes], bool]:
        """Return what is to be appended for one more record, and whether that stands for everything before it."""
        self._records.append(record)
        self._commits += isinstance(record, CommitRecord)
        if self._commits < CONDENSE_COMMITS:
            return [encode_host_record(record)], False
        # What is past need not be read again, nor kept by backups.
        self._records, self._commits = condensed(self._records), 0
        return [encode_host_record(record) for record in self._records], True
