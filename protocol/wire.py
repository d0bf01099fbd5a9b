"""Bytes between hosts and bytes in logs: a version byte, MessagePack, and hard limits (CL-6)."""

import msgspec
from msgspec import Struct, msgpack

from protocol.errors import WireInvalid
from protocol.fact import Fact
from protocol.ids import AgentId
from protocol.limits import CLOCK_ENTRIES_MAX, ENVELOPES_MAX, FRAME_BYTES_MAX, VOTE_STEPS_MAX
from protocol.message import Ballot, Data, Message
from protocol.step import Record

VERSION = 1


class Envelope(Struct, frozen=True, array_like=True):
    """A message between two agents."""

    sender: AgentId
    receiver: AgentId
    message: Message


class Ask(Struct, frozen=True, array_like=True):
    """A question to an agent's host, from whoever is in the cluster; asked again until answered."""

    number: int
    agent: AgentId
    what: str
    body: bytes


class Answer(Struct, frozen=True, array_like=True):
    """What a host has to say to an `Ask`; `error` names the kind of failure, and `body` is its text."""

    number: int
    body: bytes
    error: str = ""


class Frame(Struct, frozen=True, array_like=True):
    """What one host sends another at a time."""

    envelopes: tuple[Envelope, ...] = ()
    facts: tuple[Fact, ...] = ()
    digest: dict[str, int] | None = None
    """The versions of all facts that the sender holds: asks for what it lacks."""
    asks: tuple[Ask, ...] = ()
    answers: tuple[Answer, ...] = ()


_encoder = msgpack.Encoder()
_frames = msgpack.Decoder(Frame)
_records = msgpack.Decoder(Record)


def encode_frame(frame: Frame) -> bytes:
    """Encode a frame for the transport."""
    return bytes((VERSION,)) + _encoder.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Decode a frame from another host.

    Raises: WireInvalid, saying what is wrong with it; nothing of it is taken in.
    """
    if len(data) > FRAME_BYTES_MAX:
        raise WireInvalid(f"a frame of {len(data)} bytes; at most {FRAME_BYTES_MAX} are read")
    if not data or data[0] != VERSION:
        raise WireInvalid(f"wire version {data[:1].hex() or 'none'}; this host speaks {VERSION:02x}")
    try:
        frame = _frames.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireInvalid(f"not a frame: {error}") from error
    if len(frame.envelopes) > ENVELOPES_MAX:
        raise WireInvalid(f"{len(frame.envelopes)} messages in a frame; at most {ENVELOPES_MAX} are read")
    for envelope in frame.envelopes:
        message = envelope.message
        if isinstance(message, Data) and len(message.input.clock) > CLOCK_ENTRIES_MAX:
            raise WireInvalid(f"a clock of {len(message.input.clock)} entries; at most {CLOCK_ENTRIES_MAX} are read")
        if isinstance(message, Ballot) and sum(len(vote.cone) for vote in message.votes) > VOTE_STEPS_MAX:
            raise WireInvalid(f"votes on more than {VOTE_STEPS_MAX} steps in one message")
    return frame


def encode_message(message: Message) -> bytes:
    """Encode one message, as it would stand in a frame."""
    return _encoder.encode(message)


def encode_record(record: Record) -> bytes:
    """Encode a record for the log."""
    return bytes((VERSION,)) + _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Decode a record of the log.

    Raises: WireInvalid, if it is not a record of this version.
    """
    if not data or data[0] != VERSION:
        raise WireInvalid(f"log version {data[:1].hex() or 'none'}; this host reads {VERSION:02x}")
    try:
        return _records.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireInvalid(f"not a record: {error}") from error
