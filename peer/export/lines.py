"""The lines of an export (docs/export.md), whoever has found out what they say: a running cluster, or its logs."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peer.host.questions import CutsAnswer
from protocol.ids import AgentId, MessageId, ProposalId, StepId
from protocol.proposal import Proposal, Restore
from protocol.step import StepRecord, timers_of

_STATES = {"open": "claimed", "doubt": "in-doubt", "failed": "in-doubt", "kept": "claimed"}
"""The journal's states in the export's words, where they differ."""

Line = dict[str, Any]
"""One line of a file, as a JSON object."""

Effects = Mapping[str, tuple[str, str, str]]
"""By intent: tool, kind, state."""


def finite(value: float | None) -> float | None:
    """Return a number as JSON has it; None for none, and for what is not finite, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None


def state_word(state: str) -> str:
    """Return a journal's state of an effect as exports call it."""
    return _STATES.get(state, state)


def written_keys(record: StepRecord) -> list[str]:
    """Return the keys that a step has written, its own and then shared ones, each once."""
    return [*(write.key for write in record.writes), *dict.fromkeys(entry.key for entry in record.entries)]


def step_line(record: StepRecord, retracted_by: str | None, effects: Effects) -> Line:
    """Return a step's line.

    Args:
        record: the step.
        retracted_by: what undid it; None or empty if it stands.
        effects: those that its calls name; what is missing is written as unknown.
    """
    item, due = record.input, dict(timers_of(record))
    return {
        "step": str(record.step),
        "input": {
            "id": str(item),
            "producer": None if item.producer is None else str(item.producer),
            "lineage": item.lineage,
        },
        "reads": [{"key": r.key, "writer": None if r.writer is None else str(r.writer)} for r in record.reads],
        "observed": list(record.observed),
        "tolerated": [
            {
                "key": sums.key,
                "limit": sums.limit,
                "parts": [{"writer": str(writer), "amount": amount} for writer, amount in sums.parts],
            }
            for sums in record.tolerated
        ],
        "writes": [{"key": key} for key in written_keys(record)],
        "sends": [
            {"id": str(MessageId(record.step, index)), "to": output.receiver}
            | ({"due": due[index]} if index in due else {})
            for index, output in enumerate(record.outputs)
        ],
        "cancelled": [str(message) for message in record.cancelled],
        "calls": [_call(intent, effects) for intent in record.calls],
        "clock": {agent: list(entry) for agent, entry in sorted(record.clock.items())},
        "time": record.time_us,
        "epoch": record.epoch,
        "era": record.era,
        "floor": record.floor,
        "retracted_by": retracted_by or None,
        "confidence": finite(record.confidence),
        "model": record.model or None,
    }


def _call(intent: str, effects: Effects) -> dict[str, str]:
    tool, kind, state = effects.get(intent, ("unknown", "unknown", "unknown"))
    return {"tool": tool, "intent": intent, "effect": kind, "state": state_word(state)}


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Return steps' lines in the order of the file."""
    return sorted(lines, key=lambda line: (line["time"], StepId.parse(line["step"])))


class ProposalLines:
    """Puts proposals together from what each agent knows of them."""

    def __init__(self) -> None:
        self._proposals: dict[ProposalId, Proposal] = {}
        self._decided: dict[ProposalId, list[tuple[str, int]]] = {}
        self._electors: dict[ProposalId, set[AgentId]] = {}
        self._rejects: dict[ProposalId, set[tuple[AgentId, str]]] = {}
        self._costs: dict[ProposalId, tuple[int, int]] = {}

    def voted(self, agent: AgentId, proposal: Proposal, accepts: bool, why: str) -> None:
        """Take in an agent's last vote."""
        self._proposals[proposal.id] = proposal
        self._electors.setdefault(proposal.id, set()).add(agent)
        if not accepts:
            self._rejects.setdefault(proposal.id, set()).add((agent, why))

    def decided(self, pid: ProposalId, decision: str, at_us: int, electors: Iterable[AgentId]) -> None:
        """Take in what one elector has decided, and whom it knows to have had a vote."""
        self._decided.setdefault(pid, []).append((decision, at_us))
        self._electors.setdefault(pid, set()).update(electors)

    def cost(self, pid: ProposalId, messages: int, size: int) -> None:
        """Take in what one host has sent for it."""
        before = self._costs.get(pid, (0, 0))
        self._costs[pid] = before[0] + messages, before[1] + size

    def lines(self) -> list[Line]:
        """Return the lines, in the order of the file."""
        return [
            {
                "id": pid,
                "roots": [str(root) for root in proposal.roots],
                "mode": proposal.inputs,
                "reason": proposal.reason,
                "decision": self._decided[pid][0][0] if pid in self._decided else "undecided",
                "electors": sorted(self._electors.get(pid, ())),
                "rejects": [{"voter": voter, "why": why} for voter, why in sorted(self._rejects.get(pid, ()))],
                "messages": self._costs.get(pid, (0, 0))[0],
                "bytes": self._costs.get(pid, (0, 0))[1],
                "began": proposal.began_us,
                "decided": max((at_us for _, at_us in self._decided.get(pid, ())), default=None),
            }
            for pid, proposal in sorted(self._proposals.items(), key=lambda item: (item[1].began_us, item[0]))
        ]


def checkpoint_lines(answers: Mapping[AgentId, CutsAnswer]) -> list[Line]:
    """Return every committed checkpoint and every restore, put together from what each agent knows of its own cuts."""
    committed = max((answer.committed for answer in answers.values()), default=0)
    cuts: dict[int, dict[AgentId, Line]] = {}
    restores: dict[int, tuple[Restore, list[int]]] = {}
    begun: dict[int, int] = {}
    for cut in (cut for answer in answers.values() for cut in answer.cuts if cut.time_us):
        begun[cut.epoch] = min(cut.time_us, begun.get(cut.epoch, cut.time_us))
    for epoch in sorted({cut.epoch for answer in answers.values() for cut in answer.cuts} - begun.keys()):
        # All slept: since the cut before nothing has happened.
        begun[epoch] = max((at_us for before, at_us in begun.items() if before < epoch), default=0)
    for agent, answer in sorted(answers.items()):
        for cut in answer.cuts:
            last = str(StepId(agent, cut.incarnation, cut.seq)) if cut.seq else None
            if cut.epoch <= committed:
                # CP-13: who slept has no record of it, and stands where others made theirs.
                time_us = cut.time_us or begun[cut.epoch]
                cuts.setdefault(cut.epoch, {})[agent] = {"last": last, "era": cut.era, "time": time_us}
        for restore, at_us in answer.restores:
            restores.setdefault(restore.number, (restore, []))[1].append(at_us)
    heard = {
        epoch: [answer.committed_us[epoch] for answer in answers.values() if epoch in answer.committed_us]
        for epoch in cuts
    }
    return [
        *(
            {
                "kind": "checkpoint",
                "epoch": epoch,
                "begun": min(cut["time"] for cut in cuts[epoch].values()),
                "committed": min(heard[epoch], default=None),
                "cuts": cuts[epoch],
            }
            for epoch in sorted(cuts)
        ),
        *(
            {
                "kind": "restore",
                "number": number,
                "epoch": restore.epoch,
                "inputs": restore.inputs,
                "reason": restore.reason,
                "decided": min(times),
                "done": max(times),
            }
            for number, (restore, times) in sorted(restores.items())
        ),
    ]


def write_lines(file: Path, lines: Iterable[Line]) -> None:
    """Write a file of an export."""
    with file.open("w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_export(folder: Path, steps: Iterable[Line], proposals: Iterable[Line], checkpoints: Iterable[Line]) -> None:
    """Write the three files of an export to a folder, which is made if missing; they are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "steps.jsonl", in_order(steps))
    write_lines(folder / "proposals.jsonl", proposals)
    write_lines(folder / "checkpoints.jsonl", checkpoints)
