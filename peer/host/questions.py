"""What anybody in a cluster can ask of an agent's host, and the form of each answer.

A question is asked again until it is answered, so it may be asked twice. `peer.host.answers` answers.
"""

from typing import Any

import msgspec
from msgspec import Struct

from peer import errors
from peer.values.texts import as_plain
from protocol.errors import UNREADABLE
from protocol.ids import AgentId, Lineage, MessageId, Number, ProposalId, StepId
from protocol.proposal import Amendment, ConeStep, Proposal, Restore, Vote
from protocol.records import Cut, OutcomeRecord
from protocol.step import Grouped, Hold, Input, StepRecord
from protocol.wire import Answer


class Submit(Struct, frozen=True, array_like=True):
    """Inputs from outside, numbered by their source."""

    source: str
    first: Number
    payloads: tuple[bytes, ...]


class Propose(Struct, frozen=True, array_like=True):
    """A rollback that somebody wants."""

    roots: tuple[StepId, ...]
    inputs: str
    reason: str
    evidence: bytes
    amendments: tuple[Amendment, ...]
    deadline_us: Number


class Part(Struct, frozen=True, array_like=True):
    """Which of the agent's steps hang on these roots and messages?"""

    roots: tuple[StepId, ...]
    credits: tuple[MessageId, ...]


class CallAnswer(Struct, frozen=True, array_like=True):
    """An effect that stands, and what undoing it means."""

    intent: str
    step: StepId
    time_us: Number
    """When its step ran; in the order of causes."""
    tool: str
    state: str
    kind: str
    """Of the tool, as its agent's code has it now; `unknown` if it has not."""
    undo: str
    """As `peer.agents.tool.Tool.undoing` says it."""


class PartAnswer(Struct, frozen=True, array_like=True):
    """The agent's part of a cone, with what it sent, and the effects that stand."""

    unknown: tuple[StepId, ...]
    cone: tuple[ConeStep, ...]
    effects: tuple[str, ...]
    retracted: tuple[StepId, ...]
    calls: tuple[CallAnswer, ...] = ()
    """Of the effects, in the order in which they came to their end."""


class EffectAnswer(Struct, frozen=True, array_like=True):
    """A tool's call, and what has become of it; see `protocol.agent.looking.EffectSeen`."""

    intent: str
    tool: str
    args: bytes
    state: str
    steps: tuple[StepId, ...]
    pending: bool
    tries: Number
    why: str
    again_us: Number


class LetterAnswer(Struct, frozen=True, array_like=True):
    """A dead letter."""

    input: Input
    why: str
    time_us: Number = 0
    """When it became one; 0: the log does not say."""
    to: AgentId = ""
    """The name that nobody has, if that is why."""


class LetterAsk(Struct, frozen=True, array_like=True):
    """What somebody wants of a dead letter: see `protocol.event.LetterAsked`."""

    lineage: str
    verb: str


class CallOff(Struct, frozen=True, array_like=True):
    """An input that somebody does not want handled: see `protocol.event.CallOffAsked`."""

    name: str
    why: str = ""
    by: str = ""


class RequestAnswer(Struct, frozen=True, array_like=True):
    """A request that was not let go yet."""

    name: Lineage
    step: StepId
    tool: str
    kind: str
    args: bytes
    since_us: Number
    until_us: Number
    """When it is given up; 0: never."""
    hold: Hold | None = None
    approved: str | None = None
    group: Grouped | None = None
    undo: str = ""
    """What undoing it would mean, as `peer.agents.tool.Tool.undoing` says it."""


class Say(Struct, frozen=True, array_like=True):
    """What somebody says of a request: see `protocol.event.ReleaseAsked`."""

    verb: str
    name: Lineage
    step: str
    """The step that has requested it, as whoever says so has seen it; empty: whichever."""
    note: str
    by: str
    """Who says so; of no account where it is signed."""
    value: bytes = b""
    """The answer to a question."""
    proof: bytes = b""
    """What that person has signed: see `peer.people.person`."""


class SagaAnswer(Struct, frozen=True, array_like=True):
    """A saga that an agent has begun; see `peer.agents.saga.Kept`."""

    name: str
    status: str
    root: str
    parent: str
    why: str
    by: str
    evidence: tuple[tuple[str, bool, str], ...]


class Pause(Struct, frozen=True, array_like=True):
    """Somebody pauses an agent, or lets it go on: see `protocol.event.PauseAsked`."""

    is_on: bool
    note: str
    by: str
    proof: bytes = b""


class Withhold(Struct, frozen=True, array_like=True):
    """Somebody keeps what an agent requests from being let go: see `protocol.event.HoldAsked`."""

    by: str
    is_on: bool | None
    """None: nothing changes; the answer is whether that one holds it."""
    note: str


class SetTier(Struct, frozen=True, array_like=True):
    """Somebody sets an agent's tier: see `protocol.event.TierAsked`."""

    tier: str
    note: str
    by: str
    proof: bytes = b""


class TiersAnswer(Struct, frozen=True, array_like=True):
    """The tiers that an agent's class declares, and which of them holds."""

    tiers: tuple[str, ...]
    tier: str
    """Empty, if there is none. One that is not among `tiers` is no longer declared: the strictest of all holds."""
    by: str
    """Who has set it; empty, if it is the one that agents of this class begin with."""
    note: str
    at_us: Number
    """When, in microseconds since 1970; 0, if nobody has."""


class EffectAsk(Struct, frozen=True, array_like=True):
    """What somebody wants of an effect: see `protocol.event.EffectAsked`."""

    intent: str
    verb: str
    happened: bool = False
    note: str = ""
    by: str = ""


class HeldAnswer(Struct, frozen=True, array_like=True):
    """What has become of the input of a step; see `protocol.agent.looking.HeldSeen`."""

    where: str
    step: StepId | None
    payload: bytes
    why: str
    lineage: str = ""


class Status(Struct, frozen=True):
    """One agent at a glance; counts are since its first life, except messages (since this one)."""

    agent: AgentId
    host: str
    incarnation: Number
    steps: Number
    undone: Number
    under_way: tuple[str, ...]
    dead_letters: Number
    clock_entries: Number
    """Entries of the last step's clock."""
    epoch: Number
    """The colour: how many cuts it has made."""
    committed: Number
    """The newest committed epoch that settles its steps; 0 before any."""
    era: Number
    """How many restores it has carried out."""
    steps_kept: Number
    """Steps in memory: those behind the horizon are compacted."""
    activity: Number
    """Grows with everything that happens here."""
    serves: dict[str, tuple[Number, Number]]
    """By space: the life of this agent's document, and how many entries it has had."""
    has: dict[str, dict[AgentId, tuple[Number, Number]]]
    """By space and author: the same, as far as it has arrived here."""
    effects_pending: tuple[str, ...] = ()
    """Intents of effects that are to be undone, and are not yet: see `Cluster.effects`."""
    unplaced: tuple[AgentId, ...] = ()
    """Names that it has sent to, and that no agent is known to have."""
    timers: Number = 0
    """How many timers are set: an agent that is idle may have some."""
    next_timer_us: Number | None = None
    """When the next of them is due."""
    paused: str = ""
    """By whom it is paused, and why; empty: it is not."""
    is_made: bool = False
    """A handler has made it."""
    absence: str = ""
    """Why it handles nothing: `retired`; `not made`, if its making is undone; empty if it does."""
    tier: str = ""
    """How far it is trusted, by the name of the tier; empty, if its class declares none."""


class Profile(Struct, frozen=True, array_like=True):
    """What an agent is: for whoever wants to write to it, and has not launched it."""

    kind: str
    """Its class, as `module:qualname`."""
    messages: tuple[str, ...]
    """The names of the classes of messages that it handles, in order."""
    options: bytes = b""
    """What its class was given, encoded; empty if that can't be."""


class StepsAsk(Struct, frozen=True, array_like=True):
    """Which of an agent's steps somebody wants, after one that is known."""

    after: StepId | None = None
    handled: str = ""
    """Only those that handled a message of this class; empty: of any."""
    undone: bool | None = None
    """Only those that are undone, or only those that are not; None: both."""
    confidence_below: float | None = None
    """Only those that reported less."""


class StepsAnswer(Struct, frozen=True, array_like=True):
    """A page of an agent's steps, who undid them, and the state of their effects."""

    records: tuple[StepRecord, ...]
    retracted_by: tuple[str, ...]
    effects: dict[str, tuple[str, str, str]]
    """By intent: tool, kind, state."""
    next: StepId | None = None
    """The last one that was looked at: where to go on; None, if there are no more."""


class Ballots(Struct, frozen=True, array_like=True):
    """What an agent knows of rollbacks: as participant, and as proposer."""

    votes: tuple[tuple[Proposal, Vote], ...]
    decided: tuple[tuple[ProposalId, str, Number, tuple[AgentId, ...], tuple[tuple[AgentId, str], ...]], ...]
    outcomes: tuple[OutcomeRecord, ...]


class Notice(Struct, frozen=True, array_like=True):
    """A line of the audit log."""

    time_us: Number
    agent: AgentId
    notice: str
    subject: str
    detail: str


class RestoreTo(Struct, frozen=True, array_like=True):
    """Everything shall go back to the cut of an epoch; asked again under the same id, it is done once."""

    id: str
    epoch: Number
    inputs: str
    reason: str
    deadline_us: Number


class EpochsAnswer(Struct, frozen=True, array_like=True):
    """What a host knows of checkpoints and restores."""

    epoch: Number
    """The newest checkpoint that it has begun: the number of its last cut."""
    committed: Number
    """The newest checkpoint that every host has made."""
    horizon: Number
    """The oldest one that can still be restored; steps before it are compacted."""
    view: tuple[str, ...]
    """The hosts that took part in the committed one."""
    restores: tuple[Restore, ...]
    cost_us: Number
    """How long the last cut of this host took to be durable."""
    under_way: tuple[str, ...]


class CutsAnswer(Struct, frozen=True, array_like=True):
    """An agent's cuts that the horizon has not passed, and the restores that it has carried out, each with its time."""

    last: tuple[Number, Number]
    """Incarnation and seq of its last step, now."""
    cuts: tuple[Cut, ...]
    committed: Number
    """The newest committed epoch that settles its steps; 0 before any."""
    committed_us: dict[Number, Number]
    """By epoch, when its commit was heard of here; those of earlier lives are not remembered."""
    restores: tuple[tuple[Restore, Number], ...]


class Costs(Struct, frozen=True, array_like=True):
    """What a host has sent for each rollback in this life, and in all."""

    rollbacks: dict[ProposalId, tuple[Number, Number]]
    messages: dict[str, Number]
    frames: Number
    frame_bytes: Number
    refused: Number


def encode(value: Any) -> bytes:
    """Encode a question or an answer."""
    return msgspec.msgpack.encode(value, enc_hook=as_plain)


def decode(data: bytes, kind: Any) -> Any:
    """Decode a question or an answer.

    Raises: PayloadInvalid.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNREADABLE as error:
        raise errors.PayloadInvalid(f"not a {kind}: {error}") from error


def unwrap(answer: Answer) -> bytes:
    """Return an answer's body.

    Raises: the error that the host has told.
    """
    if not answer.error:
        return answer.body
    raise failure(answer.error, answer.body)


def failure(kind: str, text: bytes) -> errors.EbbtideError:
    """Return the error that a host has told, by its kind and its text."""
    return errors.named(kind)(text.decode(errors="replace"))


def silent(agent: AgentId, what: str, waited_s: float) -> errors.AskTimeout:
    """Return what is to be said of an agent whose host has not answered."""
    return errors.AskTimeout(f"the host of {agent} did not answer {what!r} within {waited_s:g} s; it may be down")
