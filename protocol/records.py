"""The records that make up an agent's log, besides its steps (ST-1, ST-2).

Applying them in order gives the agent's state back without running any of its code.
"""

from typing import NamedTuple

from msgspec import Struct

from protocol.fact import Began
from protocol.group import GroupDecidedRecord, GroupState, GroupVotedRecord
from protocol.ids import AgentId, Lineage, Number, ProposalId, StepId
from protocol.message import Data, Void
from protocol.proposal import Credit, Finding, Proposal, Restore, Vote
from protocol.step import Consumer, Entry, Input, LogRecord, Request, StepRecord, VoidOut
from protocol.words import HeldRecord, PausedRecord, TierRecord


class BirthRecord(LogRecord, frozen=True):
    """A life of an agent began: the first record of its log, or after a loss."""

    incarnation: Number
    lost: tuple[tuple[Number, Number], ...] = ()
    """Earlier incarnations, each with its last step that is still known; empty if nothing was lost."""


class AcceptedRecord(LogRecord, frozen=True):
    """External inputs that the agent has taken on."""

    inputs: tuple[Input, ...]


class DeadRecord(LogRecord, frozen=True):
    """An input that will not be handled: it failed too often, or was given back too often."""

    input: Input
    why: str
    voids: tuple[VoidOut, ...] = ()
    time_us: Number = 0
    """When, by the host's clock; it decides nothing."""


class RedrivenRecord(LogRecord, frozen=True):
    """A dead letter is one no more (ST-11): it is handled again as `input`, or dropped."""

    lineage: Lineage
    input: Input | None = None


class VoidRecord(LogRecord, frozen=True):
    """Word taken in that a lineage will not come again."""

    sender: AgentId
    incarnation: Number
    number: Number
    lineage: Lineage
    ordered: bool
    voids: tuple[VoidOut, ...] = ()


class IntentRecord(LogRecord, frozen=True):
    """A tool is about to be called (EF-1): durable before the call runs."""

    intent: str
    lineage: Lineage
    tool: str
    args: bytes
    key: str | None
    number: Number
    kind: str = ""
    """What undoing it means: `compensable`, `idempotent`, `irreversible`. Empty in logs older than this field."""
    note: str = ""
    """Why somebody has released it before its step was settled (RQ-2), or has said no, or what was asked (RQ-3)."""
    by: str = ""
    """Who has."""
    proof: bytes = b""
    """What that person has signed; empty where nobody need sign."""


class ApprovedRecord(LogRecord, frozen=True):
    """A person agrees that a request is let go, once its step is settled (RQ-3)."""

    lineage: Lineage
    note: str
    by: str
    proof: bytes = b""
    """What the person has signed; empty where nobody need sign."""


class EffectRecord(LogRecord, frozen=True):
    """What became of a call or of its undo: `done`, `undoing`, `undone`, `doubt`, `kept`; once, `failed`."""

    intent: str
    state: str
    result: bytes = b""
    note: str = ""
    """Why a person has settled it so."""
    by: str = ""
    """Which person; empty for nobody."""


class AckedRecord(LogRecord, frozen=True):
    """Messages whose consumers are durable: `(receiver, incarnation, number, consumer)`."""

    acks: tuple[tuple[AgentId, Number, Number, Consumer], ...]


class SubscribedRecord(LogRecord, frozen=True):
    """From now on this agent's entries in `space` go to `subscriber` too."""

    space: str
    subscriber: AgentId


class VoteRecord(LogRecord, frozen=True):
    """A vote of this agent, durable before anybody else sees it."""

    proposal: Proposal
    vote: Vote
    findings: tuple[Finding, ...] = ()
    """What the agent has looked at since its vote before (RB-12)."""


class DecisionRecord(LogRecord, frozen=True):
    """What this elector saw the books say, and all that followed here, in one record (RB-5)."""

    proposal: Proposal
    decision: str
    """`commit` or `abort`."""
    retracted: tuple[StepId, ...]
    credits: tuple[Credit, ...]
    electors: tuple[AgentId, ...]
    rejects: tuple[tuple[AgentId, str], ...]
    decided_us: Number
    voids: tuple[VoidOut, ...] = ()
    notes: tuple[str, ...] = ()
    taken: tuple[Input, ...] = ()
    """Inputs of roots undone before that waited to run again, and are discarded or amended instead."""
    epoch: Number = 0
    """In which it was carried out."""


class ForcedRecord(LogRecord, frozen=True):
    """Steps retracted because they hang on lost ones (FR-2)."""

    began: Began
    retracted: tuple[StepId, ...]
    voids: tuple[VoidOut, ...] = ()
    """What tells on that lineages have ended which their senders had called off before."""


class PlacedRecord(LogRecord, frozen=True):
    """A receiver has been heard of: from here on what has waited for it may leave (CL-7)."""

    receiver: AgentId


class ProposedRecord(LogRecord, frozen=True):
    """A proposal of this agent, durable before it is sent."""

    proposal: Proposal
    then: str = ""
    """What is to hear how it has ended; empty: nothing is (RB-14)."""


class OutcomeRecord(LogRecord, frozen=True):
    """A proposal of this agent is over: every participant has said so."""

    proposal: ProposalId
    decision: str
    undone: tuple[StepId, ...]
    electors: tuple[AgentId, ...]
    rejects: tuple[tuple[AgentId, str], ...]
    notes: tuple[str, ...]
    began_us: Number
    decided_us: Number
    """When the last participant decided."""
    then: str = ""
    """What is to hear of it; empty: nothing is. Only then the rest is there (RB-14)."""
    roots: tuple[StepId, ...] = ()
    evidence: bytes = b""


class CutRecord(LogRecord, frozen=True):
    """The agent's cut of an epoch: every step before this record is inside, every later one outside (CP-1)."""

    epoch: Number
    time_us: Number = 0
    """When, by the agent's hybrid clock; it decides nothing."""


class RestoredRecord(LogRecord, frozen=True):
    """All agents go back to the cut of an epoch (CP-7): what followed here, in one record."""

    restore: Restore
    retracted: tuple[StepId, ...]
    voids: tuple[VoidOut, ...] = ()
    time_us: Number = 0
    """When, by the agent's hybrid clock; it decides nothing."""


class Cut(NamedTuple):
    """A cut as people look at it: where it stands, and when it was made.

    Who sleeps makes none (CP-13): its place in the cut of an epoch is that of its next cut, or where its log ends.
    """

    epoch: Number
    era: Number
    """How many restores had been carried out."""
    incarnation: Number
    seq: Number
    """The last step inside; 0: none."""
    time_us: Number
    """0: the agent slept then, and has no record of it."""


class Letter(NamedTuple):
    """An input that was given up."""

    input: Input
    why: str
    time_us: Number = 0
    """When; 0 in logs older than this field."""


class HeldOut(Struct, frozen=True, array_like=True):
    """A message or void in an outbox; `consumer` is set once it is acknowledged."""

    receiver: AgentId
    step: StepId | None
    incarnation: Number
    number: Number
    input: Input | None
    """None: a void."""
    lineage: Lineage = ""
    ordered: bool = False
    consumer: Consumer | None = None

    @classmethod
    def of(
        cls, receiver: AgentId, step: StepId | None, incarnation: int, number: int, message: Data | Void,
        consumer: Consumer | None = None,
    ) -> "HeldOut":  # fmt: skip
        """Return a message as a base holds it."""
        if isinstance(message, Data):
            return cls(receiver, step, incarnation, number, message.input, consumer=consumer)
        return cls(receiver, step, incarnation, number, None, message.lineage, message.ordered, consumer)

    @property
    def message(self) -> Data | Void:
        """The message that is held."""
        if self.input is not None:
            return Data(self.input)
        return Void(self.incarnation, self.number, self.lineage, self.ordered)


class HeldTimer(Struct, frozen=True, array_like=True):
    """A timer that nobody has handled yet."""

    input: Input
    due_us: Number
    key: str | None = None
    cancelled_by: tuple[StepId, ...] = ()
    request: Request | None = None
    approved: str | None = None
    """Who agrees that it is let go (RQ-3); None: nobody yet."""


class EffectState(Struct, frozen=True, array_like=True):
    """A call and how it stands."""

    intent: str
    lineage: Lineage
    tool: str
    args: bytes
    key: str | None
    number: Number
    state: str
    result: bytes
    claimed_by: StepId | None
    doomed: bool
    waits: bool
    kind: str = ""
    word: str = ""
    """What a person has said of it, and who (RQ-3)."""


class BaseRecord(LogRecord, frozen=True):
    """The whole state of a peer where this record stands: what is before it need not be read (CP-6)."""

    is_full: bool
    """It has the values of all keys; else only of those that have changed since the base before."""
    incarnation: Number
    seq: Number
    epoch: Number
    committed: Number
    horizon: Number
    is_outside: bool
    place: Number
    time_us: Number
    forgotten: Number
    undone: Number
    restores: tuple[Restore, ...]
    steps: tuple[StepRecord, ...]
    """Those that are not forgotten, oldest first."""
    keys: tuple[tuple[str, tuple[tuple[StepId, bytes | None, Number], ...]], ...]
    """By key, the versions of forgotten steps: writer, value, epoch."""
    entries: tuple[Entry, ...]
    """Surviving shared entries of forgotten steps, as with keys."""
    dead: tuple[Letter, ...]
    """Dead letters, as with keys."""
    channels: tuple[tuple[AgentId, Number, tuple[tuple[Number, Number], ...]], ...]
    line: tuple[Input, ...]
    """Inputs that wait, and will not be sent again."""
    numbers: tuple[tuple[AgentId, Number], ...]
    """By receiver, the next number."""
    outbox: tuple[HeldOut, ...]
    effects: tuple[EffectState, ...]
    ended: tuple[tuple[Lineage, Number], ...]
    voided: tuple[Lineage, ...]
    after: tuple[tuple[AgentId, Number, Number, Lineage], ...]
    subscribers: tuple[tuple[str, AgentId], ...]
    retraction: tuple[tuple[AgentId, Number, Number, Number], ...]
    """Agent, incarnation, first, last."""
    retracted_by: tuple[tuple[StepId, str], ...]
    attempts: tuple[tuple[Lineage, Number], ...]
    beginnings: tuple[Began, ...]
    votes: tuple[VoteRecord, ...]
    decisions: tuple[DecisionRecord, ...]
    proposed: tuple[ProposedRecord, ...]
    outcomes: tuple[OutcomeRecord, ...]
    proposals: Number
    """How many this agent has ever made."""
    cuts: tuple[Cut, ...] = ()
    """Those that the horizon has not passed."""
    restored_us: tuple[Number, ...] = ()
    """By number from 1, when each restore was carried out here."""
    unplaced: tuple[HeldOut, ...] = ()
    """Messages to names that nobody had heard of, and places of undone ones (CL-7)."""
    redriven: tuple[Lineage, ...] = ()
    """Those of the dead letters since the last full base that are none any more (ST-11)."""
    timers: tuple[HeldTimer, ...] = ()
    """Those that nobody has handled, also of steps that are forgotten (TI-1)."""
    paused: str = ""
    """By whom the agent is paused, and why; empty: it is not (ST-14)."""
    held: tuple[tuple[str, str], ...] = ()
    """Who keeps its requests from being let go, and why (RQ-5)."""
    groups: tuple[GroupState, ...] = ()
    """Those in which it has said anything, or knows the end (RQ-4)."""
    tier: TierRecord | None = None
    """Who has set its tier last, and why; None: nobody ever has (ST-15)."""


Record = (
    BirthRecord
    | AcceptedRecord
    | StepRecord
    | DeadRecord
    | VoidRecord
    | IntentRecord
    | EffectRecord
    | ApprovedRecord
    | GroupVotedRecord
    | GroupDecidedRecord
    | PausedRecord
    | HeldRecord
    | TierRecord
    | AckedRecord
    | SubscribedRecord
    | VoteRecord
    | DecisionRecord
    | ForcedRecord
    | ProposedRecord
    | OutcomeRecord
    | CutRecord
    | RestoredRecord
    | PlacedRecord
    | RedrivenRecord
    | BaseRecord
)
