"""What people look at, as JSON has it: the same for commands with `--json`, over HTTP, and in webhooks."""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from peer.cluster.doubting import Overturned
from peer.cluster.inlet import Receipt
from peer.cluster.outcome import Outcome, Plan
from peer.cluster.requests import Ask, PendingRequest
from peer.host.questions import TiersAnswer
from peer.values.brief import shown
from protocol.ids import StepId

Row = dict[str, Any]


def plain(value: Any) -> Any:
    """Return a user's value as JSON has it; what JSON lacks becomes what is nearest, or a text."""
    match value:
        case None | bool():
            return value
        case str():
            # An array may hold halves of characters, which no encoder takes.
            return str.__str__(value).encode("utf-8", "backslashreplace").decode()
        case np.generic() | np.ndarray():
            return plain(value.tolist())
        case int():
            # Beyond 64 bits few that read JSON keep a number as it is; the encoder refuses it.
            return int(value) if -(2**63) <= value < 2**64 else shown(int(value))
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return b64encode(value).decode()
        case Mapping():
            made = {_key(key): plain(item) for key, item in value.items()}
            # Keys that differ may be one text, as 1 and "1": then nothing may be lost.
            return made if len(made) == len(value) else [[plain(key), plain(item)] for key, item in value.items()]
        case list() | tuple():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted((plain(item) for item in value), key=str)
    try:
        return plain(msgspec.to_builtins(value))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return shown(value, str)


def _key(key: Any) -> str:
    found = plain(key)
    return found if isinstance(found, str) else str(found)


def request_row(each: PendingRequest) -> Row:
    """Return a request, or a question."""
    return {
        "agent": each.agent,
        "request": each.name,
        "step": str(each.step),
        "tool": each.tool,
        "kind": each.kind,
        "args": plain(each.args),
        "kwargs": plain(each.kwargs),
        "question": each.question,
        "options": plain(each.kwargs.get("options")) if each.kind == "person" else None,
        "asks": list(each.asks),
        "approved": each.approved,
        "group": each.group,
        "undo": each.undo,
        "since_us": each.since_us,
        "until_us": each.until_us,
        "since": shown_time(each.since_us),
        "until": shown_time(each.until_us),
    }


def request_of(row: Row, ask: Ask) -> PendingRequest:
    """Return a request as whoever asks over HTTP sees it.

    Raises: KeyError, TypeError, ValueError, for what is no such row.
    """
    return PendingRequest(
        name=row["request"], agent=row["agent"], step=StepId.parse(row["step"]), tool=row["tool"], kind=row["kind"],
        args=tuple(row["args"]), kwargs=dict(row["kwargs"]), since_us=row["since_us"], until_us=row["until_us"],
        question=row["question"], asks=tuple(row["asks"]), approved=row["approved"], _ask=ask,
        group=row["group"], undo=row["undo"],
    )  # fmt: skip


def plan_row(plan: Plan) -> Row:
    """Return what a rollback would undo."""
    return {
        "roots": _texts(plan.roots),
        "steps": _texts(plan.steps),
        "agents": list(plan.agents),
        "effects": list(plan.effects),
        "calls": [{**each._asdict(), "step": str(each.step)} for each in plan.calls],
    }


def outcome_row(outcome: Outcome) -> Row:
    """Return what became of a rollback."""
    return {
        "proposal": outcome.proposal,
        "committed": outcome.committed,
        "undone": _texts(outcome.undone),
        "agents": list(outcome.agents),
        "rejects": dict(outcome.rejects),
        "notes": list(outcome.notes),
        "effects_pending": list(outcome.effects_pending),
        "seconds": outcome.seconds,
    }


def suspected_row(steps: Sequence[str], score: float, receipt: Receipt) -> Row:
    """Return what a watcher was told."""
    return {"steps": list(steps), "to": receipt.agent, "score": score, "inputs": list(receipt.inputs),
            "repeated": receipt.repeated}  # fmt: skip


def overturned_row(done: Overturned) -> Row:
    """Return what has become of a step that an alarm was false of."""
    return {"step": str(done.step), "reinstated": done.reinstated, "proposal": done.proposal}


def tiers_row(agent: str, found: TiersAnswer) -> Row:
    """Return which tiers an agent may have, and which it has."""
    return {
        "agent": agent,
        "tier": found.tier,
        "tiers": list(found.tiers),
        "by": found.by,
        "note": found.note,
        "at_us": found.at_us,
    }


def shown_time(at_us: int | None) -> str:
    """Return a time for people; nothing for none."""
    return "" if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _texts(steps: Any) -> list[str]:
    return [str(step) for step in steps]
