"""What is fuzzed: functions from bytes to nothing. Each says what may be raised; anything else is a finding."""

import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from peer import errors
from peer.host import questions
from peer.host.pieces import Pieces
from peer.host.repeats import decode_answered
from peer.host.replicas import Replicas
from peer.people.person import Act, Person, signature_of, signer_of
from peer.serving import bodies
from peer.serving.door import Door, Refused, header_of
from peer.store.archive import read_boundary
from peer.store.heads import decode_head
from peer.store.reading import verify
from peer.transport.frame import seal, unseal
from peer.trust.trust import Trust
from peer.values import forms, payload
from peer.values.key_text import decode_key
from protocol.agent.folds import Op, encode_op
from protocol.errors import WireInvalid
from protocol.ids import StepId
from protocol.message import Shared, Sync
from protocol.step import Entry
from protocol.wire import (
    Piece,
    decode_frame,
    decode_host_record,
    decode_record,
    encode_frame,
    encode_host_record,
    encode_record,
)
from tests.fuzz import kinds, seeds, trusting
from tests.fuzz.badges import AUTHORITY, HOST_ID, host_keys
from tests.fuzz.disk import opened
from tests.fuzz.house import told

NOW_US = 1_700_000_000_000_000
KEYS_HERE, KEYS_THERE = host_keys("h"), host_keys("m")


class Damaged(AssertionError):
    """What was decoded is not what its encoding decodes to."""


def frame(data: bytes) -> None:
    """A frame as it comes from the network; then what follows its header, in one that is sealed. FrameInvalid."""
    with suppress(errors.FrameInvalid):
        unseal(data, HOST_ID)
    sender, body = unseal(seal(KEYS_THERE, HOST_ID, data), HOST_ID)
    if (sender, body) != (KEYS_THERE.host_id, data):
        raise Damaged(f"a frame of {len(data)} bytes")
    for at in (0, 1, 33, 41, 105):
        # One byte of a frame that fits is another one: nothing of it counts.
        whole = bytearray(seal(KEYS_THERE, HOST_ID, data[:64]))
        if at < len(whole) and data:
            whole[at] ^= data[0] or 1
            with suppress(errors.FrameInvalid):
                unseal(bytes(whole), HOST_ID)
                raise Damaged(f"a frame whose byte {at} is another one was taken")


def wire(data: bytes) -> None:
    """What a frame holds. WireInvalid."""
    with suppress(WireInvalid):
        first = encode_frame(decode_frame(data))
        if encode_frame(decode_frame(first)) != first:
            raise Damaged("a frame")


def host(data: bytes) -> None:
    """Frames that a member and a stranger send a host, which may refuse them or take them in; see `house.told`."""
    found = kinds.frames_in(data)
    if found is not None:
        told(*found)


def records(data: bytes) -> None:
    """A record of an agent's log, of a host's, of the logs of heads and of answers. WireInvalid."""
    with suppress(WireInvalid):
        record = decode_record(data)
        if encode_record(decode_record(encode_record(record))) != encode_record(record):
            raise Damaged("a record")
    with suppress(WireInvalid):
        of_host = decode_host_record(data)
        if encode_host_record(decode_host_record(encode_host_record(of_host))) != encode_host_record(of_host):
            raise Damaged("a host's record")
    with suppress(WireInvalid):
        decode_head(data[1:])
    with suppress(WireInvalid):
        decode_answered(data)


def values(data: bytes) -> None:
    """Users' values: as such, as messages of some classes, as they are stored. EbbtideError."""
    with suppress(errors.PayloadInvalid):
        value = payload.decode(data)
        again = payload.encode(value)
        if payload.encode(payload.decode(again)) != again:
            raise Damaged("a value")
    with suppress(errors.PayloadInvalid, errors.VersionUnknown, errors.MigrationFailed, errors.PayloadUnsupported):
        payload.decode_message(data, kinds.MESSAGES)
    with suppress(errors.PayloadInvalid):
        payload.type_name(data)
    payload.fields_of(data)
    with suppress(errors.PayloadInvalid):
        forms.unpack(data)
    with suppress(errors.PayloadInvalid):
        decode_key(data.decode(errors="replace"))


def pieces(data: bytes) -> None:
    """Frames in pieces, from two senders. WireInvalid."""
    try:
        found = msgspec.msgpack.decode(data, type=list[Piece])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    coming = Pieces(1)
    for at, piece in enumerate(found):
        with suppress(WireInvalid):
            coming.take("one" if at % 3 else "other", piece, 1 << 20)


def spaces(data: bytes) -> None:
    """Updates and state vectors of a shared space, from its other members. None."""
    found = kinds.shared_in(data)
    if found is None:
        return
    numbers = count(1)
    replicas = Replicas("a", lambda: next(numbers))
    replicas.write([Entry("k", StepId("a", 1, 1), 0, encode_op(Op("add", b"\x01")), {}, 0)])
    for is_update, body in found:
        if is_update:
            replicas.merge("m", Shared("board", body, 0, 1, 1))
        else:
            replicas.asked("m", Sync("board", body))
            replicas.answer("m", "board")
    replicas.vector("board")


def asked(data: bytes) -> None:
    """The body of a question. PayloadInvalid."""
    for kind in kinds.QUESTIONS.values():
        with suppress(errors.PayloadInvalid):
            questions.decode(data, kind)
    with suppress(errors.EbbtideError):
        questions.unwrap(questions.Answer(1, data, data[:20].decode(errors="replace")))


def store(data: bytes) -> None:
    """Files of a log, as a damaged disk gives them back, read by whoever audits and by their host. EbbtideError."""
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "host-1"
        (folder / "log").mkdir(parents=True)
        for file, content in kinds.files_in(data).items():
            (folder / "log" / file).write_bytes(content)
        with suppress(errors.LogCorrupt):
            read_boundary(folder / "log")
        with suppress(errors.ConfigInvalid, errors.LogFailed):
            verify(folder)
        opened(folder)


def people(data: bytes) -> None:
    """What shows that a person has said something; their grants. NotEntitled, Refused, ConfigInvalid."""
    act = Act("approve", "a", "a/1/1#0", "a/1/1", "", b"", 0)
    trust = Trust((AUTHORITY.public_key,))
    trust.now_us = lambda: NOW_US
    for proof in (data, kinds.vouched(data)):
        with suppress(errors.NotEntitled):
            signer_of(trust, proof, act)
            signature_of(proof)
        with suppress(Refused):
            Door(trust, lambda: NOW_US, {}).who(header_of(proof), act)  # type: ignore[arg-type]
    with suppress(Refused):
        Door(trust, lambda: NOW_US, {}).who(data.decode("latin-1"), act)  # type: ignore[arg-type]
    key = Path(_desk().name) / "me.key"
    key.with_suffix(".cert").write_bytes(data)
    with suppress(errors.ConfigInvalid):
        Person.load(key)


@cache
def _desk() -> "tempfile.TemporaryDirectory[str]":
    """Make a folder with a person's key, once: that takes longer than all else."""
    folder = tempfile.TemporaryDirectory()
    host_keys("me").save(Path(folder.name) / "me.key")
    return folder


def http(data: bytes) -> None:
    """What people send over HTTP. Refused, EbbtideError."""
    for kind, verb, act in kinds.BODIES:
        with suppress(Refused, errors.EbbtideError):
            read = bodies.read(data, kind)
            act(verb, read, data) if act is not bodies.say_act else bodies.say_act(verb, read)


class Target(NamedTuple):
    """Something to fuzz."""

    run: Callable[[bytes], None]
    change: kinds.Change
    """Changes an input where it has a shape."""
    seeds: Callable[[], list[bytes]]
    """Makes inputs to begin with."""
    share: float = 1.0
    """Of the time, beside the others'."""
    bytes_max: int = 8192


TARGETS: dict[str, Target] = {
    "host": Target(host, kinds.change_frames, seeds.conversations, 6, 16_384),
    "wire": Target(wire, kinds.change_frame, seeds.frames, 1, 16_384),
    "store": Target(store, kinds.change_files, seeds.folders, 2, 32_768),
    "values": Target(values, kinds.change_value, seeds.values),
    "records": Target(records, kinds.change_record, seeds.records),
    "questions": Target(asked, kinds.change_body, seeds.question_bodies),
    "spaces": Target(spaces, kinds.change_shared, seeds.shared_updates),
    "people": Target(people, kinds.change_body, seeds.proofs),
    "grants": Target(trusting.grants, trusting.change, trusting.chains),
    "orders": Target(trusting.orders, trusting.change, trusting.said_to_all),
    "http": Target(http, kinds.change_json, seeds.http_bodies),
    "pieces": Target(pieces, kinds.change_body, seeds.piece_lists, 0.5),
    "frame": Target(frame, kinds.change_raw, seeds.sealed_frames, 0.5),
}

__all__ = ["TARGETS", "Damaged", "Target"]
