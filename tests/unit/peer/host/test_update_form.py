"""What honest documents' updates are like, and what is refused before the library sees it."""

from random import Random

import pytest
from pycrdt import Array, Doc, Map, Text

from peer.host.update_form import SLOTS, check_update


@pytest.mark.parametrize("seed", range(5))
def test_whatever_an_honest_document_comes_to_is_let_through(seed: int) -> None:
    rng = Random(seed)
    author: Doc[dict[str, object]] = Doc(client_id=5)
    reader: Doc[dict[str, object]] = Doc(client_id=9)
    slots = author.get(SLOTS, type=Map)
    for at in range(100):
        with author.transaction():
            for index in range(rng.randint(1, 4)):
                slots[f"{at}-{index}"] = rng.randbytes(rng.randint(0, 300))
            for slot in rng.sample(sorted(slots.keys()), min(3, len(slots))) if rng.random() < 0.4 else ():
                del slots[slot]
        if slots and rng.random() < 0.2:
            slots[rng.choice(sorted(slots.keys()))] = b"once more"
        update = author.get_update(reader.get_state() if rng.random() < 0.7 else b"\x00")
        check_update(update)
        if rng.random() < 0.5:
            reader.apply_update(update)
            check_update(reader.get_update())


def other_than_slots() -> list[bytes]:
    made: list[bytes] = []
    for name, kind in (("text", Text("x")), ("slots", Array([1])), ("slots", Map({"k": Map({"nested": 1})}))):
        doc: Doc[dict[str, object]] = Doc({name: kind}, client_id=7)
        made.append(doc.get_update())
    return made


@pytest.mark.parametrize(
    ("update", "why"),
    [
        (bytes.fromhex("0101010028") + b"\x01\x05slots\x01k\x00" + b"\x00", "holds no bytes"),
        (bytes.fromhex("0101010021") + b"\x01\x05slots\x01k\x00" + b"\x00", "0 stands where 1 is the least"),
        (bytes.fromhex("010101000000") + b"\x00", "0 stands where 1 is the least"),
        (bytes.fromhex("0101010008") + b"\x01\x05slots\x01\x74\x00" + b"\x00", "has no name"),
        (bytes.fromhex("0101010028") + b"\x01\x04plot\x01k\x01\x74\x00" + b"\x00", "more than the map"),
        (b"\x00\x00\x00", "behind its end"),
        (b"\x00", "too soon"),
        (b"\x01\x01\x01\x00\x28\x01\x7f", "too soon"),
        (b"\xff" * 11, "too long"),
        *zip(other_than_slots(), ("more than the map", "has no name", "of kind 7"), strict=True),
    ],
)
def test_what_no_honest_document_comes_to_is_refused(update: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_update(update)
