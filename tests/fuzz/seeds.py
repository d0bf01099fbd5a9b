"""Inputs to begin with: real encodings of each kind, and what real hosts say to each other."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from peer.people.person import MAY, Act, Person
from peer.transport.frame import seal
from peer.trust.grant import grant
from peer.values import forms, payload
from protocol.checkpoints.messages import CheckpointRecord
from protocol.checkpoints.witness import Head
from protocol.message import Message
from protocol.records import Record
from protocol.since import VERSION
from protocol.wire import Piece
from tests.fuzz import disk, kinds
from tests.fuzz.badges import AUTHORITY, HOST_ID, MEMBER_ID, host_keys
from tests.fuzz.overheard import overheard
from tests.fuzz.shapes import write


def conversations() -> list[bytes]:
    """Inputs of `host`: what was overheard, a few frames at a time; a question of each kind; a message of each."""
    rng = Random(1)
    found: list[bytes] = []
    for keeps in (False, True):
        said = list(dict.fromkeys(overheard(keeps).bodies))
        for at in range(0, len(said), 4):
            found.append(kinds.input_of(keeps, [(0, body) for body in said[at : at + 4]]))
    for question in (*kinds.QUESTIONS, *kinds.PLAIN):
        body = write(kinds.EXAMPLES.of(kinds.QUESTIONS[question], rng)) if question in kinds.QUESTIONS else b""
        frame: list[Any] = [[], [], None, [[1, "a", question, body]]]
        found.append(kinds.input_of(False, [(0, bytes((VERSION,)) + write(frame))]))
    for kind in msgspec.inspect.type_info(Message).types:  # type: ignore[attr-defined]
        message = kinds.EXAMPLES.of(kind.cls, rng)
        found.append(kinds.input_of(False, [(0, bytes((VERSION,)) + write([[["m", "a", message]]]))]))
    return found


def frames() -> list[bytes]:
    """Inputs of `wire`."""
    rng = Random(2)
    return [kinds.a_body(rng) for _ in range(60)] + list(dict.fromkeys(overheard(True).bodies))[:20]


def records() -> list[bytes]:
    """Inputs of `records`: each kind of record once."""
    rng = Random(3)
    found = []
    for union in (Record, CheckpointRecord):
        for kind in msgspec.inspect.type_info(union).types:  # type: ignore[attr-defined]
            found.append(bytes((VERSION,)) + write(kinds.EXAMPLES.of(kind.cls, rng)))
    found += [write(kinds.EXAMPLES.of(kind, rng)) for kind in kinds.ANSWERED for _ in range(2)]
    return [*found, bytes((VERSION,)) + write(kinds.EXAMPLES.of(Head, rng))]


def values() -> list[bytes]:
    """Inputs of `values`."""
    plain = [
        None, True, 1 << 80, -1, 1.5, "text", b"raw", [1, [2, {"k": (3,)}]], {(1, 2): {3}, "s": frozenset((4, 5))},
        datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), Decimal("1.50"), UUID(int=7), np.float32(2.5),
        np.arange(6, dtype="<i4").reshape(2, 3), np.array(["ab", "c"]), np.array([1, 2], dtype="<m8[ns]"),
    ]  # fmt: skip
    found = [payload.encode(value) for value in plain]
    found += [payload.encode_message(value) for value in (1, "x", {"k": [1]})]
    found += [write(["Order", {"name": "n", "count": 2}]), write(["Order@2", {"name": "n"}])]
    found += [write(["Line", {"ends": [[1.0, 2], [3.0, 4]], "tags": ["t"], "raw": b"r"}])]
    found += [forms.pack(forms.Packed(2, forms.Form.SECRET, b"s" * 48)), b'[1,"k",[true]]', b"key"]
    sealed = msgspec.msgpack.encode(["customer-1", b"n" * 12, b"data"])
    return [*found, b"\xc7" + bytes((len(sealed), 12)) + sealed]


def shared_updates() -> list[bytes]:
    """Inputs of `spaces`."""
    rng = Random(5)
    return [write([[True, kinds.an_update(rng)], [True, kinds.an_update(rng)], [False, b"\0"]]) for _ in range(8)]


def question_bodies() -> list[bytes]:
    """Inputs of `questions`."""
    rng = Random(4)
    return [write(kinds.EXAMPLES.of(kind, rng)) for kind in kinds.QUESTIONS.values()]


def piece_lists() -> list[bytes]:
    """Inputs of `pieces`."""
    whole = [Piece(5, at, 3, bytes(10)) for at in range(3)]
    return [msgspec.msgpack.encode(each) for each in (whole, whole * 2, whole[::-1], whole[:1], [Piece(1, 0, 1, b"")])]


def sealed_frames() -> list[bytes]:
    """Inputs of `frame`."""
    keys = host_keys("m")
    return [seal(keys, HOST_ID, b"body"), seal(keys, None, b""), seal(keys, MEMBER_ID, b"for another"), b""]


def proofs() -> list[bytes]:
    """Inputs of `people`: proofs, and a certificate."""
    keys = host_keys("me")
    act = Act("approve", "a", "a/1/1#0", "a/1/1", "", b"", 1_700_000_000_000_000)
    found = []
    for until_us in (0, 1, 1 << 62):
        chain = (grant(AUTHORITY, "me", keys.public_key, MAY, roles=("treasurer",), until_us=until_us),)
        found += [Person(keys, chain).proof(act), msgspec.msgpack.encode(chain)]
    return found


def http_bodies() -> list[bytes]:
    """Inputs of `http`."""
    said = [
        {"agent": "a", "request": "a/1/1#0", "step": "a/1/1", "note": "why"},
        {"agent": "a", "request": "a/1/1#0", "step": "a/1/1", "value": {"k": [1, 2.5, None]}},
        {"agent": "a", "note": "n"},
        {"agent": "a", "tier": "new", "note": "n"},
        {"steps": ["a/1/1"], "inputs": "amend", "amend": {"k": 1}, "as": "Order", "reason": "r", "timeout": 5.0},
        {"steps": ["a/1/1", "b/1/1"], "to": "w", "score": 0.5, "why": "y", "key": "k"},
        {"step": "a/1/1", "why": "w", "to": "w"},
    ]
    return [json.dumps(each).encode() for each in said]


def folders() -> list[bytes]:
    """Inputs of `store`."""
    files = disk.a_log()
    first = next(iter(files.values()))
    boundary = b'{"check":"0","boundary":{"end":{"segment":0,"sequence":0,"digest":"","tails":{}}}}'
    whole = {disk.FILES.index(name): content for name, content in files.items()}
    return [write(whole), write({**whole, 3: boundary}), write({0: first, 1: first}), write({0: first[:300]}), first]
