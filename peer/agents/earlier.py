"""What earlier runs of an input did, and what was found wrong with them: for whoever is to do better now.

All of it is in the agent's own log, and undone: looking at it makes no step depend on anything.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, NamedTuple

import msgspec

from peer.agents.agent import Agent
from peer.agents.envelope import content
from peer.agents.tool import decode_args
from peer.agents.tracked import Lock
from peer.errors import EbbtideError
from peer.values import payload
from protocol.agent.intents import DONE, KEPT, Effect
from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId, Lineage, StepId
from protocol.proposal import Proposal
from protocol.step import StepRecord

RUNS_MAX = 16
"""Of one input, the newest that are shown: as many as there are, unless `attempts` allows more."""
LISTED_MAX = 1_000
"""Messages, and calls, that are shown of one run."""
SHOWN_BYTES_MAX = 4 << 20
"""Of all values that are shown, the newest run's first: what no longer fits is `LeftOut`."""


class LeftOut(NamedTuple):
    """Stands for a value that is not shown: with it there would be too much."""

    size: int
    """Its bytes in the log."""


class SentBefore(NamedTuple):
    """A message that an earlier run sent, or a timer that it set for its own agent."""

    to: AgentId
    message: Any
    """Where its class is not known in the agent's module, a dict of its fields."""
    key: str | None
    """As the run gave it."""


class CalledBefore(NamedTuple):
    """A tool that an earlier run called."""

    tool: str
    args: Any
    """By position."""
    kwargs: Any
    key: str | None
    result: Any
    """What it returned; None, if that is not known."""
    state: str
    """`done`, `undoing`, `undone`, `doubt`, `kept`, `open`; `unknown`, once that is compacted."""
    stands: bool
    """The effect is there: a call that matches it, by `key=` or equal arguments, gets the result and does nothing."""


@dataclass(frozen=True)
class EarlierRun:
    """A step that handled this input, and is undone."""

    step: StepId
    message: Any
    """What it handled: an `amend` may have changed it since."""
    sent: tuple[SentBefore, ...]
    calls: tuple[CalledBefore, ...]
    confidence: float | None
    scores: dict[str, float]
    model: str
    undone_by: str
    """The proposal that undid it, `restore/NUMBER`, or `loss/AGENT/INCARNATION`."""
    was_root: bool
    """It was itself named as wrong; else it depended on what was."""
    proposer: AgentId
    """The agent that proposed that; if somebody outside did, the owner of its first root. Empty without a proposal."""
    reason: str
    evidence: Any
    """What was given along; None if nothing was."""
    left_out: int
    """Messages and calls that are not shown, since there were more than 1,000."""


class Earlier:
    """The earlier runs of one agent's inputs.

    Args:
        agent: whose.
        machine: knows its steps, and who has undone them.
        lock: held while it is looked at: it changes in another thread.
    """

    def __init__(self, agent: Agent, machine: PeerMachine, lock: Lock) -> None:
        self._agent = agent
        self._machine = machine
        self._lock = lock

    def runs(self, lineage: Lineage) -> tuple[EarlierRun, ...]:
        """Return the undone runs of an input that are not compacted, oldest first."""
        core = self._machine.core
        with self._lock:
            steps = [step for step in core.runs_of.get(lineage, ()) if step in core.retraction][-RUNS_MAX:]
            found = [self._looked_up(core.cone.record(step)) for step in steps]
        shown = _Shown(_types(type(self._agent)))
        return tuple([shown.run(each) for each in reversed(found)][::-1])

    def _looked_up(self, record: StepRecord) -> "_Found":
        core, decided = self._machine.core, self._machine.rollback.decided
        by = core.retracted_by.get(record.step, "")
        proposal = decided[by].proposal if by in decided else None
        reason = next((each.reason for each in core.restores if by == f"restore/{each.number}"), "")
        calls = tuple((intent, core.intents.get(intent)) for intent in record.calls[:LISTED_MAX])
        # The journal goes on changing: what is told of a call is as it is now.
        told = tuple(_Called.of(intent, effect) for intent, effect in calls)
        return _Found(record, by, proposal, reason, told)


class _Called(NamedTuple):
    tool: str
    args: bytes
    key: str | None
    result: bytes
    state: str
    stands: bool

    @classmethod
    def of(cls, intent: str, effect: Effect | None) -> "_Called":
        if effect is None:
            return cls("unknown", b"", None, b"", "unknown", False)
        stands = effect.state in (DONE, KEPT) and not effect.doomed
        return cls(effect.tool, effect.args, effect.key, effect.result, effect.state, stands)


class _Found(NamedTuple):
    record: StepRecord
    by: str
    proposal: Proposal | None
    reason: str
    calls: tuple[_Called, ...]


class _Shown:
    """Makes values of bytes, as long as there is room."""

    def __init__(self, types: Mapping[str, type]) -> None:
        self._types = types
        self._left = SHOWN_BYTES_MAX

    def run(self, found: _Found) -> EarlierRun:
        """Return a run."""
        record, proposal = found.record, found.proposal
        outputs = record.outputs[:LISTED_MAX]
        return EarlierRun(
            step=record.step,
            message=self._message(record.input.payload),
            evidence=None if proposal is None else self._value(proposal.evidence),
            sent=tuple(SentBefore(each.receiver, self._message(each.payload), each.key) for each in outputs),
            calls=tuple(self._call(each) for each in found.calls),
            confidence=record.confidence,
            scores=dict(record.scores),
            model=record.model,
            undone_by=found.by,
            was_root=proposal is not None and record.step in proposal.roots,
            proposer="" if proposal is None else proposal.proposer,
            reason=found.reason if proposal is None else proposal.reason,
            left_out=len(record.outputs) - len(outputs) + len(record.calls) - len(found.calls),
        )

    def _call(self, call: _Called) -> CalledBefore:
        args: Any
        kwargs: Any
        if not call.args:
            args, kwargs = (), {}
        elif self._fits(call.args):
            args, kwargs = decode_args(call.args)
        else:
            args = kwargs = LeftOut(len(call.args))
        return CalledBefore(call.tool, args, kwargs, call.key, self._value(call.result), call.state, call.stands)

    def _message(self, data: bytes) -> Any:
        return content(data, self._types) if self._fits(data) else LeftOut(len(data))

    def _value(self, data: bytes) -> Any:
        if not data:
            return None
        if not self._fits(data):
            return LeftOut(len(data))
        try:
            return payload.decode(data)
        except EbbtideError:
            return data  # no value: the bare text of a reason, from a log of another release

    def _fits(self, data: bytes) -> bool:
        if len(data) > self._left:
            return False
        self._left -= len(data)
        return True


def _types(kind: type[Agent]) -> dict[str, type]:
    """Return the classes of messages that an agent's module knows, by name; what the agent handles counts first."""
    known = vars(sys.modules[kind.__module__]).values() if kind.__module__ in sys.modules else ()
    found = {
        each.__name__: each
        for each in known
        if isinstance(each, type) and (issubclass(each, msgspec.Struct) or is_dataclass(each))
    }
    return {**found, **kind.message_types}
