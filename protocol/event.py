"""What has happened. Nothing else enters a machine."""

from msgspec import Struct

from protocol.fact import Began, Fact
from protocol.ids import AgentId, Lineage, ProposalId, StepId
from protocol.message import Message
from protocol.proposal import Amendment, Finding, Restore
from protocol.records import Record
from protocol.step import Entry, StepDraft


class _Event(Struct, frozen=True, tag=True):
    """Something that has happened."""


class Recovered(_Event, frozen=True):
    """The agent's log, oldest first: the first event of a life."""

    records: tuple[Record, ...]
    lost: bool = False
    """The end of the log is gone: begin a new incarnation and retract what is not known (FR-1)."""
    incarnation: int = 1
    """With `lost`: the newest incarnation of this agent that anybody knows of."""
    unheard: int = 0
    """With `lost`: how many lives after those in the log may have been begun, though nobody may have heard of them."""


class Received(_Event, frozen=True):
    """A peer said something."""

    sender: AgentId
    message: Message


class Learned(_Event, frozen=True):
    """A fact has arrived, its signature checked."""

    fact: Fact


class Reached(_Event, frozen=True):
    """An agent is at an address again, or for the first time."""

    agent: AgentId


class ToolWanted(_Event, frozen=True):
    """A handler awaits a tool."""

    run: int
    tool: str
    kind: str
    """`compensable`, `idempotent` or `pure`."""
    args: bytes
    key: str | None
    checks: bool
    """The tool can tell whether a call has happened."""
    call: int = 0
    """Which of the run's calls this is: a handler may await several at once, and each is answered by itself."""
    was_requested: bool = False
    """It was requested by an earlier step, whose answer this run handles: what came of it is wanted (RQ-1)."""


class ToolUsed(_Event, frozen=True):
    """A tool has answered: a call, an undo or a check."""

    intent: str
    verb: str
    answer: str
    """`done`; or `failed` (it did not happen); or `unknown`. Of a check: `yes`, `no` or `unknown`."""
    result: bytes = b""


class EffectAsked(_Event, frozen=True):
    """Somebody wants an undo tried now, or says what has become of an effect."""

    request: int
    intent: str
    verb: str
    """`retry`, `settle` or `counter`."""
    happened: bool = False
    """To settle: whether the effect stands in the world."""
    note: str = ""
    by: str = ""
    """Who says so."""


class ReleaseAsked(_Event, frozen=True):
    """Somebody lets a request go that nobody can undo, before its step is settled (RQ-2); or answers one (RQ-3)."""

    request: int
    request_of: Lineage
    note: str = ""
    by: str = ""
    """Who says so."""
    verb: str = "release"
    """`release`; or `approve`, `reject`, `answer`, of a request that waits for people."""
    value: bytes = b""
    """The answer, or what whoever has asked is told of a rejection."""
    proof: bytes = b""
    """What that person has signed."""


class LetterAsked(_Event, frozen=True):
    """Somebody wants a dead letter handled after all, or dropped."""

    request: int
    lineage: Lineage
    verb: str
    """`redrive` or `discard`."""


class CallOffAsked(_Event, frozen=True):
    """Somebody wants an input not to be handled, which may wait or run."""

    request: int
    name: str
    """Its lineage, or `str` of it."""
    why: str = ""
    by: str = ""
    """Who says so."""


class HoldAsked(_Event, frozen=True):
    """Somebody keeps what the agent requests from being let go, or does so no more (RQ-5)."""

    request: int
    by: str
    is_on: bool
    note: str


class PauseAsked(_Event, frozen=True):
    """Somebody pauses the agent, or lets it go on (ST-14)."""

    request: int
    is_on: bool
    note: str = ""
    by: str = ""
    """Who says so."""
    proof: bytes = b""
    """What that person has signed."""


class TierAsked(_Event, frozen=True):
    """Somebody sets the agent's tier (ST-15)."""

    request: int
    tier: str
    note: str = ""
    by: str = ""
    """Who says so."""
    proof: bytes = b""
    """What that person has signed."""


class StepRan(_Event, frozen=True):
    """A handler has returned, or raised."""

    run: int
    draft: StepDraft


class Appended(_Event, frozen=True):
    """Records are durable."""

    ticket: int


class Consulted(_Event, frozen=True):
    """The agent has said whether it still stands behind undoing its part."""

    proposal: ProposalId
    accepts: bool
    why: str = ""
    findings: tuple[Finding, ...] = ()
    """What it has looked at."""
    looked_back: bool = False
    """It was shown its state right before the oldest step of the part that it was asked about (RB-12)."""
    overseen: bool = False
    """People may have to agree to the part, and were asked about the one that it was then (RB-13)."""


class Merged(_Event, frozen=True):
    """Shared entries of others have arrived."""

    entries: tuple[Entry, ...]


class SubscriberSeen(_Event, frozen=True):
    """An agent asks for this one's entries in a space."""

    space: str
    subscriber: AgentId


class Submitted(_Event, frozen=True):
    """Somebody outside hands in inputs, numbered by their source from `first` on."""

    request: int
    source: str
    first: int
    payloads: tuple[bytes, ...]


class ProposeWanted(_Event, frozen=True):
    """An operator, a detector or an agent asks for a rollback."""

    request: int
    roots: tuple[StepId, ...]
    inputs: str
    reason: str = ""
    evidence: bytes = b""
    amendments: tuple[Amendment, ...] = ()
    deadline_us: int = 0


class CutWanted(_Event, frozen=True):
    """The host makes a cut for all its agents at once; answer with `CutReady`."""

    epoch: int


class Settled(_Event, frozen=True):
    """An epoch is committed, with this host in its view."""

    epoch: int
    begun: tuple[Began, ...]
    """Every beginning after a loss that the cuts name."""
    horizon: int
    """Steps of epochs before this one are final."""


class RestorePending(_Event, frozen=True):
    """The host has voted on a restore, which is not decided yet (or has been, if not `pending`)."""

    pending: bool


class LogStalled(_Event, frozen=True):
    """The host's disk is full (or has room again, if not `pending`): nothing becomes durable meanwhile (ST-9)."""

    pending: bool


class RestoreDecided(_Event, frozen=True):
    """A restore is agreed on: carry it out."""

    restore: Restore


class Elapsed(_Event, frozen=True):
    """The machine's deadline has come."""


Event = (
    Received
    | Appended
    | StepRan
    | ToolWanted
    | ToolUsed
    | EffectAsked
    | ReleaseAsked
    | LetterAsked
    | CallOffAsked
    | PauseAsked
    | HoldAsked
    | TierAsked
    | Merged
    | Elapsed
    | Consulted
    | SubscriberSeen
    | Submitted
    | ProposeWanted
    | Reached
    | Learned
    | CutWanted
    | Settled
    | RestorePending
    | LogStalled
    | RestoreDecided
    | Recovered
)
