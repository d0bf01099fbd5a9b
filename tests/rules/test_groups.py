"""Rule RQ-4 on machines: requests of several agents are let go together, or none is."""

from collections.abc import Callable

import pytest
from msgspec import msgpack

from protocol.event import CutWanted, Received, ReleaseAsked, Settled
from protocol.message import GroupVotes
from tests.rules.bench import Bench, of
from tests.rules.members import ALL, GROUP, HOLD, MEMBERS, TIMED, answer_of, calls, request, rerun, say, settle


def test_rq4_all_are_let_go_once_each_is_ready_and_none_before() -> None:
    bench = Bench(*MEMBERS)
    for name in MEMBERS:
        request(bench, name)
    settle(bench, "a", "b")
    bench.deliver()
    assert calls(bench) == {}
    bench.crash("a")
    settle(bench, "c")
    bench.deliver()
    bench.elapse()
    bench.deliver()
    assert calls(bench) == ALL
    for name, use in list(bench.tools):
        bench.used(name, use)
        assert answer_of(bench, name) == ("done", b"r")


def test_rq4_a_vote_is_with_the_backups_before_anybody_hears_it() -> None:
    bench = Bench(*MEMBERS)
    request(bench, "a")
    bench.slow.add("a")
    settle(bench, "a")
    orders = [order for order in bench.pending["a"] if type(order.records[-1]).__name__ == "GroupVotedRecord"]
    assert [order.is_fact for order in orders] == [True]
    assert not any(map(of(GroupVotes), bench.sent))
    bench.sync("a")
    assert [mail[1] for mail in filter(of(GroupVotes), bench.sent)] == ["b", "c"]


def test_rq4_from_its_vote_on_a_member_rejects_rollbacks_and_restores_that_would_undo_it_over_crashes() -> None:
    bench = Bench(*MEMBERS)
    step = request(bench, "a")
    assert bench.machines["a"].requesting.floor == 0
    settle(bench, "a")
    for crashes in (False, True):
        if crashes:
            bench.crash("a")
        assert bench.machines["a"].requesting.floor == 1
        assert "may go with group z/1/1/settle" in bench.machines["a"].core.holds(step)
        bench.propose("b", step)
        bench.deliver()
        assert not bench.undone(step)
        assert "has said that post may go" in str(bench.finished[-1].outcome)


def test_rq4_what_is_undone_before_the_vote_has_said_nothing_and_a_re_run_may_ask_in_the_same_group() -> None:
    bench = Bench(*MEMBERS)
    step = request(bench, "a")
    bench.propose("b", step, inputs="retry")
    bench.deliver()
    assert bench.undone(step)
    settle(bench)
    bench.elapse()
    assert bench.machines["a"].grouping.open() == []
    rerun(bench, "a")
    request(bench, "b")
    request(bench, "c")
    for epoch in (2, 3):
        settle(bench, epoch=epoch)
    bench.deliver()
    assert calls(bench) == ALL


def test_rq4_an_undecided_rollback_holds_a_vote_up() -> None:
    bench = Bench(*MEMBERS)
    step = request(bench, "a")
    bench.asks_by_hand = True
    bench.propose("b", step)
    bench.deliver()
    settle(bench)
    assert bench.machines["a"].grouping.open() == []
    bench.agrees = lambda agent: False
    bench.answer("a")
    bench.deliver()
    assert bench.machines["a"].grouping.open() == [GROUP.id]


def rejected(bench: Bench) -> None:
    request(bench, "c", hold=HOLD)
    say(bench, "c", "reject")


def rejected_though_nobody_was_asked(bench: Bench) -> None:
    request(bench, "c")
    say(bench, "c", "reject")


def called_off(bench: Bench) -> None:
    request(bench, "c")
    bench.step("c", cancels=("of c",))


def out_of_time(bench: Bench) -> None:
    request(bench, "c", wait_us=1_000_000)
    bench.elapse(1_000_001)


def out_of_time_by_default(bench: Bench) -> None:
    request(bench, "c", hold=HOLD._replace(default="reject", default_us=1_000_000, value=msgpack.encode("too late")))
    bench.elapse(1_000_001)


def not_asked_in_time(bench: Bench) -> None:
    bench.elapse(1_000_000)
    bench.elapse(6_000_000)


NOES: dict[Callable[[Bench], None], str] = {
    rejected: "ann says no", rejected_though_nobody_was_asked: "ann says no", called_off: "it was called off",
    out_of_time: "its time is over", out_of_time_by_default: "too late",
    not_asked_in_time: "c was not ready in time",
}  # fmt: skip


@pytest.mark.parametrize("says_no", NOES, ids=lambda says_no: says_no.__name__)
@pytest.mark.parametrize("crashes", [False, True])
def test_rq4_one_no_is_final_and_all_are_told_who_said_it_and_why(
    says_no: Callable[[Bench], None], crashes: bool
) -> None:
    bench = Bench(*MEMBERS)
    group = TIMED if says_no is not_asked_in_time else GROUP
    for name in ("a", "b"):
        request(bench, name, group)
    settle(bench, "a", "b")
    bench.deliver()
    says_no(bench)
    bench.deliver()
    if crashes:
        for name in MEMBERS:
            bench.crash(name)
    settle(bench, epoch=2)
    for _ in range(3):
        bench.elapse()
        bench.deliver()
    assert calls(bench) == {}
    for name in ("a", "b"):
        answer, why = answer_of(bench, name)
        assert answer == "failed"
        assert f"none of group {GROUP.id} is let go: c says no: {NOES[says_no]}" in why.decode(errors="replace")
        assert bench.machines[name].requesting.floor == 0, "it may be undone again"


def test_rq4_who_has_said_ready_cant_take_that_back() -> None:
    bench = Bench(*MEMBERS)
    request(bench, "a", TIMED, wait_us=50_000_000)
    settle(bench)
    say(bench, "a", "reject")
    assert "has a say in its group" in bench.replies[-1].error
    bench.step("a", cancels=("of a",))
    bench.elapse(60_000_000)
    assert "a" not in bench.runs, "no answer, though its time and the group's would be over"
    votes = [record for record in bench.disks["a"] if type(record).__name__ == "GroupVotedRecord"]
    assert [record.why for record in votes] == [""]  # type: ignore[attr-defined]


def test_rq4_nobody_releases_one_alone_before_it_is_settled() -> None:
    bench = Bench(*MEMBERS)
    request(bench, "a")
    say(bench, "a", "release")
    assert "goes with its group" in bench.replies[-1].error


def test_rq4_a_held_request_is_ready_once_a_person_has_agreed() -> None:
    bench = Bench(*MEMBERS)
    for name in MEMBERS:
        request(bench, name, hold=HOLD if name == "b" else None)
    settle(bench)
    bench.deliver()
    assert calls(bench) == {}
    say(bench, "b", "approve")
    bench.deliver()
    assert calls(bench) == ALL


def test_rq4_a_member_is_ready_when_all_that_it_has_requested_is_and_what_it_requests_later_is_refused() -> None:
    bench = Bench(*MEMBERS)
    for name in MEMBERS:
        request(bench, name)
    request(bench, "a", hold=HOLD, args=b"more")
    settle(bench)
    bench.deliver()
    assert calls(bench) == {}
    seen = bench.machines["a"].requesting.waiting()[1]
    bench.feed("a", ReleaseAsked(7, seen.name, "", "ann", "approve"))
    request(bench, "a", args=b"too late")
    answer, why = answer_of(bench, "a")
    assert answer == "failed"
    assert b"a has spoken in group z/1/1/settle before this was requested" in why
    bench.deliver()
    assert calls(bench) == ALL | {"a": 2}


def test_rq4_who_was_cut_off_for_long_is_told_the_end_also_by_who_has_compacted_all_else() -> None:
    bench = Bench(*MEMBERS)
    for name in MEMBERS:
        request(bench, name)
    settle(bench)
    bench.drop(lambda mail: mail[1] == "c")
    bench.deliver(lambda mail: mail[1] != "c")
    assert calls(bench) == {"a": 1, "b": 1}
    for name, use in list(bench.tools):
        bench.used(name, use)
        bench.ran(name)
    for name in ("a", "b"):
        for epoch in (2, 3, 4):
            bench.feed(name, CutWanted(epoch))
            bench.feed(name, Settled(epoch, (), epoch))
        bench.crash(name)
        assert len(bench.machines[name].core.cone) == 0
    bench.drop()
    bench.elapse()
    bench.deliver()
    assert calls(bench) == ALL


@pytest.mark.parametrize("forgets", [False, True])
def test_rq4_a_base_keeps_what_was_said(forgets: bool) -> None:
    bench = Bench(*MEMBERS)
    request(bench, "a")
    if forgets:
        bench.step("a")
    settle(bench, "a")
    for epoch in (2, 3):
        bench.feed("a", CutWanted(epoch))
        bench.feed("a", Settled(epoch, (), epoch if forgets else 0))
    bench.drop()
    bench.crash("a")
    bench.elapse()
    bench.deliver()
    request(bench, "b")
    request(bench, "c")
    settle(bench, "b", "c", epoch=4)
    bench.deliver()
    assert calls(bench) == ALL


def test_rq4_votes_of_strangers_to_a_group_are_refused() -> None:
    bench = Bench("a", "z")
    bench.feed("a", Received("z", GroupVotes(GROUP, ())))
    assert [tell.notice for _, tell in bench.told] == ["refused"]
    request(bench, "a")
    bench.feed("a", Received("b", GroupVotes(GROUP._replace(members=("a", "b")), ())))
    assert bench.told[-1][1].notice == "refused"


def test_rq4_who_has_forgotten_with_its_disk_that_it_was_ready_says_nothing_else() -> None:
    bench = Bench(*MEMBERS)
    request(bench, "a", TIMED)
    settle(bench, "a")
    bench.deliver()
    del bench.disks["a"][1:]
    bench.start("a", lost=True)
    request(bench, "b", TIMED)
    bench.elapse(1_000)
    settle(bench, "b")
    bench.deliver()
    bench.elapse(60_000_000)
    assert not [record for record in bench.disks["a"] if type(record).__name__ == "GroupVotedRecord"]


def test_rq4_agents_without_groups_do_nothing_for_them() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    assert bench.machines["a"].grouping.told() == {"groups": ()}
    assert bench.machines["a"].grouping.deadline_us() is None
