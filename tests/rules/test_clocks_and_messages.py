"""Rules CL: clocks, order, and each message once."""

import pytest

from protocol.agent.outbox import Outbox
from protocol.agent.shelf import MemoryShelf
from protocol.checkpoints.tally import Tally
from protocol.clock import covers
from protocol.errors import WireInvalid
from protocol.event import Learned, Received
from protocol.fact import Began
from protocol.ids import StepId
from protocol.limits import FRAME_BYTES_MAX, Limits
from protocol.message import Ack, Data, Void
from protocol.since import VERSION
from protocol.step import Consumer, Input, Read
from protocol.wire import Envelope, Frame, decode_frame, encode_frame
from tests.rules.bench import Bench, of


def test_cl1_a_clock_covers_what_a_step_depends_on_and_nothing_else() -> None:
    bench = Bench("a", "b")
    first = bench.step("a", writes={"k": b"1"}, sends=(("b", b"m"),))
    other = bench.step("a")
    bench.deliver(of(Data))
    reached = bench.ran("b")
    clock = bench.machines["b"].core.cone.record(reached).clock
    assert covers(clock, first)
    assert not covers(clock, other)


def test_cl2_a_message_that_names_an_unknown_incarnation_waits_for_its_beginning() -> None:
    bench = Bench("a", "b")
    producer = StepId("a", 1, 1)
    clock = {"a": (1, 1), "c": (2, 5)}
    bench.feed("b", Received("a", Data(Input("a", 1, 1, b"m", "L", producer, 0, clock))))
    assert "b" not in bench.runs
    bench.feed("b", Learned(Began("c", 2, ((1, 9),))))
    assert bench.runs["b"].input.payload == b"m"


def test_cl3_messages_of_one_sender_are_handled_in_order_whatever_comes_first() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"1"), ("b", b"2"), ("b", b"3")))
    bench.mail.reverse()
    bench.deliver(of(Data))
    seen = []
    while "b" in bench.runs:
        seen.append(bench.runs["b"].input.payload)
        bench.ran("b")
    assert seen == [b"1", b"2", b"3"]


def test_cl4_a_message_that_comes_twice_is_handled_once() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    copies = [mail for mail in bench.mail if of(Data)(mail)]
    bench.mail += copies
    bench.deliver(of(Data))
    bench.ran("b")
    bench.mail += copies
    bench.deliver(of(Data))
    assert "b" not in bench.runs
    assert len(bench.machines["b"].core.cone) == 1


def test_cl4_an_input_from_outside_is_taken_once_however_often_it_is_handed_in() -> None:
    bench = Bench("a")
    from protocol.event import Submitted

    bench.feed("a", Submitted(1, "test", 1, (b"x", b"y")))
    bench.feed("a", Submitted(2, "test", 1, (b"x", b"y", b"z")))
    payloads = []
    while "a" in bench.runs:
        payloads.append(bench.runs["a"].input.payload)
        bench.ran("a")
    assert payloads == [b"x", b"y", b"z"]


def test_cl5_a_message_is_sent_again_until_its_consumption_is_durable() -> None:
    bench = Bench("a", "b")
    bench.slow.add("b")
    bench.step("a", sends=(("b", b"m"),))
    assert bench.drop(of(Data)) != []
    bench.elapse()
    bench.deliver(of(Data))
    bench.ran("b")
    assert not any(of(Ack)(mail) for mail in bench.mail)
    bench.elapse()
    bench.deliver(of(Data))
    # It has come again while its consumer is being written: still no acknowledgment.
    assert not any(of(Ack)(mail) for mail in bench.mail)
    bench.sync("b")
    bench.deliver()
    bench.elapse()
    assert not any(of(Data)(mail) for mail in bench.mail)


def test_cl5_a_sender_that_crashes_sends_again_what_was_not_acknowledged() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    bench.drop()
    bench.crash("a")
    bench.deliver(of(Data))
    assert bench.runs["b"].input.payload == b"m"


def sent_and_acknowledged(takes_us: list[int], every_us: int) -> list[int]:
    """Send a message every so often, each acknowledged after its time; return how often each was sent."""
    limits = Limits()
    outbox = Outbox(limits, MemoryShelf())
    begins = [number * every_us for number in range(len(takes_us))]
    ends = {begin + takes: number for number, (begin, takes) in enumerate(zip(begins, takes_us, strict=True), 1)}
    sent, now_us = [0] * (len(takes_us) + 1), 0
    while ends:
        if begins and begins[0] <= now_us:
            begins.pop(0)
            number = outbox.number("b")
            outbox.add("b", None, 1, number, Void(1, number, "", False))
            outbox.release("b", 1, number)
        for end_us in [end_us for end_us in ends if end_us <= now_us]:
            assert outbox.acked("b", 1, ends.pop(end_us), Consumer(1, 1, 0), now_us)
        for _, message in outbox.send_due(now_us):
            sent[message.number] += 1
        assert outbox.deadline_us() is None or outbox.deadline_us() <= now_us + limits.resend_us_max
        now_us += 1_000
    return sent[1:]


def test_cl5_who_takes_long_is_not_sent_everything_again_and_again() -> None:
    # At first nobody knows; then the wait has grown to what it takes, whatever that is.
    for takes_us, most in ((150_000, 1), (900_000, 4), (4_000_000, 6)):
        sent = sent_and_acknowledged([takes_us] * 60, every_us=takes_us + 7_000)
        assert sent[0] <= most
        assert sent[20:] == [1] * 40
    # The same if they come close upon each other, and if the receiver has become slow in the middle.
    assert max(sent_and_acknowledged([900_000] * 60, every_us=50_000)[30:]) == 1
    assert sent_and_acknowledged([10_000] * 30 + [1_200_000] * 60, every_us=1_300_000)[60:] == [1] * 30


def test_cl5_what_is_lost_is_sent_again_as_soon_as_before_where_answers_are_quick() -> None:
    outbox = Outbox(Limits(), MemoryShelf())
    for number in range(1, 31):
        assert outbox.number("b") == number
        outbox.add("b", None, 1, number, Void(1, number, "", False))
        outbox.release("b", 1, number)
        assert len(outbox.send_due(number * 50_000)) == 1
        assert outbox.acked("b", 1, number, Consumer(1, 1, 0), number * 50_000 + 5_000)
    outbox.add("b", None, 1, outbox.number("b"), Void(1, 31, "", False))
    outbox.release("b", 1, 31)
    assert len(outbox.send_due(3_000_000)) == 1
    assert outbox.deadline_us() == 3_000_000 + Limits().resend_us


def drained(count: int, handled_us: int, down_us: int, void: bool = False) -> tuple[int, int]:
    """Send many messages to one that is down for a while; return when the last is acknowledged, and all sendings."""
    limits = Limits()
    outbox = Outbox(limits, MemoryShelf())
    for number in range(1, count + 1):
        assert outbox.number("b") == number
        message = Void(1, number, "L", True) if void else Data(Input("a", 1, number, b"", "L"))
        outbox.add("b", None, 1, number, message)
        outbox.release("b", 1, number)
    now_us, sent, there, done, free_us = 0, 0, set[int](), 0, 0
    while done < count:
        due = outbox.send_due(now_us)
        sent += len(due)
        if now_us >= down_us:
            there.update(m.input.number if isinstance(m, Data) else m.number for _, m in due)
        while done + 1 in there and free_us <= now_us:
            done += 1
            free_us = max(free_us, now_us - 1_000) + handled_us
            assert outbox.acked("b", 1, done, Consumer(1, done, 0), now_us)
        outbox.check()
        now_us += 1_000
        assert now_us < 600_000_000
    return now_us, sent


def test_cl5_what_has_piled_up_drains_as_fast_as_its_receiver_takes_it() -> None:
    down_us = 8_000_000
    for handled_us in (500, 5_000):
        took_us, sent = drained(2500, handled_us, down_us)
        # It waits no longer than the longest wait before it hears that the receiver is back.
        assert took_us - down_us < 1.3 * 2500 * max(handled_us, 1_000) + Limits().resend_us_max
        assert sent < 2 * 2500
    # While it is down it costs a batch a wait.
    assert drained(200, 500, 60_000_000)[1] < 200 + 64 * 20


def test_cl5_voids_do_not_close_the_window() -> None:
    outbox = Outbox(Limits(), MemoryShelf())
    for number in range(1, 3001):
        outbox.add("b", None, 1, outbox.number("b"), Void(1, number, "L", True))
        outbox.release("b", 1, number)
    assert len(outbox.send_due(0)) == 3000
    outbox.add("b", None, 1, outbox.number("b"), Data(Input("a", 1, 3001, b"", "L")))
    outbox.release("b", 1, 3001)
    assert len(outbox.send_due(1)) == 1
    # They come again by turns, a batch a wait: those that have come wait there for one that has not.
    again: list[int] = []
    for _ in range(60):
        due_us = outbox.deadline_us()
        assert due_us is not None
        again.extend(m.number for _, m in outbox.send_due(due_us) if isinstance(m, Void))
        outbox.check()
    assert set(again) == set(range(1, 3001))


def test_cl6_a_frame_over_a_limit_or_of_another_version_is_refused() -> None:
    clock = {f"a{n}": (1, n) for n in range(5)}
    message = Data(Input("a", 1, 1, b"m", "L", StepId("a", 1, 1), 0, clock))
    frame = Frame(envelopes=(Envelope("a", "b", message),))
    data = encode_frame(frame)
    assert decode_frame(data) == frame
    for bad in (b"", bytes((VERSION + 1,)) + data[1:], data[:-3], data[:1] + b"\xc1", bytes(FRAME_BYTES_MAX + 1)):
        with pytest.raises(WireInvalid):
            decode_frame(bad)
    many = Frame(envelopes=(Envelope("a", "b", message),) * 5000)
    with pytest.raises(WireInvalid, match="5000"):
        decode_frame(encode_frame(many))
    crowd = Frame(checkpoints=(Tally(0, b"", joined=("h",) * 100_001),))
    with pytest.raises(WireInvalid, match="100001 hosts"):
        decode_frame(encode_frame(crowd))


def test_cl6_a_message_in_the_name_of_another_agent_is_refused_and_told() -> None:
    bench = Bench("a", "b")
    bench.feed("b", Received("a", Data(Input("c", 1, 1, b"m", "L", StepId("c", 1, 1), 0, {"c": (1, 1)}))))
    assert "b" not in bench.runs
    assert [tell.notice for _, tell in bench.told] == ["refused"]


def test_cl1_a_read_makes_a_dependency() -> None:
    bench = Bench("a")
    first = bench.step("a", writes={"k": b"1"})
    second = bench.step("a", reads=(Read("k", first),))
    assert bench.machines["a"].core.cone.part((first,), ()) == (first, second)
