"""Rules CP-7 and RB-10: restores, and what is behind the horizon."""

from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.messages import CarryOut, CommitRecord, EndRecord, Pause, RestoreVoteRecord, Settle
from protocol.checkpoints.tally import Statement, Tally
from protocol.event import CutWanted, RestoreDecided, RestorePending, Settled
from protocol.ids import StepId
from protocol.message import Data, Done
from protocol.proposal import Restore
from tests.rules.bench import Bench, of
from tests.rules.crowd import Crowd


def restore_to(epoch: int, number: int = 1, inputs: str = "discard") -> RestoreDecided:
    return RestoreDecided(Restore(number, epoch, f"r{number}", epoch, inputs))


# -- CP-7: one agent


def test_cp7_a_restore_undoes_what_came_after_the_cut_and_nothing_before() -> None:
    bench = Bench("a")
    before = bench.step("a", writes={"k": b"1"})
    bench.feed("a", CutWanted(1))
    after = bench.step("a", writes={"k": b"2"})
    bench.feed("a", restore_to(1))
    assert bench.value("a", "k") == b"1"
    assert (bench.undone(before), bench.undone(after)) == (False, True)
    assert [why for _, why, _ in bench.machines["a"].core.dead] == ["discarded by restore 1"]
    bench.crash("a")
    assert bench.value("a", "k") == b"1"
    assert bench.machines["a"].core.era == 1


def test_cp7_messages_in_flight_at_the_cut_are_delivered_again() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"in flight"),))
    for name in ("a", "b"):
        bench.feed(name, CutWanted(1))
    bench.deliver()
    first = bench.ran("b", writes={"k": b"1"})
    for name in ("a", "b"):
        bench.feed(name, restore_to(1))
    assert bench.undone(first)
    assert bench.runs["b"].input.payload == b"in flight"


def test_cp7_a_message_of_an_undone_step_is_refused_however_late() -> None:
    bench = Bench("a", "b")
    for name in ("a", "b"):
        bench.feed(name, CutWanted(1))
    bench.step("a", sends=(("b", b"undone"),))
    late = bench.drop(of(Data))
    for name in ("a", "b"):
        bench.feed(name, restore_to(1))
    bench.mail.extend(late)
    bench.deliver()
    assert "b" not in bench.runs
    bench.step("a", sends=(("b", b"new"),))
    bench.elapse()
    bench.deliver()
    assert bench.runs["b"].input.payload == b"new", "the place of the undone one keeps nobody waiting"


def test_cp7_inputs_from_outside_run_again_if_that_is_wanted() -> None:
    bench = Bench("a")
    bench.feed("a", CutWanted(1))
    bench.step("a", writes={"k": b"1"})
    bench.feed("a", restore_to(1, inputs="retry"))
    assert bench.runs["a"].input.attempt == 2
    bench.ran("a", writes={"k": b"2"})
    assert bench.value("a", "k") == b"2"
    assert bench.machines["a"].core.dead == []


def test_cp7_an_agent_that_has_agreed_begins_no_step_until_it_is_decided() -> None:
    bench = Bench("a")
    bench.feed("a", RestorePending(True))
    bench.submit("a", b"x")
    assert "a" not in bench.runs
    bench.feed("a", RestorePending(False))
    assert "a" in bench.runs


# -- CP-7: hosts


def agreed_crowd() -> Crowd:
    crowd = Crowd("h0", "h1", "h2")
    crowd.checkpoint("h0")
    crowd.checkpoint("h0")
    return crowd


def test_rq2_a_host_that_comes_back_says_to_pause_before_it_says_what_is_settled() -> None:
    crowd = agreed_crowd()
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    crowd.sync("h1")
    told = len(crowd.of("h1", object))
    crowd.start("h1")
    orders = [order for order in crowd.of("h1", object)[told:] if isinstance(order, Pause | Settle)]
    assert [type(order) for order in orders] == [Pause, Settle]
    newcomer = [type(event) for event in crowd.machines["h1"].joined("new", 0)]
    assert newcomer.index(RestorePending) < newcomer.index(Settled)


def test_cp7_all_must_agree_and_all_carry_it_out() -> None:
    crowd = agreed_crowd()
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    assert crowd.of("h1", Pause)[-1] == Pause(True)
    assert crowd.of("h1", CarryOut) == []
    crowd.rounds()
    for name in crowd.names:
        (order,) = crowd.of(name, CarryOut)
        assert isinstance(order, CarryOut)
        assert (order.restore.number, order.restore.epoch, order.restore.top) == (1, 1, 2)
        assert crowd.of(name, Pause)[-1] == Pause(False)
    assert ("1", "") in crowd.replies("h1")


def test_cp7_one_reject_is_final() -> None:
    crowd = agreed_crowd()
    crowd.machines["h2"].core.horizon = 2
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    crowd.rounds()
    assert all(crowd.of(name, CarryOut) == [] for name in crowd.names)
    assert any("behind the horizon" in error for _, error in crowd.replies("h1"))
    crowd.machines["h2"].core.horizon = 0
    crowd.start("h0")
    crowd.rounds()
    assert all(crowd.of(name, CarryOut) == [] for name in crowd.names), "nothing revives it"


def test_cp7_a_restore_that_came_to_nothing_is_not_begun_again_by_who_asks_once_more() -> None:
    crowd = agreed_crowd()
    crowd.machines["h2"].core.horizon = 2
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    crowd.rounds()
    # Whoever was asked first is gone, and the question comes to another host, under the same name.
    crowd.do("h0", crowd.machines["h0"].restore(4, "mine", 1, "discard", "", 0, crowd.now_us))
    assert any("behind the horizon" in error for _, error in crowd.replies("h0"))
    assert crowd.machines["h0"].restores.open == {}


def test_cp7_a_newcomers_reject_is_told_by_its_later_lives_too() -> None:
    restore, commit = Restore(1, 1, "x", 1, "discard"), Commit(1, ("a",), (), (), 1)
    crowd = Crowd("a", "b")
    # Only the statement of a, which is not in b's log, names b as somebody who has to agree.
    crowd.logs["b"] = [
        CommitRecord(commit),
        RestoreVoteRecord(restore, Statement("b", reject="no"), commit),
        EndRecord("x", (("b", "no"),)),
    ]
    crowd.start("b")
    asks = Tally(1, b"\x01", joined=("b",), joined_bits=b"\x00", restore=restore)
    crowd.do("b", crowd.machines["b"].received("a", asks, crowd.now_us))
    answers = [message for _, _, message in crowd.mail if isinstance(message, Tally) and message.restore == restore]
    assert [message.rejects for message in answers] == [(("b", "no"),)]


def test_cp7_two_at_once_are_never_both_carried_out_under_one_number() -> None:
    crowd = agreed_crowd()
    for name, epoch in (("h0", 1), ("h1", 2)):
        crowd.do(name, crowd.machines[name].restore(9, name, epoch, "discard", "", 0, crowd.now_us))
    crowd.rounds()
    carried = {str(crowd.of(name, CarryOut)) for name in crowd.names}
    assert len(carried) == 1


def test_cp7_epochs_that_a_restore_has_passed_over_are_refused() -> None:
    crowd = agreed_crowd()
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    crowd.rounds()
    crowd.do("h1", crowd.machines["h1"].restore(10, "again", 2, "discard", "", 0, crowd.now_us))
    assert any("passed over checkpoint 2" in error for _, error in crowd.replies("h1"))
    crowd.checkpoint("h0")
    crowd.do("h1", crowd.machines["h1"].restore(11, "later", 3, "discard", "", 0, crowd.now_us))
    crowd.rounds()
    assert ("2", "") in crowd.replies("h1")


def test_cp7_who_is_behind_takes_nothing_of_a_later_era() -> None:
    crowd = agreed_crowd()
    machine = crowd.machines["h2"]
    assert machine.takes("h0", 0)
    assert not machine.takes("h0", 1)


def test_cp7_nobody_waits_for_a_host_that_does_not_answer() -> None:
    crowd = agreed_crowd()
    crowd.do("h1", crowd.machines["h1"].failed("h2", crowd.now_us))
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    assert any("h2 does not answer" in error for _, error in crowd.replies("h1"))
    crowd.do("h1", crowd.machines["h1"].recovered("h2", crowd.now_us))
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    crowd.rounds()
    assert ("1", "") in crowd.replies("h1")


def test_cp7_past_its_deadline_a_host_rejects() -> None:
    crowd = agreed_crowd()
    late_us = crowd.now_us + 1
    crowd.do("h1", crowd.machines["h1"].restore(9, "mine", 1, "discard", "", late_us, crowd.now_us))
    crowd.rounds()
    assert all(crowd.of(name, CarryOut) == [] for name in crowd.names)
    assert any("deadline" in error for _, error in crowd.replies("h1"))


# -- RB-10


def final_bench() -> tuple[Bench, StepId]:
    bench = Bench("a")
    root = bench.step("a")
    for epoch in (1, 2):
        bench.feed("a", CutWanted(epoch))
        bench.feed("a", Settled(epoch, (), epoch))
    return bench, root


def test_rb10_a_root_behind_the_horizon_is_refused_with_the_reason() -> None:
    bench, root = final_bench()
    bench.propose("a", root)
    bench.deliver()
    (finish,) = bench.finished
    assert finish.outcome.decision == "abort"
    assert "older steps are final" in finish.outcome.rejects[0][1]


def test_rb10_a_part_that_grows_behind_the_horizon_is_refused_too() -> None:
    bench = Bench("a", "b")
    root = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    for epoch in (1, 2):
        bench.feed("b", CutWanted(epoch))
        bench.feed("b", Settled(epoch, (), epoch))
    bench.propose("a", root)
    bench.deliver()
    (finish,) = bench.finished
    assert finish.outcome.decision == "abort"
    assert not bench.undone(root)


def test_rb10_an_elector_whose_votes_are_forgotten_still_tells_its_verdict() -> None:
    bench = Bench("a", "b")
    root = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.propose("a", root)
    bench.deliver(lambda mail: mail[0] == "a")
    bench.drop()
    assert list(bench.machines["b"].rollback.decided)
    assert bench.machines["a"].rollback.undecided()
    for epoch in (1, 2):
        bench.feed("b", CutWanted(epoch))
        bench.feed("b", Settled(epoch, (), epoch))
    assert bench.machines["b"].rollback.told()["votes"] == ()
    bench.elapse()
    bench.deliver()
    assert bench.undone(root)
    assert any(isinstance(mail[2], Done) and mail[0] == "b" for mail in bench.sent)
