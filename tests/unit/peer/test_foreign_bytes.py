"""Bytes of others that are text of no encoding, or deep, or of another form, end in the error of whoever reads them."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from peer.errors import ConfigInvalid, NotEntitled, PayloadInvalid
from peer.host import questions
from peer.host.births import options_in
from peer.keys import HostKeys
from peer.people.person import Act, Person, signer_of
from peer.store.bodies import decode_signature
from peer.store.chunking import CHUNKED_FROM, join, piece_hash, pieces_of, split
from peer.store.frame import ANCHOR, RECORDS, Frame, decode_head, encode_frame
from peer.store.heads import decode_head as decode_log_head
from peer.trust.lies import is_head_signed
from peer.trust.trust import Trust
from protocol.checkpoints.witness import Head
from protocol.errors import WireInvalid
from protocol.ids import NUMBER_END

NO_TEXT = (b"\x91\xa1\xff", b"\x93\x95\xa1\xff\x90\xa0\x00\xc4\x00\x00\xc4\x00", b"\x91" * 5000)
ACT = Act("approve", "a", "a/1/1#0", "a/1/1", "", b"", 0)


@pytest.mark.parametrize("data", NO_TEXT)
def test_what_is_no_text_is_refused_wherever_it_comes_from(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(PayloadInvalid):
        questions.decode(data, list[str])
    with pytest.raises(NotEntitled):
        signer_of(Trust((HostKeys.from_seed(b"root").public_key,)), data, ACT)
    with pytest.raises(WireInvalid):
        decode_log_head(data)
    with pytest.raises(ValueError, match="signature"):
        decode_signature(data)
    HostKeys.from_seed(b"me").save(tmp_path / "me.key")
    (tmp_path / "me.cert").write_bytes(data)
    with pytest.raises(ConfigInvalid, match="no certificate"):
        Person.load(tmp_path / "me.key")


def test_options_that_are_no_dict_are_refused() -> None:
    for data in (b"\x90", b"\xc0", b"\xc1", b""):
        with pytest.raises(PayloadInvalid):
            options_in(data)
    assert options_in(b"\x81\xa1k\x01") == {"k": 1}


def test_recipes_that_are_none_are_damage_and_fill_no_memory() -> None:
    pieces: dict[bytes, bytes] = {}
    record = bytes(range(256)) * (CHUNKED_FROM // 64)
    recipe = split(record, pieces.__setitem__)
    assert join(recipe, pieces.__getitem__) == record
    for wrong in (b"", recipe[:4]):
        with pytest.raises(ValueError, match="its recipe has"):
            join(wrong, pieces.__getitem__)
        with pytest.raises(ValueError, match="its recipe has"):
            list(pieces_of(wrong, pieces.__getitem__))
    # Sixteen levels of pieces that each name the one below 64 times: 64^16 hashes, from 17 KB.
    name = piece_hash(b"x")
    pieces[name] = b"x"
    for _ in range(16):
        below, name = name * 64, piece_hash(name * 64)
        pieces[name] = below
    for length in (1, 1000):
        with pytest.raises(ValueError, match="names more than"):
            join(bytes((16,)) + length.to_bytes(4, "little") + name, pieces.__getitem__)


@pytest.mark.parametrize(("first", "records"), [((1 << 64) - 1, 3), (NUMBER_END, 1), (0, 1)])
def test_a_frame_whose_records_no_log_can_have_is_none(first: int, records: int) -> None:
    frame = Frame(RECORDS, ANCHOR, "a", first, records, 1, 1, bytes(16), bytes(16))
    assert decode_head(encode_frame(frame, b"x"), 0) is None
    assert decode_head(encode_frame(frame._replace(first=5), b"x"), 0) is not None


def test_a_list_of_names_is_read_as_before() -> None:
    assert questions.decode(msgspec.msgpack.encode(["ä"]), list[str]) == ["ä"]


@pytest.mark.parametrize("number", [-1, 0, 1, NUMBER_END, -NUMBER_END])
def test_a_head_of_any_number_can_be_looked_at(number: int) -> None:
    keys = HostKeys.from_seed(b"liar")
    head = Head(keys.host_id, number, b"d" * 16, keys.public_key, b"")
    assert not is_head_signed(head)
    assert is_head_signed(replace(head, signature=keys.sign(head.signed())))
