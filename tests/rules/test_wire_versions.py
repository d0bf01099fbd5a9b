"""Hosts of two neighbouring releases run side by side (CL-8)."""

from typing import Any

import msgspec
import pytest

import protocol.since
from peer.host.versions import KNOCKS_MAX, REFUSED_MAX, Versions
from peer.host.wire import Wire
from peer.keys import HostKeys
from peer.ports import TransportCounts
from peer.trust.badge import Badge
from protocol.action import Tell
from protocol.checkpoints.copy import Copied, Copy, Lacking
from protocol.checkpoints.messages import EndRecord
from protocol.errors import VersionUnspoken, WireInvalid
from protocol.fact import Began, Claim
from protocol.hosts.messages import Compare, Ping
from protocol.ids import AgentId, HostId
from protocol.limits import PIECE_BYTES
from protocol.message import Ack, Sync
from protocol.records import TierRecord
from protocol.since import FIRST, OLDEST, VERSION, newer_than
from protocol.wire import (
    Envelope,
    Frame,
    decode_frame,
    decode_host_record,
    decode_record,
    encode_frame,
    encode_host_record,
    encode_record,
    is_empty,
    understood,
)  # fmt: skip

ROOT = HostKeys.from_seed(b"root")
TRUST = Badge.issued(ROOT, HostKeys.from_seed(b"one")).trust
NEW_KINDS = {"Sync": 2, "Claim": 2, "Lacking": 2, "Ping": 2, "TierRecord": 2, "EndRecord": 2}
"""As if these had come with version 2."""


class End:
    """One host's end of a wire; implements `Post`, and `Transport` as far as it is sent through."""

    def __init__(self, newest: int) -> None:
        self.counts = TransportCounts()
        self.transport: Any = self
        self.told: list[Tell] = []
        self.read: list[Frame] = []
        self.others: dict[HostId, End] = {}
        self.sent: list[bytes] = []
        self.wire = Wire(self, TRUST, lambda _, frame: self.read.append(frame), 0)
        self.wire.versions.newest = newest

    def send(self, receiver: HostId, body: bytes) -> None:
        self.sent.append(body)
        sender = next(name for name, end in self.others[receiver].others.items() if end is self)
        self.others[receiver].wire.received(sender, body)

    def introduce(self, address: str, body: bytes) -> None:
        self.send(address, body)

    def is_known(self, host: HostId) -> bool:
        return True

    def stamp(self) -> tuple[int, int]:
        return 3, 1

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        self.told.append(notice)

    def spoke(self) -> list[int]:
        """Return the versions of what was sent since this was asked last."""
        found, self.sent = [body[0] for body in self.sent], []
        return found


def two(newest: int, other: int) -> tuple[End, End]:
    one, two = End(newest), End(other)
    one.others["two"], two.others["one"] = two, one
    return one, two


@pytest.fixture
def kinds_that_came_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.since, "SINCE", {**protocol.since.SINCE, **NEW_KINDS})
    newer_than.cache_clear()
    monkeypatch.setattr("protocol.wire.newer_than", newer_than.__wrapped__)


def test_cl8_two_hosts_talk_in_the_newest_that_both_speak_once_they_have_heard_each_other() -> None:
    for newest, other, both in ((2, 2, 2), (2, 1, 1), (1, 2, 1), (1, 1, 1)):
        one, two_ = two(newest, other)
        one.wire.send("two", Frame(probes=(Ping(1),)))
        two_.wire.send("one", Frame(probes=(Ping(2),)))
        one.wire.tell("two", Frame(probes=(Ping(3),)))
        assert (one.spoke(), two_.spoke()) == ([OLDEST, both], [both])
        assert [len(end.read) for end in (one, two_)] == [1, 2]
        assert (one.counts.refused, two_.counts.refused, one.told, two_.told) == (0, 0, [], [])
        assert (one.read[0].epoch, one.read[0].era, one.read[0].speaks) == (3, 1, other)


def test_cl8_what_a_host_says_last_counts_and_is_forgotten_when_it_has_failed_or_left() -> None:
    versions = Versions()
    assert versions.of("h") == OLDEST
    for said, speaks in ((VERSION, VERSION), (VERSION + 7, VERSION), (1, 1), (-5, OLDEST), (VERSION, VERSION)):
        versions.heard("h", said)
        assert versions.of("h") == speaks
    versions.forget("h")
    assert versions.of("h") == OLDEST


def test_cl8_a_host_goes_back_to_the_older_release_and_is_understood_again_from_its_first_word_on() -> None:
    one, two_ = two(2, 2)
    two_.wire.tell("one", Frame(probes=(Ping(1),)))
    two_.wire.versions.newest = 1
    one.wire.tell("two", Frame(probes=(Ping(2),)))
    assert (one.spoke(), two_.read, two_.counts.refused) == ([2], [], 1)
    two_.wire.tell("one", Frame(probes=(Ping(3),)))
    one.wire.tell("two", Frame(probes=(Ping(4),)))
    assert (one.spoke(), len(two_.read), two_.told) == ([1], 1, [])


def test_cl8_every_version_from_the_oldest_on_is_read_and_no_other() -> None:
    frame = Frame(probes=(Ping(1),), speaks=VERSION)
    for version in range(OLDEST, VERSION + 1):
        assert decode_frame(encode_frame(frame, version)) == frame
    for version in (OLDEST - 1, VERSION + 1, 255):
        with pytest.raises(VersionUnspoken, match=f"version {version}; this host reads {OLDEST} to {VERSION}") as found:
            decode_frame(encode_frame(frame, version))
        assert found.value.version == version
    with pytest.raises(VersionUnspoken, match="reads 1 to 1"):
        decode_frame(encode_frame(frame, 2), newest=1)


def test_cl8_a_version_that_is_not_read_is_told_once_a_host_and_counted_each_time() -> None:
    one, two_ = two(VERSION + 1, VERSION)
    two_.wire.tell("one", Frame(probes=(Ping(1),)))
    one.wire.versions.heard("two", VERSION + 1)  # as a release after the next one would talk
    for number in range(20):
        one.wire.tell("two", Frame(probes=(Ping(number),)))
        assert len(two_.told) == (number + 1 >= REFUSED_MAX)
    assert (two_.counts.refused, two_.read) == (20, [])
    (told,) = two_.told
    assert (told.notice, told.subject) == ("wire-version", "one")
    for said in (
        f"wire version {VERSION + 1}",
        f"newer than what this host reads: {OLDEST} to {VERSION}",
        "install on this",
    ):
        assert said in told.detail
    one.wire.versions.heard("two", VERSION)
    one.wire.tell("two", Frame(probes=(Ping(0),)))
    one.wire.versions.heard("two", VERSION + 1)
    for number in range(20):
        one.wire.tell("two", Frame(probes=(Ping(number),)))
    assert (len(two_.read), len(two_.told)) == (1, 1)  # understood in between, it could be told of again and again
    two_.wire.versions.forget("one")
    for number in range(3):
        one.wire.tell("two", Frame(probes=(Ping(number),)))
    assert len(two_.told) == 2  # its next life is told of, too


def test_cl8_who_knocks_takes_turns_so_one_of_two_knocks_is_read_and_nobody_is_told() -> None:
    versions = Versions()
    assert [versions.knock("a") for _ in range(5)] == [1, 2, 1, 2, 1]
    assert [versions.knock("b") for _ in range(2)] == [1, 2]
    for number in range(KNOCKS_MAX):
        versions.knock(f"c{number}")
    assert versions.knock("a") == 1
    one, two_ = two(2, 1)
    for number in range(10):
        one.wire.introduce("two", Frame(facts=(Began("a", number, ()),)))
    assert (len(two_.read), two_.counts.refused, two_.told) == (5, 5, [])


def test_cl8_a_frame_in_pieces_is_in_one_version_as_a_whole_and_in_part() -> None:
    one, two_ = two(2, 1)
    large = Frame(copies=(Copy("log", 1, (bytes(PIECE_BYTES),) * 4),))
    one.wire.tell("two", large)
    assert {*one.spoke()} == {1}
    assert two_.read == [msgspec.structs.replace(large, speaks=2)]
    assert two_.wire.versions.of("one") == 1


def test_cl8_nothing_is_sent_to_a_host_that_does_not_know_its_kind(kinds_that_came_with_2: None) -> None:
    older, newer = Envelope("a", "b", Ack(1, ())), Envelope("a", "b", Sync("space", b""))
    began, claim = Began("a", 1, ()), Claim("a", 2, "one")
    frame = Frame(
        envelopes=(older, newer), facts=(claim, began), compare=Compare(facts=(claim, began), wants=("x",)),
        probes=(Ping(1),), copies=(Copied("log", 1), Lacking("log", 1)),
    )  # fmt: skip
    one, two_ = two(2, 1)
    one.wire.tell("two", frame)
    (read,) = two_.read
    assert read == Frame(
        envelopes=(older,), facts=(began,), compare=Compare(facts=(began,), wants=("x",)), copies=(Copied("log", 1),),
        speaks=2,
    )  # fmt: skip
    assert one.counts.withheld == 1
    one.wire.tell("two", Frame(probes=(Ping(2),)))
    assert (len(two_.read), one.counts.withheld) == (1, 2)  # nothing was left of it
    two_.wire.versions.newest = 2
    two_.wire.tell("one", Frame())
    one.wire.tell("two", frame)
    assert (two_.read[-1], one.counts.withheld) == (msgspec.structs.replace(frame, speaks=2), 2)


def test_cl8_what_is_kept_back_is_noted_once_a_kind(kinds_that_came_with_2: None) -> None:
    _, left = understood(Frame(probes=(Ping(1), Ping(2)), facts=(Claim("a", 2, "h"),)), 1)
    assert left == ["Claim", "Ping", "Ping"]
    versions = Versions()
    assert [text.split(": ")[0] for text in versions.withheld("h", left)] == [
        f"host h speaks wire version 1, which has no {kind}" for kind in ("Claim", "Ping")
    ]
    assert list(versions.withheld("h", left)) == []
    assert is_empty(Frame(epoch=3, era=2, speaks=2))
    assert not is_empty(Frame(compare=Compare()))


def test_cl8_a_record_has_the_version_of_its_kind_and_older_ones_are_read_for_good(
    kinds_that_came_with_2: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier = TierRecord("supervised", "", "", 0)
    new, old = encode_record(tier), encode_host_record(EndRecord("r"))
    assert (new[0], old[0]) == (2, 2)
    protocol.since.SINCE.clear()
    assert (encode_record(tier)[0], encode_host_record(EndRecord("r"))[0]) == (FIRST, FIRST)
    assert decode_record(new) == decode_record(encode_record(tier)) == tier
    assert decode_host_record(old) == EndRecord("r")
    for strange in (b"", b"\x00" + new[1:], bytes((VERSION + 1,)) + new[1:]):
        with pytest.raises(
            WireInvalid, match=rf"this release reads {FIRST:02x} to {VERSION:02x}\. Nothing was changed"
        ):
            decode_record(strange)
    monkeypatch.setattr("protocol.wire.OLDEST", VERSION)
    assert decode_record(encode_record(tier)) == tier  # whatever is still spoken


def test_cl8_who_does_not_know_the_last_field_of_a_frame_passes_over_it_and_one_without_it_is_the_first() -> None:
    sent = encode_frame(Frame(probes=(Ping(1),), epoch=4, speaks=2), 1)
    *before, speaks = msgspec.msgpack.decode(sent[1:])
    assert (Frame.__struct_fields__[-1], speaks) == ("speaks", 2)
    assert decode_frame(b"\x01" + msgspec.msgpack.encode(before)) == Frame(probes=(Ping(1),), epoch=4, speaks=FIRST)
    assert decode_frame(b"\x02" + msgspec.msgpack.encode([*before, 2, "of version 3"])).speaks == 2
