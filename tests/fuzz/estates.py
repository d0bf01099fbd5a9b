"""What is handed over between hosts: logs of agents that move, and copies of those of a host that dies."""

from random import Random
from typing import Any

from tests.fuzz.badges import HOST_ID, MEMBER_ID
from tests.fuzz.overheard import overheard
from tests.fuzz.shapes import write

KIND = "tests.fuzz.teller:Teller"
OPTIONS = (b"\x80", b"\x80", b"\x90", b"\xc1", b"\x81\xa1k\x01", b"")


def some_records(log: str, rng: Random) -> list[bytes]:
    """Return records of a log of the member's: all, some, or one that is none."""
    records = overheard(True).logs.get(log, [])
    match rng.randrange(6):
        case 0:
            return [rng.choice((b"", b"\x01", b"\x01\x80", b"\x01\xc1", b"k")), *records]
        case 1:
            return records[: rng.randint(0, len(records))]
        case 2:
            return [*records, rng.choice(records or [b""])]
        case _:
            return records


def a_taking(rng: Random) -> list[Any]:
    """Return a question to take an agent that has moved: `m`, from the member to the host."""
    name = rng.choice(("m", "m", "x", "a"))
    moved = {
        "agent": name, "id": rng.choice(("0", "1")), "to": rng.choice((HOST_ID, HOST_ID, HOST_ID, MEMBER_ID)),
        "source": MEMBER_ID, "kind": rng.choice((KIND, KIND, KIND, "no:Kind")), "options": rng.choice(OPTIONS),
        "life": rng.choice((1, 0, 2)), "colour": rng.choice((0, 1, 1, 2, 9)), "era": 0, "type": "MovedRecord",
    }  # fmt: skip
    body = [moved, 1, bytes(16), rng.choice((1, 2)), 0, some_records("m", rng), True, rng.random() < 0.2]
    return [rng.randint(1, 1 << 30), name, "take", write(body)]


def a_making(rng: Random) -> list[Any]:
    """Return a question to make an agent."""
    body = [rng.choice((KIND, KIND, "no:Kind")), rng.choice(OPTIONS), rng.choice(("", HOST_ID, MEMBER_ID))]
    return [rng.randint(1, 1 << 30), rng.choice(("made", "a/made", "m")), "make", write(body)]


def a_copy(rng: Random) -> dict[str, Any]:
    """Return a part of the copy of a log of the member's."""
    log = rng.choice(("m", "m", "n", "host:", "host:"))
    kind = KIND if log != "host:" else ""
    return {"type": "Copy", "log": log, "first": rng.choice((1, 1, 1, 2)), "records": some_records(log, rng),
            "kind": kind, "options": rng.choice(OPTIONS), "life": rng.choice((0, 0, 1))}  # fmt: skip


def a_succession(rng: Random) -> dict[str, Any]:
    """Return word of who succeeds a host."""
    dead, heir = rng.choice(((MEMBER_ID, HOST_ID), (MEMBER_ID, HOST_ID), (HOST_ID, MEMBER_ID), (MEMBER_ID, MEMBER_ID)))
    return {"type": "Succeeded", "dead": dead, "by": heir}
