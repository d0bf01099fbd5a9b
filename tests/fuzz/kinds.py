"""The forms of inputs: how each target reads its bytes, and how they are changed so that they keep their form."""

import json
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import msgspec
from pycrdt import Doc, Map, Text

from peer.host import questions
from peer.host.happenings import WatchAsk
from peer.host.past_cuts import CutAsk
from peer.host.repeats import AnsweredRecord, FloorRecord
from peer.host.together import Each
from peer.host.transit import Room, Take
from peer.serving import bodies
from peer.trust.grant import Chain
from protocol.checkpoints.messages import CheckpointRecord
from protocol.checkpoints.witness import Head
from protocol.errors import UNREADABLE
from protocol.ids import HOST, StepId
from protocol.message import Message
from protocol.records import Record
from protocol.since import FIRST, OLDEST, VERSION
from protocol.step import Entry
from protocol.wire import Ask, Envelope, Frame
from tests.fuzz import disk, estates
from tests.fuzz.badges import HOST_ID, MEMBER_ID, STRANGER_ID, granted
from tests.fuzz.examples import Examples
from tests.fuzz.shapes import Unshaped, mutated, read, write

Change = Callable[[bytes, Random], bytes]
"""Returns other bytes of the same form. Raises: Unshaped, for bytes of another one."""

FRAMES_MAX = 12
"""Frames of one input: more are not told."""

QUESTIONS: dict[str, Any] = {
    "submit": questions.Submit, "propose": questions.Propose, "part": questions.Part, "letter": questions.LetterAsk,
    "call off": questions.CallOff, "say": questions.Say, "pause": questions.Pause, "hold": questions.Withhold,
    "tier": questions.SetTier, "effect": questions.EffectAsk, "steps": questions.StepsAsk, "outcome": str,
    "restore": questions.RestoreTo, "move": str, "make": tuple[str, bytes, str], "take": Take, "room": Room,
    "suffix": StepId, "held": list[StepId], "inputs": list[str], "effects": bool, "undone since": int,
    "state": StepId, "state at cut": int, "steps between cuts": CutAsk, "each": Each, "watch": WatchAsk,
    "entries": list[Entry], "ballots": questions.Ballots, "said": questions.StepsAnswer,
}  # fmt: skip
"""By question, what its body is; the last ones are answers."""
PLAIN = ("status", "profile", "dead", "notices", "costs", "epochs", "cuts", "requests", "sagas", "tiers", "checkpoint",
         "leave", "rest", "watched", "ballots", "entries")  # fmt: skip
"""Questions whose body is empty."""

WORDS = (
    "a", "b", "m", "n", "x", "", HOST, HOST_ID, MEMBER_ID, STRANGER_ID, "board", "ext:desk", "desk", "a/1/1", "b/1/1",
    "m/1/1", "a/1/1#0", "a/2/1", "m/1", "a/1", f"{MEMBER_ID}/r1", f"{HOST_ID}/r1", "m/r1", "a/p1", "m/p1", "retry",
    "discard", "amend", "told", "paid", "new", "trusted", "enter", "wire", "done", "release", "approve", "reject",
    "answer", "redrive", "drop", "held", "requested", "ext:desk/1", "ext:desk/2", "commit", "abort", "space:board/x",
    "tests.fuzz.teller:Teller", "peer.agents.agent:Agent", "no.such:Kind", f"virtual://{HOST_ID}", *QUESTIONS, *PLAIN,
)  # fmt: skip
BODIES_KNOWN = (
    b"", b"\x92\xa0\xa3m>n", b"\x92\xa0\x05", b"\x92\xa0\xa5x>b>a", b"\x05", b"\x00", b"\x01" * 8, b"\x01" * 16,
    b"\x00\x00", b"\x01\x80", b"\xc0", b"\x90", b"\x80", b"k" * 32, b"s" * 64,
)  # fmt: skip
EXAMPLES = Examples(WORDS, BODIES_KNOWN)

ANSWERED: tuple[Any, ...] = (tuple[AnsweredRecord, None], tuple[None, FloorRecord])
"""What a host keeps of the answers that it has given."""
MESSAGES: dict[str, type] = {}


class _Order(msgspec.Struct):
    name: str
    count: int = 1
    more: dict[str, float] | None = None


class _Point(NamedTuple):
    x: float
    y: int


class _Line(msgspec.Struct):
    ends: tuple[_Point, _Point]
    tags: set[str]
    raw: bytes


MESSAGES.update({"Order": _Order, "Line": _Line, "_Order": _Order, "_Line": _Line})

BODIES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (bodies.SayBody, "approve", bodies.say_act),
    (bodies.SayBody, "answer", bodies.say_act),
    (bodies.SayBody, "release", bodies.say_act),
    (bodies.PauseBody, "pause", lambda verb, body, data: bodies.noted(body.note) + bodies.named("agent", body.agent)),
    (bodies.TierBody, "tier", lambda verb, body, data: bodies.noted(body.note) + bodies.named("agent", body.agent)),
    (bodies.RollbackBody, "rollback", bodies.rollback_act),
    (bodies.SuspectBody, "suspect", bodies.suspect_act),
    (bodies.OverturnBody, "overturn", bodies.overturn_act),
)


# -- frames -------------------------------------------------------------------------------------------------------


def frames_in(data: bytes) -> tuple[bool, list[tuple[int, bytes]]] | None:
    """Return what an input of `host` says: whether the host keeps copies, and who says what; None for none."""
    try:
        keeps, *said = msgspec.msgpack.decode(data, type=list[Any])
        told = [(int(sender) % 3, bytes(body)) for sender, body in said[:FRAMES_MAX]]
    except (ValueError, TypeError, UnicodeDecodeError, msgspec.DecodeError, RecursionError, OverflowError):
        return None
    return bool(keeps), told


def input_of(keeps: bool, frames: list[tuple[int, bytes]]) -> bytes:
    """Return the input of `host` that says this."""
    return write([keeps, *([sender, body] for sender, body in frames)])


def a_body(rng: Random) -> bytes:
    """Return the body of a new frame that holds something."""
    return bytes((rng.choice((OLDEST, VERSION, VERSION, VERSION + 1)),)) + write(a_frame(rng))


def a_frame(rng: Random) -> list[Any]:
    """Return a new frame, as it is encoded: one part of it, or all."""
    whole = EXAMPLES.of(Frame, rng)
    whole += [None] * (13 - len(whole))
    blank: list[Any] = [
        [],
        [],
        None,
        [],
        [],
        [],
        [],
        [],
        [],
        rng.choice((0, 0, 1, 1, 2, 3)),
        rng.choice((0, 0, 0, 1)),
        None,
        rng.choice((0, OLDEST, VERSION, VERSION, VERSION + 1)),
    ]
    choice = rng.random()
    if choice < 0.08:
        blank[7] = [estates.a_copy(rng) for _ in range(rng.randint(1, 3))]
        blank[6] = [estates.a_succession(rng)] if rng.random() < 0.5 else []
    elif choice < 0.4:
        blank[0] = [an_envelope(rng) for _ in range(rng.randint(1, 3))]
    elif choice < 0.6:
        blank[3] = [a_question(rng) for _ in range(rng.randint(1, 3))]
    elif choice < 0.95:
        at = rng.choice((1, 2, 4, 5, 6, 6, 7, 7, 8, 11))
        made = EXAMPLES.of(Frame, rng)
        while len(made) <= at or not made[at]:
            made = EXAMPLES.of(Frame, rng)
        blank[at] = made[at]
    else:
        return whole
    return blank


def an_envelope(rng: Random) -> list[Any]:
    """Return a new message, from one of the member's agents to one of the host's."""
    made = EXAMPLES.of(Envelope, rng)
    return [rng.choice("mmmn"), rng.choice("aab"), EXAMPLES.of(Message, rng) or made[2]]


def a_question(rng: Random) -> list[Any]:
    """Return a new question, with a body that is one."""
    if rng.random() < 0.15:
        return rng.choice((estates.a_taking, estates.a_making))(rng)
    what = rng.choice((*QUESTIONS, *PLAIN))
    body = write(EXAMPLES.of(QUESTIONS[what], rng)) if what in QUESTIONS else b""
    number = rng.randint(1, 1 << 30)
    return EXAMPLES.of(Ask, rng) if rng.random() < 0.02 else [number, rng.choice(("a", "a", "b", HOST)), what, body]


def change_frame(data: bytes, rng: Random) -> bytes:
    """Change a frame's body."""
    return data[:1] + mutated(data[1:], rng, WORDS, lambda: a_frame(rng))


def change_frames(data: bytes, rng: Random) -> bytes:
    """Change what a host is told: a frame, their order, who says it, or what is told besides."""
    found = frames_in(data)
    if found is None or not found[1]:
        return input_of(rng.random() < 0.5, [(0, a_body(rng))])
    keeps, frames = found
    at = rng.randrange(len(frames))
    sender, body = frames[at]
    match rng.randrange(12):
        case 0:
            frames.insert(rng.randint(0, len(frames)), frames[at])
        case 1 if len(frames) > 1:
            del frames[at]
        case 2:
            frames[at] = rng.choice((0, 0, 1, 2)), body
        case 3 | 4 | 5:
            frames.insert(rng.randint(0, len(frames)), (rng.choice((0, 0, 0, 2, 1)), a_body(rng)))
        case 6:
            rng.shuffle(frames)
        case 7:
            keeps = not keeps
        case _:
            frames[at] = sender, change_frame(body, rng)
    return input_of(keeps, frames[:FRAMES_MAX])


# -- other forms --------------------------------------------------------------------------------------------------


def change_record(data: bytes, rng: Random) -> bytes:
    """Change a record."""
    if not data or not FIRST <= data[0] <= VERSION:
        return mutated(data, rng, WORDS, lambda: EXAMPLES.of(rng.choice(ANSWERED), rng))
    kind = rng.choice((Record, CheckpointRecord, Head))
    return data[:1] + mutated(data[1:], rng, WORDS, lambda: EXAMPLES.of(kind, rng))


def change_body(data: bytes, rng: Random) -> bytes:
    """Change what is MessagePack as a whole."""
    return mutated(data, rng, WORDS, lambda: EXAMPLES.of(QUESTIONS[rng.choice(list(QUESTIONS))], rng))


def change_value(data: bytes, rng: Random) -> bytes:
    """Change a user's value."""
    return mutated(
        data, rng, ("", "Order", "Order@2", "Line", "<f8", "|S3", "<U2", "<m8[ns]", "x", "1e400", "2026-01-01")
    )


def change_raw(data: bytes, rng: Random) -> bytes:
    """There is no form to keep."""
    raise Unshaped("no form")


def change_json(data: bytes, rng: Random) -> bytes:
    """Change JSON: the one value by what would be its MessagePack."""
    try:
        shaped = write(json.loads(data))
        value = read(mutated(shaped, rng, (*WORDS, "step", "steps", "request", "agent", "note", "value", "to")))
        return json.dumps(value).encode(errors="surrogateescape")
    except (ValueError, TypeError, RecursionError) as error:
        raise Unshaped(str(error)) from error


def shared_in(data: bytes) -> list[tuple[bool, bytes]] | None:
    """Return what an input of `spaces` says: updates, and state vectors; None for none."""
    try:
        return msgspec.msgpack.decode(data, type=list[tuple[bool, bytes]])[:FRAMES_MAX]
    except UNREADABLE:
        return None


def change_shared(data: bytes, rng: Random) -> bytes:
    """Change updates of a shared space: bytes of one, which one comes, or another one besides."""
    found = shared_in(data)
    if found is None:
        raise Unshaped("no updates")
    said = list(found)
    if not said or rng.random() < 0.3:
        said.append((True, an_update(rng)))
    at = rng.randrange(len(said))
    is_update, body = said[at]
    raw = bytearray(body or b"\0")
    for _ in range(rng.randint(0, 3)):
        raw[rng.randrange(len(raw))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    said[at] = is_update, bytes(raw)
    rng.shuffle(said)
    return write([list(each) for each in said])


def an_update(rng: Random) -> bytes:
    """Return an update of a document as a member might make it that does not keep to ours: slots hold anything."""
    doc: Doc[Any] = Doc(client_id=rng.randint(1, 3))
    slots = doc.get("slots", type=Map)
    for _ in range(rng.randint(1, 3)):
        entry = EXAMPLES.of(Entry, rng)
        step = StepId(*entry.get("writer", ("m", 1, 1)))
        slot = rng.choice((f"{entry.get('key')}\x1f{step}\x1f{entry.get('index')}", "x", "", "a\x1fb", "\x1f\x1f"))
        slots[slot] = rng.choice((write(entry), write(entry), b"", 1, 1.5, "text", None, True, [1], Map({"k": 1})))
    if rng.random() < 0.2:
        doc.get("other", type=Text).insert(0, "text")
    return doc.get_update()


def files_in(data: bytes) -> dict[str, bytes]:
    """Return the files of an input of `store`: by place in `disk.FILES`, else the bytes are those of one segment."""
    try:
        found = msgspec.msgpack.decode(data, type=dict[int, bytes])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {disk.FILES[0]: data}
    return {disk.FILES[at % len(disk.FILES)]: content for at, content in found.items()}


def change_files(data: bytes, rng: Random) -> bytes:
    """Change a log's files: what is in them so that checks fit, or one of them as a disk does."""
    try:
        found = msgspec.msgpack.decode(data, type=dict[int, bytes])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unshaped(str(error)) from error
    if not found:
        raise Unshaped("no files")
    at = rng.choice(list(found))
    content = found[at]
    choice = rng.random()
    if choice < 0.6 and at != 3:
        found[at] = disk.changed(content, rng)
    elif choice < 0.65:
        del found[at]
    elif choice < 0.7:
        found[rng.randrange(4)] = content
    elif choice < 0.8:
        found[at] = content[: rng.randint(0, len(content))]
    elif content:
        raw = bytearray(content)
        begin = rng.randrange(len(raw))
        length = rng.choice((1, 1, 8, 512))
        raw[begin : begin + length] = rng.choice((bytes(length), rng.randbytes(length)))
        found[at] = bytes(raw)
    return write(found)


def vouched(proof: bytes) -> bytes:
    """Return a proof whose chain the cluster vouches for, whatever it says."""
    try:
        found = msgspec.msgpack.decode(proof)
        chain = msgspec.convert(found[0], type=Chain)
        return msgspec.msgpack.encode([granted(chain), *found[1:]])
    except (ValueError, TypeError, LookupError, RecursionError, msgspec.MsgspecError):
        return proof
