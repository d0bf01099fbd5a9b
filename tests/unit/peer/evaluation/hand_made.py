"""Logs made by hand, a second at a time, of runs whose measures anybody can reckon."""

from collections import defaultdict
from typing import Any

from peer.audit.reader import trail_of_records
from peer.audit.trail import Trail
from protocol.ids import StepId
from protocol.proposal import ConeStep, Proposal, Restore, Vote
from protocol.records import CutRecord, DecisionRecord, EffectRecord, IntentRecord, RestoredRecord, VoteRecord
from protocol.step import Hold, Input, Output, Read, Request, StepRecord, Write
from protocol.words import PausedRecord

SECOND = 1_000_000


def step(name: str) -> StepId:
    return StepId.parse(name)


class Logs:
    """What some agents have written."""

    def __init__(self) -> None:
        self.records: dict[str, list[Any]] = defaultdict(list)

    def ran(
        self, name: str, at_s: float, lineage: str = "", producer: str = "", reads: str = "", writes: str = "",
        calls: tuple[str, ...] = (), requests: str = "", asks: bool = False, index: int = 0, attempt: int = 1,
    ) -> None:  # fmt: skip
        """A step: it hangs on its producer, and on a step whose key it reads, as `KEY=STEP`."""
        found = step(name)
        made = step(producer) if producer else None
        item = Input(
            made.agent if made else "ext:x", 1, found.seq, b"", lineage or f"L{name}", made, index, attempt=attempt
        )
        read = tuple(Read(key, step(writer)) for key, writer in [reads.split("=")]) if reads else ()
        outputs: tuple[Output, ...] = ()
        wanted: tuple[tuple[int, Request], ...] = ()
        if requests or asks:
            outputs = (Output(found.agent, 0, b"", requests or "asked"),)
            wanted = ((0, Request("t", "irreversible", b"", False, hold=Hold("so?") if asks else None)),)
        write = (Write(writes, b"x"),) if writes else ()
        record = StepRecord(
            found, item, read, write, (), outputs, calls, {}, round(at_s * SECOND), requests=wanted,
        )  # fmt: skip
        self.records[found.agent].append(record)

    def called(self, agent: str, intent: str, *states: str, kind: str = "compensable", lineage: str = "") -> None:
        """A call of a tool, and what became of it."""
        self.records[agent].append(IntentRecord(intent, lineage, "bank:post", b"", None, 1, kind))
        self.records[agent] += [EffectRecord(intent, state) for state in states]

    def rolled_back(
        self, name: str, began_s: float, roots: str, undone: str, decided_s: dict[str, float], decision: str = "commit"
    ) -> None:  # fmt: skip
        """A rollback; each agent of `decided_s` has voted with its part of what was undone, and decided."""
        proposal = Proposal(name, "ops", tuple(map(step, roots.split())), "retry", began_us=round(began_s * SECOND))
        parts = [step(each) for each in undone.split()]
        for agent, at_s in decided_s.items():
            own = tuple(each for each in parts if each.agent == agent)
            vote = Vote(agent, 1, True, "", tuple(ConeStep(each, ()) for each in own), ())
            self.records[agent].append(VoteRecord(proposal, vote))
            if at_s:
                done = own if decision == "commit" else ()
                self.records[agent].append(
                    DecisionRecord(proposal, decision, done, (), tuple(decided_s), (), round(at_s * SECOND))
                )

    def paused(self, agent: str, is_on: bool, at_s: float) -> None:
        self.records[agent].append(PausedRecord(is_on, "", "eve", round(at_s * SECOND)))

    def cut(self, agent: str, epoch: int, at_s: float) -> None:
        self.records[agent].append(CutRecord(epoch, round(at_s * SECOND)))

    def restored(self, agent: str, undone: str, at_s: float) -> None:
        steps = tuple(map(step, undone.split()))
        self.records[agent].append(RestoredRecord(Restore(1, 1, "h/r1", 1), steps, (), round(at_s * SECOND)))

    def trail(self, committed: int = 0) -> Trail:
        return trail_of_records(self.records, committed)
