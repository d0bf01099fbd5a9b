"""Bytes between hosts and bytes in logs: a version byte, MessagePack, and hard limits (CL-6, CL-8)."""

from typing import TypeVar

from msgspec import Struct, msgpack
from msgspec.structs import replace

from protocol.checkpoints.copy import CopyMessage
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import (
    Accept,
    Accepted,
    Agreed,
    Begin,
    CheckpointMessage,
    CheckpointRecord,
    Lacks,
    Prepare,
    Promise,
    Refusal,
    Succeeded,
)
from protocol.checkpoints.tally import Tally
from protocol.checkpoints.witness import Head
from protocol.errors import UNREADABLE, VersionUnspoken, WireInvalid
from protocol.fact import Claim, Fact, HostFact, Standing, State, Suspicion
from protocol.hosts.messages import Compare, Probe
from protocol.ids import AgentId, Number
from protocol.limits import (
    CLOCK_ENTRIES_MAX,
    COMPARED_MAX,
    ENVELOPES_MAX,
    FACTS_MAX,
    FRAME_BYTES_MAX,
    GROUP_MEMBERS_MAX,
    MEMBERS_MAX,
    NUMBER_MAX,
    PROBES_MAX,
    STEP_BYTES_MAX,
    VOTE_STEPS_MAX,
)  # fmt: skip
from protocol.message import Ballot, Data, GroupVotes, Message, Propose
from protocol.proposal import INPUTS, Proposal, Restore
from protocol.records import Record
from protocol.since import FIRST, OLDEST, VERSION, is_read, newer_than, since
from protocol.step import StepDraft

T = TypeVar("T")


class Envelope(Struct, frozen=True, array_like=True):
    """A message between two agents."""

    sender: AgentId
    receiver: AgentId
    message: Message


class Ask(Struct, frozen=True, array_like=True):
    """A question to an agent's host, from whoever is in the cluster; asked again until answered."""

    number: Number
    agent: AgentId
    what: str
    body: bytes


class Answer(Struct, frozen=True, array_like=True):
    """What a host has to say to an `Ask`; `error` names the kind of failure, and `body` is its text."""

    number: Number
    body: bytes
    error: str = ""


class Piece(Struct, frozen=True, array_like=True):
    """A part of a frame that is too large for one: with all its parts it is a frame like any other."""

    number: Number
    """Which frame of its sender's, from a number that no two have."""
    at: Number
    """Which part, from 0."""
    count: Number
    """How many parts there are."""
    data: bytes


class Frame(Struct, frozen=True, array_like=True):
    """What one host sends another at a time."""

    envelopes: tuple[Envelope, ...] = ()
    facts: tuple[Fact, ...] = ()
    compare: Compare | None = None
    asks: tuple[Ask, ...] = ()
    answers: tuple[Answer, ...] = ()
    probes: tuple[Probe, ...] = ()
    checkpoints: tuple[CheckpointMessage, ...] = ()
    copies: tuple[CopyMessage, ...] = ()
    heads: tuple[Head, ...] = ()
    epoch: Number = -1
    """The sender's colour: its receiver cuts before it handles anything here (CP-1). -1: it has no part in epochs."""
    era: Number = 0
    """How many restores the sender has carried out (CP-7)."""
    piece: Piece | None = None
    """Nothing else is in a frame that has one."""
    speaks: Number = FIRST
    """The newest version that the sender speaks, whichever this frame is in (CL-8)."""


_encoder = msgpack.Encoder()
_frames = msgpack.Decoder(Frame)
_records = msgpack.Decoder(Record)
_drafts = msgpack.Decoder(StepDraft)
_host_records = msgpack.Decoder(CheckpointRecord)


def encode_frame(frame: Frame, version: int = VERSION) -> bytes:
    """Encode a frame for the transport, in a version in which `understood` has left nothing newer."""
    return bytes((version,)) + _encoder.encode(frame)


def understood(frame: Frame, version: int) -> tuple[Frame, list[str]]:
    """Return what a host that speaks no more than a version understands of a frame, and the kinds that are left out.

    One kind that it does not know would have it refuse the whole frame. Fields that it does not know it passes over.
    """
    newer = newer_than(version)
    if not newer:
        return frame, []
    left: list[str] = []

    def known(things: tuple[T, ...]) -> tuple[T, ...]:
        kept: list[T] = []
        for each in things:
            kind = type(each.message if isinstance(each, Envelope) else each).__name__
            if kind in newer:
                left.append(kind)
            else:
                kept.append(each)
        return tuple(kept)

    compare = frame.compare
    if compare is not None and compare.facts:
        compare = replace(compare, facts=known(compare.facts))
    fitting = replace(
        frame, envelopes=known(frame.envelopes), facts=known(frame.facts), compare=compare,
        probes=known(frame.probes), checkpoints=known(frame.checkpoints), copies=known(frame.copies),
    )  # fmt: skip
    return fitting, left


def is_empty(frame: Frame) -> bool:
    """Tell whether nothing is in a frame but what stands in every one."""
    return not (
        frame.envelopes or frame.facts or frame.asks or frame.answers or frame.probes or frame.checkpoints
        or frame.copies or frame.heads or frame.compare or frame.piece
    )  # fmt: skip


def decode_frame(data: bytes, most: int = FRAME_BYTES_MAX, newest: int = VERSION) -> Frame:
    """Decode a frame from another host.

    Args:
        data: as `encode_frame` makes it.
        most: its bytes; more for one that has come in pieces.
        newest: the newest version that this host speaks.

    Raises: WireInvalid, saying what is wrong with it; nothing of it is taken in. VersionUnspoken, for a version that
        this host does not read: nothing else can be said of it.
    """
    if len(data) > most:
        raise WireInvalid(f"a frame of {len(data)} bytes; at most {most} are read")
    if not data:
        raise WireInvalid("a frame of no bytes")
    if not is_read(data[0], newest):
        raise VersionUnspoken(f"wire version {data[0]}; this host reads {OLDEST} to {newest}", data[0])
    try:
        frame = _frames.decode(memoryview(data)[1:])
    except UNREADABLE as error:
        raise WireInvalid(f"not a frame: {error}") from error
    if len(frame.envelopes) > ENVELOPES_MAX:
        raise WireInvalid(f"{len(frame.envelopes)} messages in a frame; at most {ENVELOPES_MAX} are read")
    for envelope in frame.envelopes:
        _check_message(envelope.message)
    _check_gossip(frame)
    _check_epochs(frame)
    for message in frame.checkpoints:
        named = len(message.joined) if isinstance(message, Tally) else 0
        named += len(message.view) if isinstance(message, Commit) else 0
        if named > MEMBERS_MAX:
            raise WireInvalid(f"a view of {named} hosts; at most {MEMBERS_MAX} are read")
    return frame


def _check_epochs(frame: Frame) -> None:
    """Hosts count on from what they are told: it has to leave room for that in their own frames and logs."""
    numbers = [frame.epoch, frame.era]
    for message in frame.checkpoints:
        match message:
            case Tally():
                numbers += (message.base, message.top, message.undecided)
                if message.restore is not None:
                    numbers += _numbers_of(message.restore)
            case Commit():
                numbers += (message.epoch, message.horizon)
            case Agreed():
                numbers += [number for restore in message.restores for number in _numbers_of(restore)]
            case Lacks():
                numbers += (message.committed, message.era, message.base)
            case Begin():
                numbers.append(message.epoch)
            case Succeeded():
                pass
            case Refusal():
                numbers.append(message.promised[0])
            case Promise():
                numbers += (message.ballot[0], message.accepted[0])
            case Prepare() | Accept() | Accepted():
                numbers.append(message.ballot[0])
    if min(numbers) < -1 or max(numbers) > NUMBER_MAX:
        raise WireInvalid(f"{max(numbers, key=abs)} as an epoch, era or round; at most {NUMBER_MAX} are read")


def _numbers_of(restore: Restore) -> tuple[int, ...]:
    return restore.number, restore.epoch, restore.base, restore.top


def _check_message(message: Message) -> None:
    match message:
        case Data():
            if len(message.input.clock) > CLOCK_ENTRIES_MAX:
                raise WireInvalid(
                    f"a clock of {len(message.input.clock)} entries; at most {CLOCK_ENTRIES_MAX} are read"
                )
            if min(message.input.epoch, message.input.era, message.input.floor) < 0:
                raise WireInvalid("a message of an epoch, an era or a floor below 0")
        case Propose():
            _check_proposal(message.proposal)
        case Ballot():
            _check_proposal(message.proposal)
            if _steps_in(message) > VOTE_STEPS_MAX:
                raise WireInvalid(f"votes on more than {VOTE_STEPS_MAX} steps in one message")
        case GroupVotes():
            if max(len(message.group.members), len(message.votes)) > GROUP_MEMBERS_MAX:
                raise WireInvalid(f"a group of more than {GROUP_MEMBERS_MAX} members")
        case _:
            pass


def _check_proposal(proposal: Proposal) -> None:
    # RB-1: whoever proposes has checked as much.
    if not proposal.roots or proposal.inputs not in INPUTS:
        raise WireInvalid(f"a rollback of {len(proposal.roots)} steps, with inputs of {proposal.inputs!r}")
    if proposal.inputs == "amend" and not {*proposal.roots} <= {each.root for each in proposal.amendments}:
        raise WireInvalid("a rollback that amends, and leaves out what")


def _steps_in(ballot: Ballot) -> int:
    return sum(len(vote.cone) for vote in ballot.votes) + len(ballot.suspects) + len(ballot.found)


def _check_gossip(frame: Frame) -> None:
    facts = frame.facts
    if len(frame.probes) > PROBES_MAX:
        raise WireInvalid(f"{len(frame.probes)} probes in a frame; at most {PROBES_MAX} are read")
    if frame.compare is not None:
        found = frame.compare
        facts = (*facts, *found.facts)
        size = len(found.sums) + len(found.wants) + sum(1 + len(items) for _, items in found.lists)
        if size > COMPARED_MAX:
            raise WireInvalid(f"a comparison of {size} hashes; at most {COMPARED_MAX} are read")
    if len(facts) > FACTS_MAX:
        raise WireInvalid(f"{len(facts)} facts in a frame; at most {FACTS_MAX} are read")
    for fact in facts:
        match fact:
            case HostFact():
                number = fact.version
            case Standing() | Suspicion():
                number = fact.incarnation
            case Claim():
                number = fact.term
            case _:
                continue
        if not 0 <= number <= NUMBER_MAX:
            raise WireInvalid(f"{number} as a version, incarnation or term; 0 to {NUMBER_MAX} are read")
        if isinstance(fact, Standing) and fact.state == State.SUSPECT:
            raise WireInvalid("a doubt stated as a fact")


def encode_message(message: Message) -> bytes:
    """Encode one message, as it would stand in a frame."""
    return _encoder.encode(message)


def encode_record(record: Record) -> bytes:
    """Encode a record for the log, and check that it can be read again.

    CL-8: its version is that of its kind, so whoever knows all kinds in a log reads it, an older release too.

    Raises: WireInvalid, if it could not: nothing of it may be written.
    """
    try:
        data = _encoder.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireInvalid(f"a {type(record).__name__} that can't be written: {error}") from error
    data = bytes((since(type(record)),)) + data
    decode_record(data)
    return data


def check_draft(draft: StepDraft) -> None:
    """Check that a step can be written, and read again, before it is one.

    Raises: WireInvalid, naming the field.
    """
    try:
        encoded = _encoder.encode(draft)
        _drafts.decode(encoded)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireInvalid(f"this step can't be logged: {error}. Nothing changed.") from error
    if len(encoded) > STEP_BYTES_MAX:
        raise WireInvalid(
            f"this step writes and sends {len(encoded) >> 20} MB, more than {STEP_BYTES_MAX >> 20}. Nothing changed."
            " Keep large values as bulky keys, or do it in several steps."
        )


def decode_record(data: bytes) -> Record:
    """Decode a record of an agent's log.

    Raises: WireInvalid, if it is not a record of this version or an older one.
    """
    return _decoded(data, _records)


def encode_host_record(record: CheckpointRecord) -> bytes:
    """Encode a record for a host's own log; its version is that of its kind, as in `encode_record`."""
    return bytes((since(type(record)),)) + _encoder.encode(record)


def decode_host_record(data: bytes) -> CheckpointRecord:
    """Decode a record of a host's own log.

    Raises: WireInvalid, if it is not a record of this version or an older one.
    """
    return _decoded(data, _host_records)


def _decoded(data: bytes, decoder: "msgpack.Decoder[T]") -> T:
    # CL-8: what a log holds is read for good, whatever is still spoken.
    if not data or not FIRST <= data[0] <= VERSION:
        raise WireInvalid(
            f"log version {data[:1].hex() or 'none'}; this release reads {FIRST:02x} to {VERSION:02x}."
            " Nothing was changed. It takes the release that has written it, or a newer one."
        )
    try:
        return decoder.decode(memoryview(data)[1:])
    except UNREADABLE as error:
        raise WireInvalid(f"not a record: {error}") from error
