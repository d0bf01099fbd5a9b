"""Steps and the records that make them durable (ST-1, ST-2).

A log is a sequence of records of one agent. Applying them in order gives the agent's state back without running any
of its code: that is why a handler may be as random as a language model.
"""

from typing import NamedTuple

from msgspec import Struct

from protocol.fact import Began
from protocol.ids import AgentId, Lineage, MessageId, ProposalId, StepId

EXTERNAL = "ext:"
"""Prefix of the senders that are not agents: `ext:SOURCE`."""

STEP_INDEX_ENTRIES = 1 << 20
"""Indices from here on name shared entries of a step, those below name its messages."""


class Input(Struct, frozen=True):
    """What one step consumes: a message of another step, or something from outside."""

    sender: AgentId
    incarnation: int
    number: int
    """Place among all that `sender`'s incarnation sent to this agent, from 1."""
    payload: bytes
    lineage: Lineage
    producer: StepId | None = None
    index: int = 0
    clock: dict[AgentId, tuple[int, int]] = {}
    time_us: int = 0
    place: int = 0
    """Place in the receiver's first order; an input that a rollback gives back keeps it."""
    attempt: int = 1
    """How often the input was given back, plus one."""
    evidence: bytes = b""
    """What the rollback that asked for a retry or an amendment had to show."""

    @property
    def message(self) -> MessageId | None:
        """The message that this is, or None for an external input."""
        return None if self.producer is None else MessageId(self.producer, self.index)

    def __str__(self) -> str:
        return f"{self.sender}#{self.number}" if self.producer is None else f"{self.producer}#{self.index}"


class Read(NamedTuple):
    """A step read `key` as `writer` had left it; None: nobody had written it."""

    key: str
    writer: StepId | None


class Write(NamedTuple):
    """A step's new version of `key`; None is a tombstone."""

    key: str
    value: bytes | None


class EntryDraft(NamedTuple):
    """A shared write: an operation on one key of one space, as `space:NAME/KEY`."""

    key: str
    op: bytes


class Entry(Struct, frozen=True):
    """A shared write as all replicas hold it: one slot, one writer, never changed (SH-1)."""

    key: str
    writer: StepId
    index: int
    op: bytes
    clock: dict[AgentId, tuple[int, int]]
    time_us: int

    @property
    def space(self) -> str:
        """The space that the entry's key belongs to."""
        return space_of(self.key)


class OutputDraft(NamedTuple):
    """A message that a handler asked to send."""

    receiver: AgentId
    payload: bytes
    key: str | None = None


class Output(NamedTuple):
    """A message of a step, numbered for its receiver."""

    receiver: AgentId
    number: int
    payload: bytes
    lineage: Lineage
    key: str | None = None


class VoidOut(NamedTuple):
    """Word to `receiver` that the lineage of an old output will not come again (EF-5)."""

    receiver: AgentId
    incarnation: int
    number: int
    lineage: Lineage
    ordered: bool


class Amendment(NamedTuple):
    """A corrected input for one root."""

    root: StepId
    payload: bytes


class RollbackDraft(Struct, frozen=True):
    """A rollback that a step asks for: proposed once the step is durable, and not undone with it."""

    roots: tuple[StepId, ...]
    inputs: str
    reason: str = ""
    evidence: bytes = b""
    amendments: tuple[Amendment, ...] = ()
    deadline_us: int = 0


class StepDraft(Struct, frozen=True):
    """What a handler has done, before it is decided whether the step stands."""

    reads: tuple[Read, ...] = ()
    writes: tuple[Write, ...] = ()
    entries: tuple[EntryDraft, ...] = ()
    outputs: tuple[OutputDraft, ...] = ()
    confidence: float | None = None
    scores: dict[str, float] = {}
    error: str | None = None
    """Set when the handler raised: then the step never was, and nothing else here counts."""
    rollbacks: tuple[RollbackDraft, ...] = ()
    poison: bool = False
    """The error will not go away by trying again."""


class _Record(Struct, frozen=True, tag=True):
    """Something that the log keeps."""


class BirthRecord(_Record, frozen=True):
    """A life of an agent began: the first record of its log, or after a loss."""

    incarnation: int
    lost: tuple[tuple[int, int], ...] = ()
    """Earlier incarnations, each with its last step that is still known; empty if nothing was lost."""


class AcceptedRecord(_Record, frozen=True):
    """External inputs that the agent has taken on."""

    inputs: tuple[Input, ...]


class StepRecord(_Record, frozen=True):
    """One step, whole."""

    step: StepId
    input: Input
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    entries: tuple[EntryDraft, ...]
    outputs: tuple[Output, ...]
    calls: tuple[str, ...]
    clock: dict[AgentId, tuple[int, int]]
    time_us: int
    voids: tuple[VoidOut, ...] = ()
    confidence: float | None = None
    scores: dict[str, float] = {}
    epoch: int = 0


class DeadRecord(_Record, frozen=True):
    """An input that will not be handled: it failed too often, or was given back too often."""

    input: Input
    why: str
    voids: tuple[VoidOut, ...] = ()


class VoidRecord(_Record, frozen=True):
    """Word taken in that a lineage will not come again."""

    sender: AgentId
    incarnation: int
    number: int
    lineage: Lineage
    ordered: bool
    voids: tuple[VoidOut, ...] = ()


class IntentRecord(_Record, frozen=True):
    """A tool is about to be called (EF-1): durable before the call runs."""

    intent: str
    lineage: Lineage
    tool: str
    args: bytes
    key: str | None
    number: int


class EffectRecord(_Record, frozen=True):
    """What became of a call or of its undo: `done`, `undoing`, `undone`, `doubt`, `failed`."""

    intent: str
    state: str
    result: bytes = b""


class AckedRecord(_Record, frozen=True):
    """Messages whose consumers are durable: `(receiver, incarnation, number, consumer incarnation, consumer seq)`."""

    acks: tuple[tuple[AgentId, int, int, int, int], ...]


class SubscribedRecord(_Record, frozen=True):
    """From now on this agent's entries in `space` go to `subscriber` too."""

    space: str
    subscriber: AgentId


class Proposal(Struct, frozen=True):
    """A rollback that someone chose: root steps, and what becomes of their inputs (RB-1)."""

    id: ProposalId
    proposer: AgentId
    roots: tuple[StepId, ...]
    inputs: str
    """`discard`, `retry` or `amend`."""
    reason: str = ""
    evidence: bytes = b""
    amendments: tuple[Amendment, ...] = ()
    began_us: int = 0
    deadline_us: int = 0
    """An elector that has not voted by then rejects; 0: no deadline."""


class Debit(NamedTuple):
    """A message (or shared entry) that a cone step sent to `receiver`; `number` is 0 for an entry."""

    at: int
    receiver: AgentId
    number: int


class ConeStep(NamedTuple):
    """A cone step and all that it sent."""

    step: StepId
    sends: tuple[Debit, ...]


class Credit(NamedTuple):
    """A cone message addressed to the voter that it has taken into account."""

    producer: StepId
    at: int
    number: int


class Vote(Struct, frozen=True):
    """An elector's part of the books; only ever grows (RB-3)."""

    voter: AgentId
    version: int
    accepts: bool
    why: str
    cone: tuple[ConeStep, ...]
    credits: tuple[Credit, ...]
    effects: tuple[str, ...] = ()


class VoteRecord(_Record, frozen=True):
    """A vote of this agent, durable before anybody else sees it."""

    proposal: Proposal
    vote: Vote


class DecisionRecord(_Record, frozen=True):
    """What this elector saw the books say, and all that followed here, in one record (RB-5)."""

    proposal: Proposal
    decision: str
    """`commit` or `abort`."""
    retracted: tuple[StepId, ...]
    credits: tuple[Credit, ...]
    electors: tuple[AgentId, ...]
    rejects: tuple[tuple[AgentId, str], ...]
    decided_us: int
    voids: tuple[VoidOut, ...] = ()
    notes: tuple[str, ...] = ()
    taken: tuple[Input, ...] = ()
    """Inputs of roots undone before that waited to run again, and are discarded or amended instead."""


class ForcedRecord(_Record, frozen=True):
    """Steps retracted because they hang on lost ones (FR-2)."""

    began: Began
    retracted: tuple[StepId, ...]


class ProposedRecord(_Record, frozen=True):
    """A proposal of this agent, durable before it is sent."""

    proposal: Proposal


class OutcomeRecord(_Record, frozen=True):
    """A proposal of this agent is over: every elector has said so."""

    proposal: ProposalId
    decision: str
    undone: tuple[StepId, ...]
    electors: tuple[AgentId, ...]
    rejects: tuple[tuple[AgentId, str], ...]
    notes: tuple[str, ...]
    began_us: int
    decided_us: int
    """When the last elector decided."""


Record = (
    BirthRecord
    | AcceptedRecord
    | StepRecord
    | DeadRecord
    | VoidRecord
    | IntentRecord
    | EffectRecord
    | AckedRecord
    | SubscribedRecord
    | VoteRecord
    | DecisionRecord
    | ForcedRecord
    | ProposedRecord
    | OutcomeRecord
)


def entries_of(record: StepRecord) -> tuple[Entry, ...]:
    """Return a step's shared entries."""
    return tuple(
        Entry(draft.key, record.step, STEP_INDEX_ENTRIES + at, draft.op, record.clock, record.time_us)
        for at, draft in enumerate(record.entries)
    )


def space_key(space: str, key: str) -> str:
    """Return the key under which steps read and write `key` of `space`."""
    return f"space:{space}/{key}"


def space_of(key: str) -> str:
    """Return the space of a shared key made by `space_key`."""
    return key[6:].split("/", 1)[0]
