"""Rule ST-13: what waits is bounded at the edge."""

from protocol.event import Submitted
from protocol.limits import Limits
from protocol.message import Data
from tests.rules.bench import Bench

FEW = Limits(mailbox_max=3, backlog_max=4)


def handed_in(bench: Bench, name: str, first: int, *payloads: bytes) -> str:
    """Hand in inputs; return the kind of error, empty for none."""
    bench.feed(name, Submitted(first, "edge", first, payloads))
    return bench.replies[-1].kind


def test_st13_an_agent_at_which_as_many_wait_as_may_takes_on_no_more_from_outside() -> None:
    bench = Bench("a", limits=FEW)
    assert handed_in(bench, "a", 1, b"1", b"2", b"3", b"4") == "", "the first runs, and three wait"
    assert handed_in(bench, "a", 5, b"5") == "MailboxFull"
    assert "3 inputs wait at a, and 3 may. Nothing more was taken on." in bench.replies[-1].error
    assert handed_in(bench, "a", 1, b"1", b"2", b"3", b"4") == "", "whoever hands in again what is taken is told so"
    bench.ran("a")
    assert handed_in(bench, "a", 5, b"5") == ""
    bench.crash("a")
    assert [handed_in(bench, "a", 6, b"6"), len(bench.machines["a"].stepping.waiting())] == ["MailboxFull", 4]


def test_st13_more_than_fit_at_once_are_taken_on_where_nothing_waits() -> None:
    bench = Bench("a", limits=FEW)
    assert handed_in(bench, "a", 1, *[b"x"] * 10) == ""


def test_st13_an_agent_begins_nothing_from_outside_while_others_have_not_taken_what_it_sent() -> None:
    bench = Bench("a", "b", limits=FEW)
    bench.step("a", sends=(("b", b"1"), ("b", b"2"), ("b", b"3"), ("b", b"4"), ("b", b"5")))
    assert handed_in(bench, "a", 1, b"x") == ""
    assert "a" not in bench.runs
    bench.crash("a")
    assert "a" not in bench.runs
    bench.step("b", sends=(("a", b"back"),))
    bench.deliver()
    assert bench.runs["a"].input.payload == b"back", "what agents send is handled: a circle can't stand still"
    bench.ran("a")
    counts = []
    while "a" not in bench.runs:
        bench.ran("b")
        bench.deliver()
        counts.append(bench.machines["a"].core.outbox.count)
    assert counts == [4, 3, 2], "until half of what may be there is"
    assert bench.runs["a"].input.payload == b"x"


NEAR = Limits(window=2, at_hand=3, resend_batch=2)
"""Three messages to a receiver are in memory, and what waits behind them is not."""


def handled(bench: Bench, name: str) -> list[bytes]:
    """Let an agent handle all that comes; return that, in order."""
    payloads: list[bytes] = []
    bench.deliver()
    while name in bench.runs:
        payloads.append(bench.runs[name].input.payload)
        bench.ran(name)
        bench.deliver()
    return payloads


def test_st13_what_waits_for_a_receiver_behind_the_window_lies_on_the_shelf_and_comes_in_order() -> None:
    bench = Bench("a", "b", limits=NEAR)
    bench.step("a", sends=[("b", b"%d" % number) for number in range(20)])
    outbox = bench.machines["a"].core.outbox
    assert (outbox.unsent(), outbox.shelved()) == (20, 17)
    assert len([message for _, _, message in bench.sent if isinstance(message, Data)]) == 2
    assert handled(bench, "b") == [b"%d" % number for number in range(20)]
    assert (outbox.unsent(), outbox.shelved()) == (0, 0)


def test_st13_what_waits_on_the_shelf_is_in_the_log_and_there_again_after_a_crash() -> None:
    bench = Bench("a", "b", limits=NEAR)
    for first in (0, 4, 8):
        bench.step("a", sends=[("b", b"%d" % number) for number in range(first, first + 4)])
    bench.crash("a")
    assert bench.machines["a"].core.outbox.shelved() == 9
    assert handled(bench, "b") == [b"%d" % number for number in range(12)]


def test_st13_of_what_waits_on_the_shelf_a_rollback_takes_what_it_undoes_and_nothing_else() -> None:
    bench = Bench("a", "b", limits=NEAR)
    steps = [bench.step("a", sends=[("b", b"%d%d" % (step, at)) for at in range(4)]) for step in range(4)]
    bench.propose("a", steps[2], inputs="discard")
    outbox = bench.machines["a"].core.outbox
    assert outbox.shelved() == 13, "nothing is gone before it is decided"
    assert handled(bench, "b") == [b"%d%d" % (step, at) for step in (0, 1, 3) for at in range(4)]
    assert outbox.unsent() == 0


def test_st13_nothing_leaves_the_shelf_before_its_record_is_durable() -> None:
    bench = Bench("a", "b", limits=NEAR)
    bench.step("a", sends=[("b", b"%d" % number) for number in range(4)])
    bench.slow.add("a")
    bench.step("a", sends=[("b", b"%d" % number) for number in range(4, 8)])
    assert handled(bench, "b") == [b"0", b"1", b"2", b"3"]
    bench.sync("a")
    assert handled(bench, "b") == [b"4", b"5", b"6", b"7"]
