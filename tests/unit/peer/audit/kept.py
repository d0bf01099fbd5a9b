"""Logs held in memory, as a host might have left them."""

from collections.abc import Iterator
from pathlib import Path

from peer.damage import Damage
from peer.errors import LogCorrupt
from peer.store.reading import Stored
from protocol.ids import StepId
from protocol.records import Record
from protocol.step import Input, StepRecord
from protocol.wire import encode_record


class Kept:
    """Logs of one host, held in memory."""

    def __init__(self, name: str, **logs: list[Record]) -> None:
        self.folder = Path(name)
        self.records = {agent: [encode_record(record) for record in records] for agent, records in logs.items()}

    def refresh(self) -> None: ...

    def agents(self) -> list[str]:
        return sorted(self.records)

    def first(self, agent: str) -> int:
        return 1

    def after(self, agent: str, number: int) -> int | None:
        return next((at for at, body in enumerate(self.records[agent], 1) if at > number and body), None)

    def nameless(self) -> list[Damage]:
        return []

    def length(self, agent: str) -> int:
        return len(self.records[agent])

    def read(self, agent: str, first: int = 1) -> Iterator[Stored]:
        for number, body in enumerate(self.records[agent], 1):
            if number >= first:
                if not body:
                    raise LogCorrupt("damaged")
                yield Stored(number, b"", body)


def step_of(seq: int, life: int = 1) -> StepRecord:
    return StepRecord(StepId("a", life, seq), Input("ext:x", 1, seq, b"", f"L{seq}"), (), (), (), (), (), {}, 10 * seq)
