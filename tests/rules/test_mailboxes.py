"""Rule ST-13: what waits is bounded at the edge."""

from protocol.event import Submitted
from protocol.limits import Limits
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
