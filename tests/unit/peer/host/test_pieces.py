"""Frames in pieces: put together from any order, bounded, and refused where they are none."""

import random

import pytest

from peer.errors import PayloadTooLarge
from peer.host import pieces
from peer.host.pieces import WHOLES_MAX, Pieces
from protocol.errors import WireInvalid
from protocol.wire import Piece


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 10)
    monkeypatch.setattr(pieces, "WHOLE_BYTES_MAX", 1000)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 95, 1000])
def test_a_frame_comes_back_whole_whatever_the_order_and_however_often_a_piece_comes(size: int) -> None:
    body = random.Random(size).randbytes(size)
    cut = list(Pieces(1 << 40).cut(body))
    assert all(len(piece.data) <= 10 for piece in cut)
    random.Random(size).shuffle(cut)
    others = Pieces(2)
    found = [others.take("h", piece, 1000) for piece in (*cut[:-1], *cut[:-1], *cut[-1:])]
    assert [each for each in found if each is not None] == ([body] if cut else [])


def test_frames_of_several_senders_and_of_one_do_not_mix() -> None:
    one, other = Pieces(1 << 40), Pieces(1 << 40)
    cut = {("h", number): list(one.cut(bytes([number]) * 35)) for number in range(3)}
    cut |= {("g", number): list(other.cut(bytes([9 + number]) * 25)) for number in range(3)}
    mixed = [(sender, piece) for (sender, _), some in cut.items() for piece in some]
    random.Random(1).shuffle(mixed)
    taker = Pieces(3)
    whole = [body for sender, piece in mixed if (body := taker.take(sender, piece, 1000)) is not None]
    assert sorted(whole) == sorted([*(bytes([n]) * 35 for n in range(3)), *(bytes([9 + n]) * 25 for n in range(3))])


def test_what_never_becomes_whole_is_bounded() -> None:
    taker, sender = Pieces(3), Pieces(1 << 40)
    for _ in range(100):
        first, *_ = sender.cut(b"x" * 30)
        assert taker.take("h", first, 1000) is None
    assert len(taker._coming["h"]) == WHOLES_MAX


def test_what_is_too_large_is_refused_before_anything_is_cut() -> None:
    with pytest.raises(PayloadTooLarge, match=r"1,001 bytes.*Nothing was sent"):
        list(Pieces(1).cut(b"x" * 1001))


@pytest.mark.parametrize(
    "piece",
    [
        Piece(1, 5, 5, b""),
        Piece(1, -1, 5, b""),
        Piece(1, 0, 0, b""),
        Piece(1, 0, 10_000, b""),
        Piece(1, 0, 2, b"x" * 11),
    ],
)
def test_what_is_no_piece_is_refused(piece: Piece) -> None:
    with pytest.raises(WireInvalid):
        Pieces(1).take("h", piece, 1000)


def test_two_counts_of_one_frame_are_refused() -> None:
    taker = Pieces(1)
    assert taker.take("h", Piece(7, 0, 3, b"x"), 1000) is None
    with pytest.raises(WireInvalid, match="which were 3 before"):
        taker.take("h", Piece(7, 1, 4, b"x"), 1000)
