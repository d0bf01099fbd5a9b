"""What to do. What comes of it returns as an event."""

from msgspec import Struct

from protocol.fact import Began, Fact
from protocol.ids import AgentId, StepId
from protocol.message import Message
from protocol.proposal import Proposal
from protocol.records import OutcomeRecord, Record
from protocol.step import Entry, Input


class _Action(Struct, frozen=True, tag=True):
    """Something to do."""


class RunStep(_Action, frozen=True):
    """Run the handler for `input`; answer with `StepRan(run, ...)`."""

    run: int
    step: StepId
    input: Input
    failed: dict[str, int] = {}
    """How often it was tried in vain in this life of the agent, by the rule of `StepDraft.rule`."""


class CutOff(_Action, frozen=True):
    """Stop the handler of a run, whose input is given up; answer with `StepRan(run, ...)` once nothing of it runs."""

    run: int
    why: str


class Append(_Action, frozen=True):
    """Make records durable, in order; answer with `Appended(ticket)`."""

    ticket: int
    records: tuple[Record, ...]
    anchor: bool = False
    """Reading may begin with these: they stand for everything before them (CP-6)."""
    is_fact: bool = False
    """They are to be with the host's backups too, with everything before them (CP-8)."""


class Send(_Action, frozen=True):
    """Say something to a peer; a step's output only ever after it is durable."""

    receiver: AgentId
    message: Message


class Publish(_Action, frozen=True):
    """Let everybody know a fact."""

    fact: Fact


class Share(_Action, frozen=True):
    """Put entries of this agent, durable now, into its shared documents."""

    entries: tuple[Entry, ...]


class Withdraw(_Action, frozen=True):
    """Take the entries of undone steps out of this agent's documents: a later subscriber never sees them."""

    steps: tuple[StepId, ...]


class Admit(_Action, frozen=True):
    """Send `subscriber` this agent's entries in `space`, now and from now on."""

    space: str
    subscriber: AgentId


class UseTool(_Action, frozen=True):
    """Call, undo or check; answer with `ToolUsed`."""

    intent: str
    tool: str
    verb: str
    args: bytes
    result: bytes


class Resume(_Action, frozen=True):
    """Give an awaiting handler its tool's answer: `done`, `failed` or `doubt`."""

    run: int
    answer: str
    result: bytes
    call: int = 0
    """Which of the run's calls this answers."""


class Consult(_Action, frozen=True):
    """Ask the agent whether it agrees to undo its part; answer with `Consulted`."""

    proposal: Proposal
    part: tuple[StepId, ...]


class CutReady(_Action, frozen=True):
    """The agent's cut is durable."""

    epoch: int
    undecided: int
    """The oldest epoch that an undecided proposal here needs; `epoch` without one."""
    begun: tuple[Began, ...]
    """Every beginning of this agent after a loss."""


class Reply(_Action, frozen=True):
    """Answer a request from outside; an empty error means that it was done."""

    request: int
    value: str
    error: str = ""
    kind: str = ""
    """What kind of error, where the asker has to tell it from others: one of the names below."""


OUT_OF_ORDER = "InputsOutOfOrder"
"""Inputs before these have not come here."""
INPUT_DIFFERS = "InputsDiffer"
"""Another input was taken on under this number."""
MAILBOX_FULL = "MailboxFull"
"""As many inputs wait as may."""
INPUT_HANDLED = "InputHandled"
"""An input has become a step."""
INPUT_UNKNOWN = "InputUnknown"
"""No such input is here to be handled."""


class Tell(_Action, frozen=True):
    """Something worth a line in the audit log, or a person's eye."""

    notice: str
    subject: str
    detail: str = ""


class Accuse(_Action, frozen=True):
    """An agent has said of this one, in a rollback, what can't be (RB-15): whoever it lives on has lied, or let it."""

    agent: AgentId
    what: str


class Finish(_Action, frozen=True):
    """A proposal of this agent is over: every elector has decided."""

    outcome: OutcomeRecord


class Seek(_Action, frozen=True):
    """What is said to a name that nobody has heard of is durable, and waits: an agent may have to be made (NA-1)."""

    name: AgentId


Action = (
    Send
    | Append
    | RunStep
    | CutOff
    | Share
    | Resume
    | UseTool
    | Consult
    | Reply
    | Tell
    | Accuse
    | Publish
    | Admit
    | Finish
    | Withdraw
    | CutReady
    | Seek
)
