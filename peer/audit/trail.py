"""The trail of a run: every step of every agent, what it came from, and what became of it, from the logs alone.

What was undone stays in the trail. Values are not shown, only their sizes and hashes.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from peer.agents.past import as_step
from peer.audit.gaps import Gap
from peer.errors import EbbtideError, StepUnknown
from peer.values import payload
from protocol.fact import Began
from protocol.ids import AgentId, Lineage, ProposalId, StepId
from protocol.proposal import Finding, Proposal, Restore, Vote
from protocol.records import Cut, DecisionRecord, OutcomeRecord
from protocol.step import StepRecord


class Undone(NamedTuple):
    """What undid a step."""

    by: str
    """A proposal, `restore/NUMBER`, or `loss/AGENT/INCARNATION`."""
    kind: str
    """`rollback`, `restore` or `loss`."""
    time_us: int
    """When its agent carried it out; of a loss, that of the last dated record before."""
    reason: str
    number: int
    """The record in the agent's log; 0 if only a base tells of it."""


@dataclass
class Step:
    """One step, and what became of it."""

    record: StepRecord
    number: int
    """Its record in the agent's log; 0 if only a base tells of it."""
    undone: Undone | None = None

    @property
    def id(self) -> StepId:
        """The step's name."""
        return self.record.step

    @property
    def producer(self) -> StepId | None:
        """The step that sent its input; None for an input from outside."""
        return self.record.input.producer


@dataclass
class Effect:
    """A tool call, and all that became of it."""

    intent: str
    agent: AgentId
    tool: str = "unknown"
    kind: str = "unknown"
    lineage: Lineage = ""
    args: bytes = b""
    history: list[tuple[str, int, int]] = field(default_factory=list)
    """State, the record that says so, and when, as far as the log is dated."""

    @property
    def state(self) -> str:
        """How it stands, in the journal's words."""
        return self.history[-1][0] if self.history else "open"


@dataclass
class Rollback:
    """A proposed rollback, put together from the logs of all who had a part in it."""

    proposal: Proposal
    votes: dict[AgentId, Vote] = field(default_factory=dict)
    """Each elector's last vote."""
    voted_us: dict[AgentId, int] = field(default_factory=dict)
    """When each voted last, as far as its log is dated: not before that."""
    findings: dict[AgentId, tuple[Finding, ...]] = field(default_factory=dict)
    """What each has looked at before it voted, oldest first."""
    decisions: dict[AgentId, DecisionRecord] = field(default_factory=dict)
    """By elector, what it saw the books say."""
    outcome: OutcomeRecord | None = None
    """What its proposer has been told in the end."""

    @property
    def decision(self) -> str:
        """`commit`, `abort` or `undecided`."""
        return next((record.decision for record in self.decisions.values()), "undecided")

    @property
    def decided_us(self) -> int | None:
        """When the last elector decided."""
        return max((record.decided_us for record in self.decisions.values()), default=None)


class Word(NamedTuple):
    """What a person, or a watcher, has said of an agent as a whole: that it begins nothing, that nothing of it leaves,
    how far it is trusted."""

    agent: AgentId
    what: str
    """`paused`, `resumed`, `held`, `let go`, or `tier NAME`."""
    by: str
    note: str
    time_us: int
    proof: bytes
    """What was signed; empty if it was not."""


class Log(NamedTuple):
    """An agent's log, as it was read."""

    agent: AgentId
    folder: Path
    records: int


class Restored(NamedTuple):
    """A restore, and when each agent carried it out."""

    restore: Restore
    times: dict[AgentId, int]


@dataclass
class Trail:
    """All that the logs of some hosts tell."""

    folder: Path
    steps: dict[StepId, Step] = field(default_factory=dict)
    """In the order of time, then name."""
    rollbacks: dict[ProposalId, Rollback] = field(default_factory=dict)
    restores: dict[int, Restored] = field(default_factory=dict)
    losses: dict[str, Began] = field(default_factory=dict)
    """By `loss/AGENT/INCARNATION`."""
    effects: dict[str, Effect] = field(default_factory=dict)
    """By intent."""
    claims: dict[str, list[StepId]] = field(default_factory=dict)
    """By intent, the steps that stand or stood behind the effect."""
    letters: dict[tuple[AgentId, Lineage], str] = field(default_factory=dict)
    """Dead letters, and why each is one: by agent and lineage."""
    cuts: dict[AgentId, list[Cut]] = field(default_factory=dict)
    ends: dict[AgentId, Cut] = field(default_factory=dict)
    """Where each agent's log ends: its place in the cuts that it sleeps through (CP-13)."""
    words: list[Word] = field(default_factory=list)
    """What people have said of agents as a whole."""
    committed: int = 0
    """The newest committed epoch that any host knows."""
    logs: list[Log] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    """What is not told, though it was once written: records that can't be read, logs that are not here."""
    notes: list[str] = field(default_factory=list)
    """What whoever reads this should know besides: logs that differ."""

    def step(self, name: StepId | str) -> Step:
        """Return a step by its name.

        Raises: CallerError, if it is not of the form agent/incarnation/seq; StepUnknown.
        """
        wanted = as_step(name)
        if wanted in self.steps:
            return self.steps[wanted]
        known = [step for step in self.steps if step.agent == wanted.agent]
        if known:
            text = f"its log tells of {len(known)}, {min(known)} to {max(known)}. See 'ebbtide log show {self.folder}"
            raise StepUnknown(f"no step {wanted} in {self.folder}: {text} {wanted.agent}'. Nothing was written.")
        raise StepUnknown(f"no step {wanted} in {self.folder}: no agent {wanted.agent!r}, {self._agents()}.")

    def _agents(self) -> str:
        """Say which agents there are, for whoever has named another one."""
        some = ", ".join(log.agent for log in self.logs[:12]) + (" ..." if len(self.logs) > 12 else "")
        return f"only {some}. Name one of these" if some else "nor any other: there is no agent's log"

    def of(self, agent: AgentId) -> list[Step]:
        """Return an agent's steps in the order of time.

        Raises: StepUnknown, naming the agents that there are, if it has no log here.
        """
        if all(log.agent != agent for log in self.logs):
            raise StepUnknown(f"no log of {agent!r} in {self.folder}: no agent {agent!r}, {self._agents()}.")
        return [step for step in self.steps.values() if step.id.agent == agent]

    def add(self, step: Step) -> None:
        """Take in a step, if it is not known yet."""
        if self.steps.setdefault(step.id, step) is step:
            for intent in step.record.calls:
                self.claims.setdefault(intent, []).append(step.id)

    def claimant(self, step: Step, intent: str) -> StepId | None:
        """Return the run of the same input that has claimed an undone step's effect: so it was not undone with it."""
        if step.undone is None:
            return None
        later = [other for other in self.claims.get(intent, ()) if other[1:] > step.id[1:]]
        return min(later, key=lambda other: other[1:], default=None)

    def effects_of(self, record: StepRecord) -> dict[str, tuple[str, str, str]]:
        """Return tool, kind and state of the calls that a step stands behind, by intent."""
        calls = [self.effects[intent] for intent in record.calls if intent in self.effects]
        return {effect.intent: (effect.tool, effect.kind, effect.state) for effect in calls}


def lost_text(began: Began) -> str:
    """Say what a beginning after a loss means."""
    lives = " and ".join(f"all after {StepId(began.agent, life, last)}" for life, last in began.lost)
    return f"{began.agent} lost {lives}"


def digest(data: bytes) -> str:
    """Return a value's hash: equal for equal bytes, 16 bytes of BLAKE2b in hex."""
    return blake2b(data, digest_size=16).hexdigest()


def type_of(data: bytes) -> str:
    """Return the name of a message's class; empty for a builtin value, or bytes that are no message."""
    try:
        decoded: Any = payload.decode(data)
        return decoded[0] if isinstance(decoded, list) and len(decoded) == 2 and isinstance(decoded[0], str) else ""
    except EbbtideError:
        return ""
