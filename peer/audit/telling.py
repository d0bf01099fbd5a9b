"""What there is to say of a trail's steps and rollbacks, as plain values: the lines of exports, and explanations."""

from datetime import UTC, datetime, timedelta
from typing import Any

from peer.audit.edges import Cause, Edges
from peer.audit.trail import Effect, Rollback, Step, Trail, digest, type_of
from peer.export.lines import ProposalLines, checkpoint_lines, finite, state_word, step_line
from peer.host.questions import CutsAnswer
from peer.people.person import signature_of
from protocol.agent.colours import places
from protocol.ids import MessageId, StepId
from protocol.proposal import Finding
from protocol.step import StepRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_us: int) -> datetime:
    """Return a time of a log."""
    return _EPOCH + timedelta(microseconds=time_us)


def iso(time_us: int) -> str:
    """Return a time of a log in RFC 3339, in UTC, to the microsecond."""
    return f"{moment(time_us):%Y-%m-%dT%H:%M:%S.%f}Z"


# -- the three files of docs/export.md -----------------------------------------------------------------------------


def export_steps(trail: Trail) -> list[dict[str, Any]]:
    """Return the lines of steps.jsonl."""
    return [line_of(trail, step) for step in trail.steps.values()]


def line_of(trail: Trail, step: Step) -> dict[str, Any]:
    """Return a step's line of steps.jsonl."""
    return step_line(step.record, step.undone and step.undone.by, trail.effects_of(step.record))


def export_proposals(trail: Trail) -> list[dict[str, Any]]:
    """Return the lines of proposals.jsonl; what a rollback cost on the wire is not logged, and 0 there."""
    known = ProposalLines()
    for pid, rollback in trail.rollbacks.items():
        for agent, vote in rollback.votes.items():
            known.voted(agent, rollback.proposal, vote.accepts, vote.why)
        for record in rollback.decisions.values():
            known.decided(pid, record.decision, record.decided_us, record.electors)
    return known.lines()


def export_checkpoints(trail: Trail) -> list[dict[str, Any]]:
    """Return the lines of checkpoints.jsonl; when a commit was heard of is not logged, and null there."""
    answers: dict[str, CutsAnswer] = {}
    oldest = min((cut.epoch for cuts in trail.cuts.values() for cut in cuts), default=max(1, trail.committed))
    for log in trail.logs:
        restores = [
            (told.restore, told.times[log.agent]) for told in trail.restores.values() if log.agent in told.times
        ]
        made = trail.cuts.get(log.agent, [])
        first = made[0].epoch if made else oldest
        cuts = places(made, first, trail.committed, trail.ends[log.agent])
        answers[log.agent] = CutsAnswer((0, 0), cuts, trail.committed, {}, tuple(restores))
    return checkpoint_lines(answers)


# -- one step, with all that is known ------------------------------------------------------------------------------


def told(trail: Trail, step: Step) -> dict[str, Any]:
    """Return a step's line with what an export leaves out: sizes, hashes, its place in the log, who undid it."""
    line = detailed(step.record, line_of(trail, step))
    for call in line["calls"]:
        call["claimed_by"] = _claimant(trail, step, call["intent"])
    line["record"] = step.number
    line["undone"] = undone_line(trail, step)
    return line


def _claimant(trail: Trail, step: Step, intent: str) -> str | None:
    claimant = trail.claimant(step, intent)
    return None if claimant is None else str(claimant)


def detailed(record: StepRecord, line: dict[str, Any]) -> dict[str, Any]:
    """Add to a step's line what its record tells besides: sizes, hashes, types, scores."""
    item = record.input
    line["agent"] = record.step.agent
    line["input"] |= {
        "sender": item.sender,
        "sent": item.time_us or None,
        "type": type_of(item.payload),
        "size": len(item.payload),
        "hash": digest(item.payload),
        "attempt": item.attempt,
    }
    line["writes"] = [_value(write.key, write.value) for write in record.writes]
    line["writes"] += [_value(entry.key, entry.op) for entry in record.entries]
    for send, output in zip(line["sends"], record.outputs, strict=True):
        send |= {"type": type_of(output.payload), "size": len(output.payload), "hash": digest(output.payload)}
    line["scores"] = {name: finite(value) for name, value in record.scores.items()}
    return line


def _value(key: str, value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"key": key, "size": None, "hash": None}
    return {"key": key, "size": len(value), "hash": digest(value)}


def undone_line(trail: Trail, step: Step) -> dict[str, Any] | None:
    """Return what undid a step: when, why, and by whose votes; None if it stands."""
    undone = step.undone
    if undone is None:
        return None
    line = {"by": undone.by, "kind": undone.kind, "time": undone.time_us, "reason": undone.reason}
    line["record"] = undone.number
    if undone.by in trail.rollbacks:
        rollback = trail.rollbacks[undone.by]
        line |= {"proposer": rollback.proposal.proposer, "inputs": rollback.proposal.inputs}
        line |= {"is_root": step.id in rollback.proposal.roots, "votes": votes_of(rollback)}
    return line


def votes_of(rollback: Rollback) -> list[dict[str, Any]]:
    """Return who voted how on a rollback, and why, in the order of their names."""
    return [
        {
            "voter": agent,
            "accepts": vote.accepts,
            "why": vote.why,
            "steps": len(vote.cone),
            "credits": len(vote.credits),
            "findings": [finding_line(each) for each in rollback.findings.get(agent, ())],
        }
        for agent, vote in sorted(rollback.votes.items())
    ]


def finding_line(finding: Finding) -> dict[str, Any]:
    """Return what an agent has looked at before it voted, and what came of it."""
    line = {"name": finding.name, "holds": finding.holds, "text": finding.text, "time": finding.time_us}
    return line | ({"signed": signed(finding.proof)} if finding.proof else {})


def said(by: str, note: str, proof: bytes = b"") -> dict[str, Any]:
    """Return what a person has said: who, why, and what was signed; nothing where nobody has."""
    if not by:
        return {}
    return {"by": by, "note": note} | ({"signed": signed(proof)} if proof else {})


def signed(proof: bytes) -> dict[str, Any]:
    """Return who has signed, as what, and when, as the log has it."""
    name, roles, at_us = signature_of(proof)
    return {"name": name, "roles": list(roles), "time": at_us}


# -- why -----------------------------------------------------------------------------------------------------------


def explained(trail: Trail, edges: Edges, step: Step) -> dict[str, Any]:
    """Return why a step was made, from whom it had what, and what became of it."""
    line = told(trail, step)
    chain = edges.chain(step)
    line["chain"] = [_link(trail, name) for name in chain]
    last = trail.steps.get(chain[-1]) if chain else step
    line["outside"] = None if last is None or last.producer is not None else str(last.record.input)
    for read in line["reads"]:
        read["undone"] = read["writer"] is not None and _is_undone(trail, StepId.parse(read["writer"]))
    for at, send in enumerate(line["sends"]):
        send["handled_by"] = [str(name) for name in edges.consumers(MessageId(step.id, at))]
    line["calls"] = [_call(trail, step, intent) for intent in step.record.calls]
    line["path"] = _path(trail, edges, step)
    runs = [other for other in trail.steps.values() if _is_run_of(other, step)]
    line["runs"] = [str(other.id) for other in sorted(runs, key=lambda other: other.id[1:])]
    line["proposals"] = [
        {"id": pid, "decision": rollback.decision, "reason": rollback.proposal.reason, "votes": votes_of(rollback)}
        for pid, rollback in trail.rollbacks.items()
        if any(part.step == step.id for vote in rollback.votes.values() for part in vote.cone)
    ]
    return line


def _link(trail: Trail, name: StepId) -> dict[str, Any]:
    known = trail.steps.get(name)
    if known is None:
        return {"step": str(name), "known": False, "time": None, "model": None, "input": None, "undone": None}
    record = known.record
    return {
        "step": str(name),
        "known": True,
        "time": record.time_us,
        "model": record.model or None,
        "input": {"id": str(record.input), "type": type_of(record.input.payload)},
        "undone": known.undone and known.undone.by,
    }


def _is_run_of(other: Step, step: Step) -> bool:
    return other.id.agent == step.id.agent and other.record.input.lineage == step.record.input.lineage


def _is_undone(trail: Trail, name: StepId) -> bool:
    known = trail.steps.get(name)
    return known is not None and known.undone is not None


def _call(trail: Trail, step: Step, intent: str) -> dict[str, Any]:
    effect = trail.effects.get(intent, Effect(intent, ""))
    history = [
        {"state": state_word(state), "time": time_us, "record": number} for state, number, time_us in effect.history
    ]
    return {
        "tool": effect.tool,
        "intent": intent,
        "effect": effect.kind,
        "state": state_word(effect.state),
        "hash": digest(effect.args),
        "history": history,
        "claimed_by": _claimant(trail, step, intent),
    }


def _path(trail: Trail, edges: Edges, step: Step) -> list[dict[str, Any]]:
    """Return how an undone step hangs on a root of the rollback that undid it; empty otherwise."""
    rollback = trail.rollbacks.get(step.undone.by) if step.undone is not None else None
    if rollback is None:
        return []
    return [cause_line(name, cause) for name, cause in edges.path(rollback.proposal.roots, step.id)]


def cause_line(name: StepId, cause: Cause | None) -> dict[str, Any]:
    """Return a step of a cone, and why it is there."""
    if cause is None:
        return {"step": str(name), "because_of": None, "how": "root", "via": None}
    return {"step": str(name), "because_of": str(cause.step), "how": cause.how, "via": cause.via}


def coned(trail: Trail, cone: dict[StepId, Cause | None]) -> list[dict[str, Any]]:
    """Return a cone's steps, nearest to the root first, each with why it is there and what undid it."""
    lines: list[dict[str, Any]] = []
    for name, cause in cone.items():
        step = trail.steps[name]
        line = cause_line(name, cause) | {"time": step.record.time_us, "undone": step.undone and step.undone.by}
        line["calls"] = [_call(trail, step, intent) for intent in step.record.calls]
        lines.append(line)
    return lines
