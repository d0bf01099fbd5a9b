"""Steps and the records that make them durable (ST-1, ST-2).

A log is a sequence of records of one agent. Applying them in order gives the agent's state back without running any
of its code: that is why a handler may be as random as a language model.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from protocol.ids import AgentId, Lineage, MessageId, Number, StepId
from protocol.proposal import Amendment

EXTERNAL = "ext:"
"""Prefix of the senders that are not agents: `ext:SOURCE`."""

STEP_INDEX_ENTRIES = 1 << 20
"""Indices from here on name shared entries of a step, those below name its messages."""


class Input(Struct, frozen=True):
    """What one step consumes: a message of another step, or something from outside."""

    sender: AgentId
    incarnation: Number
    number: Number
    """Place among all that `sender`'s incarnation sent to this agent, from 1."""
    payload: bytes
    lineage: Lineage
    producer: StepId | None = None
    index: Number = 0
    clock: dict[AgentId, tuple[Number, Number]] = {}
    time_us: Number = 0
    place: Number = 0
    """Place in the receiver's first order; an input that a rollback gives back keeps it."""
    attempt: Number = 1
    """How often the input was given back, plus one."""
    evidence: bytes = b""
    """What the rollback that asked for a retry or an amendment had to show."""
    epoch: Number = 0
    """The epoch of the step that sent it; of an external input that in which it was accepted (CP-1)."""
    era: Number = 0
    """How many restores that step had seen (CP-7)."""
    floor: Number = 0
    """The clock says nothing of steps of epochs before this one (CP-5)."""
    outside: bool = False
    """The sender's host was in no committed view yet: its cuts settle nothing (CP-3)."""

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


class Tolerated(NamedTuple):
    """A step read the sum at `key`, and hangs on its writers only together: beyond a limit (RB-11)."""

    key: str
    limit: int
    """How much of it may be retracted, and the step stays."""
    parts: tuple[tuple[StepId, int], ...]
    """Each writer, and what it had contributed without its sign, in the limit's unit."""

    def is_exceeded(self, is_gone: Callable[[StepId], bool]) -> bool:
        """Tell whether more than the limit is gone: absolute amounts, so the order of rollbacks makes no difference."""
        return sum(amount for writer, amount in self.parts if is_gone(writer)) > self.limit


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
    index: Number
    op: bytes
    clock: dict[AgentId, tuple[Number, Number]]
    time_us: Number
    epoch: Number = 0
    era: Number = 0
    floor: Number = 0
    outside: bool = False

    @property
    def space(self) -> str:
        """The space that the entry's key belongs to."""
        return space_of(self.key)


class Consumer(NamedTuple):
    """The step that consumed a message, at its receiver, and the epoch in which it ran.

    The epoch is -1 where the receiver's host is in no committed view yet; who hears that puts its own in its place.
    """

    incarnation: Number
    seq: Number
    epoch: Number = 0


class Hold(NamedTuple):
    """People who are to be asked before a request is let go, or whose answer is what it asks for (RQ-3)."""

    question: str
    stages: tuple[tuple[str, Number], ...] = ()
    """Who is asked, each with how long after the step from which on, in microseconds. Empty: anybody, at once."""
    default: str = ""
    """What counts if nobody has said anything by then: `approve`, `reject` or `answer`; empty: it waits on."""
    default_us: Number = 0
    """How long after the step that is."""
    value: bytes = b""
    """The answer, or why it is rejected, that the default gives."""


class Grouped(NamedTuple):
    """A group of agents whose requests in it are let go together, or none of them is (RQ-4)."""

    id: str
    """The step that made it, and a name: another run of that input makes another group."""
    members: tuple[AgentId, ...]
    deadline_us: Number = 0
    """How long a member that has heard of it takes to be ready, before it says no; 0: as long as that takes."""


class GroupVote(NamedTuple):
    """What one member of a group says, for good (RQ-4)."""

    agent: AgentId
    why: str = ""
    """Why none is let go; empty: what it has requested may go."""


class Request(NamedTuple):
    """A tool that is to be called for a step once that is durable, or settled; its answer is an input (RQ-1)."""

    tool: str
    kind: str
    args: bytes
    checks: bool
    """The tool can tell whether a call has happened."""
    key: str | None = None
    hold: Hold | None = None
    """Whom it waits for besides; or, without a tool, whose answer it is (RQ-3)."""
    group: Grouped | None = None
    """With whose requests it is let go, or not at all (RQ-4)."""


class OutputDraft(NamedTuple):
    """A message that a handler asked to send."""

    receiver: AgentId
    payload: bytes
    key: str | None = None
    after_us: Number | None = None
    """A timer: how long after the step the agent itself is to get it (TI-1)."""
    request: Request | None = None
    """With a timer: what it waits for besides, and what it is due with at the latest (RQ-1)."""


class Output(NamedTuple):
    """A message of a step, numbered for its receiver; a timer has the number 0, and no place in any order (TI-1)."""

    receiver: AgentId
    number: Number
    payload: bytes
    lineage: Lineage
    key: str | None = None


class VoidOut(NamedTuple):
    """Word to `receiver` that the lineage of an old output will not come again (EF-5)."""

    receiver: AgentId
    incarnation: Number
    number: Number
    lineage: Lineage
    ordered: bool


class RollbackDraft(Struct, frozen=True):
    """A rollback that a step asks for: proposed once the step is durable, and not undone with it."""

    roots: tuple[StepId, ...]
    inputs: str
    reason: str = ""
    evidence: bytes = b""
    amendments: tuple[Amendment, ...] = ()
    deadline_us: Number = 0
    then: str = ""
    """What its agent calls whatever is to hear how it has ended; empty: nothing is (RB-14)."""


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
    observed: tuple[str, ...] = ()
    """Keys that were read without depending on anybody (SH-4)."""
    tolerated: tuple[Tolerated, ...] = ()
    """Sums that were read with a tolerance (RB-11)."""
    model: str = ""
    """Which model made it, in the agent's words."""
    waits: bool = False
    """The error is none of the input's: it is tried again for as long as it takes (ST-8)."""
    read_only: bool = False
    """The handler could only read, so its record leaves out what (ST-7)."""
    cancels: tuple[str, ...] = ()
    """Keys of timers that are not to come any more (TI-2)."""
    rule: str = ""
    """The rule of the handler's policy that the error falls under: its failures are counted together. Without one the
    agent's bound counts; with one it is the policy that gives up, by `poison`."""
    backwards: bool = False
    """What earlier runs did and it does not do any more is undone in reverse causal order, as with discard (EF-6)."""
    again_us: Number | None = None
    """How long to wait until the input is tried again, as that policy says."""


class LogRecord(Struct, frozen=True, tag=True):
    """Something that the log keeps."""


class StepRecord(LogRecord, frozen=True, omit_defaults=True):
    """One step, whole; what it has not done takes no bytes."""

    step: StepId
    input: Input
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    entries: tuple[EntryDraft, ...]
    outputs: tuple[Output, ...]
    calls: tuple[str, ...]
    clock: dict[AgentId, tuple[Number, Number]]
    time_us: Number
    voids: tuple[VoidOut, ...] = ()
    confidence: float | None = None
    scores: dict[str, float] = {}
    epoch: Number = 0
    era: Number = 0
    floor: Number = 0
    outside: bool = False
    observed: tuple[str, ...] = ()
    """Keys whose values it saw and does not hang on: whoever wrote them may be undone, and this step stays (SH-4)."""
    tolerated: tuple[Tolerated, ...] = ()
    """Sums of which no more than a limit may be undone while this step stays (RB-11)."""
    model: str = ""
    """Which model made it, in the agent's words; empty if it did not say."""
    read_only: bool = False
    """Its handler could only read: what it read is left out, since nothing can hang on this step (ST-7)."""
    unplaced: tuple[AgentId, ...] = ()
    """Those of its receivers that nobody had heard of: what it said to them has not left (CL-7)."""
    due_us: tuple[Number, ...] = ()
    """When its timers are due: one for each output whose number is 0, in order (TI-1)."""
    cancelled: tuple[MessageId, ...] = ()
    """Timers of earlier steps that it has called off, or has set anew (TI-2)."""
    requests: tuple[tuple[Number, Request], ...] = ()
    """What it has requested: the place of each among the outputs, which is that of a timer, and what (RQ-1)."""


def message_of(record: StepRecord, index: int) -> Input:
    """Return an output of a step as its receiver's input."""
    output, step = record.outputs[index], record.step
    return Input(
        sender=step.agent,
        incarnation=step.incarnation,
        number=output.number,
        payload=output.payload,
        lineage=output.lineage,
        producer=step,
        index=index,
        clock=record.clock,
        time_us=record.time_us,
        epoch=record.epoch,
        era=record.era,
        floor=record.floor,
        outside=record.outside,
    )


def timers_of(record: StepRecord) -> list[tuple[int, int]]:
    """Return a step's timers: of each its place among the outputs, and when it is due."""
    places = [index for index, output in enumerate(record.outputs) if output.number == 0]
    return list(zip(places, record.due_us, strict=True))


def entries_of(record: StepRecord) -> tuple[Entry, ...]:
    """Return a step's shared entries."""
    return tuple(
        Entry(
            key=draft.key,
            writer=record.step,
            index=STEP_INDEX_ENTRIES + at,
            op=draft.op,
            clock=record.clock,
            time_us=record.time_us,
            epoch=record.epoch,
            era=record.era,
            floor=record.floor,
            outside=record.outside,
        )
        for at, draft in enumerate(record.entries)
    )


OUTSIDE = "!outside:"
"""Begins the names of spaces whose entries say what tools have written outside (SH-5)."""


def space_key(space: str, key: str) -> str:
    """Return the key under which steps read and write `key` of `space`."""
    return f"space:{space}/{key}"


def space_of(key: str) -> str:
    """Return the space of a shared key made by `space_key`."""
    return key[6:].split("/", 1)[0]
