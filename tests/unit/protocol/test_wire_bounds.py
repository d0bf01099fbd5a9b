"""What a frame may not say, though its form is right: fuzzing has found what came of it (docs/bugs.md)."""

from typing import Any

import msgspec
import pytest

from protocol.checkpoints.messages import Begin, Lacks, Prepare
from protocol.checkpoints.tally import Tally
from protocol.errors import WireInvalid
from protocol.ids import NUMBER_END, StepId
from protocol.limits import NUMBER_MAX
from protocol.message import Ballot, Data, Message, Propose, Void
from protocol.proposal import Amendment, Proposal, Restore
from protocol.since import VERSION
from protocol.step import Input
from protocol.wire import Envelope, Frame, decode_frame, decode_record, encode_frame

ROOT = StepId("a", 1, 1)


def decoded(*messages: Message, **fields: Any) -> Frame:
    return decode_frame(encode_frame(Frame(tuple(Envelope("m", "a", message) for message in messages), **fields)))


@pytest.mark.parametrize(
    "proposal",
    [
        Proposal("p", "m", (), "retry"),
        Proposal("p", "m", (ROOT,), "burn"),
        Proposal("p", "m", (ROOT,), "amend"),
        Proposal("p", "m", (ROOT, StepId("a", 1, 2)), "amend", amendments=(Amendment(ROOT, b"x"),)),
    ],
)
def test_a_rollback_of_nothing_or_of_unknown_inputs_is_no_message(proposal: Proposal) -> None:
    for message in (Propose(proposal), Ballot(proposal, ())):
        with pytest.raises(WireInvalid, match="a rollback"):
            decoded(message)


def test_a_rollback_that_amends_all_its_roots_is_one() -> None:
    proposal = Proposal("p", "m", (ROOT,), "amend", amendments=(Amendment(ROOT, b"x"),))
    assert decoded(Propose(proposal)).envelopes[0].message == Propose(proposal)


@pytest.mark.parametrize("number", [NUMBER_MAX + 1, NUMBER_END, -2])
def test_epochs_eras_and_rounds_leave_room_for_what_follows_them(number: int) -> None:
    restore = Restore(number, 1, "h/r1", 1)
    for message in (Begin(number), Lacks(number, 0), Tally(number, b""), Tally(1, b"", restore=restore)):
        with pytest.raises(WireInvalid, match="epoch"):
            decoded(checkpoints=(message,))
    with pytest.raises(WireInvalid, match="round"):
        decoded(checkpoints=(Prepare("h", (number, "h"), 1),))
    for field in ("epoch", "era"):
        with pytest.raises(WireInvalid, match="era"):
            decoded(**{field: number})
    assert decoded(epoch=NUMBER_MAX, era=1).epoch == NUMBER_MAX


@pytest.mark.parametrize("field", ["epoch", "era", "floor"])
def test_no_message_is_of_before_the_first_epoch(field: str) -> None:
    for number in (0, 7):
        assert decoded(Data(Input("m", 1, 1, b"", "l", ROOT, **{field: number})))
    with pytest.raises(WireInvalid, match="below 0"):
        decoded(Data(Input("m", 1, 1, b"", "l", ROOT, **{field: -1})))


def test_numbers_that_nothing_could_follow_are_in_no_message_and_no_record() -> None:
    with pytest.raises(WireInvalid, match="<="):
        decoded(Void(1, NUMBER_END + 1, "l", True))
    assert decoded(Void(1, NUMBER_END, "l", True)).envelopes
    raw = {"type": "AckedRecord", "acks": [["b", None, NUMBER_END + 1, 1, "l"]]}
    with pytest.raises(WireInvalid):
        decode_record(bytes((VERSION,)) + msgspec.msgpack.encode(raw))


def test_text_that_is_no_utf_8_and_depth_are_refused_as_any_other_bytes() -> None:
    for body in (b"\x91\x91\x93\xa1\xff\xa1a\xc0", b"\x91" * 5000):
        with pytest.raises(WireInvalid):
            decode_frame(bytes((VERSION,)) + body)
