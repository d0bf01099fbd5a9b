"""Rules CP-7, CP-8 and RB-10: restores, successors, and what is behind the horizon."""

import pytest

from protocol.checkpoint import CarryOut, Pause, Prepare, Promise, Refusal, StatedRecord, SucceededRecord, TakeOver
from protocol.event import CutWanted, RestoreDecided, RestorePending, Settled
from protocol.fact import Began
from protocol.ids import StepId
from protocol.limits import CheckpointLimits
from protocol.message import Data, Done
from protocol.proposal import Restore
from protocol.succession import buddies_of
from protocol.tally import Statement
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
    assert [why for _, why in bench.machines["a"].core.dead] == ["discarded by restore 1"]
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
    assert any("passed over epoch 2" in error for _, error in crowd.replies("h1"))
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


# -- CP-8


LIMITS = CheckpointLimits(buddies=2, successor_us=200_000)


def bereaved(*, views: int = 2) -> Crowd:
    """Four hosts of which one is dead, and the others know it."""
    crowd = Crowd("h0", "h1", "h2", "h3", limits=LIMITS)
    for _ in range(views):
        crowd.checkpoint("h0")
    for name, machine in crowd.machines.items():
        for other in crowd.names:
            machine.keeps(other)
        if name != "h3":
            crowd.do(name, machine.failed("h3", crowd.now_us))
    return crowd


def heirs(crowd: Crowd) -> set[str]:
    return {name for name in crowd.names if crowd.of(name, TakeOver)}


def test_cp8_buddies_are_chosen_alike_everywhere_and_never_oneself() -> None:
    names = [f"h{number}" for number in range(20)]
    for host in names:
        buddies = buddies_of(host, names, 3)
        assert len(buddies) == 3
        assert host not in buddies
        assert buddies == buddies_of(host, reversed(names), 3)
    moved = sum(buddies_of(host, names, 1) != buddies_of(host, names[:-1], 1) for host in names[:-1])
    assert moved < 6, "a host that goes takes only its own share along"


def test_cp8_one_buddy_succeeds_and_all_hear_of_it() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (heir,) = heirs(crowd)
    assert heir in buddies_of("h3", crowd.names, 2)
    for name in ("h0", "h1", "h2"):
        assert crowd.machines[name].succession.heirs == {"h3": heir}
        assert not crowd.machines[name].takes("h3", 0)


@pytest.mark.parametrize("seed", range(12))
def test_cp8_two_that_contend_never_both_succeed(seed: int) -> None:
    crowd = bereaved()
    first, second = (name for name in buddies_of("h3", crowd.names, 2))
    for name in (first, second):
        crowd.machines[name].succession._propose("h3")  # both at once, whatever their turn
        crowd.do(name, crowd.machines[name].elapsed(crowd.now_us))
    order = list(crowd.mail)
    shift = seed % max(1, len(order))
    crowd.mail = [mail for mail in (*order[shift:], *order[:shift]) if mail[1] != "h3"]
    crowd.rounds(60, without=("h3",))
    decided = {machine.succession.heirs.get("h3") for name, machine in crowd.machines.items() if name != "h3"}
    assert len(decided) == 1
    assert len(heirs(crowd)) == 1


def test_cp8_without_a_majority_nobody_succeeds_and_epochs_wait() -> None:
    crowd = bereaved()
    first = buddies_of("h3", crowd.names, 2)[0]
    away = tuple(name for name in crowd.names if name != first)
    crowd.rounds(40, without=away)
    assert heirs(crowd) == set()


def test_cp8_buddies_follow_the_views_and_not_who_seems_alive() -> None:
    crowd = bereaved()
    machine = crowd.machines["h0"]
    before = machine.succession.buddies("h3")
    for name in ("h1", "h2"):
        crowd.do("h0", machine.failed(name, crowd.now_us))
    machine.others(())
    assert machine.succession.buddies("h3") == before == buddies_of("h3", crowd.names, 2)


def test_cp8_majorities_of_views_far_apart_are_refused() -> None:
    crowd = bereaved()
    first = buddies_of("h3", crowd.names, 2)[0]
    machine = crowd.machines[first]
    crowd.do(first, machine.received("h0", Prepare("h3", (9, "h0"), machine.epochs.committed - 2), crowd.now_us))
    answers = [mail[2] for mail in crowd.mail if mail[0] == first and mail[1] == "h0"]
    assert any(isinstance(answer, Refusal) for answer in answers)
    assert not any(isinstance(answer, Promise) for answer in answers)
    crowd.do(first, machine.received("h0", Prepare("h3", (9, "h0"), machine.epochs.committed - 1), crowd.now_us))
    assert any(isinstance(mail[2], Promise) for mail in crowd.mail)


def test_cp8_a_promise_survives_a_crash() -> None:
    crowd = bereaved()
    first = buddies_of("h3", crowd.names, 2)[0]
    other = next(name for name in ("h0", "h1", "h2") if name != first)
    crowd.machines[first].succession._propose("h3")
    crowd.do(first, crowd.machines[first].elapsed(crowd.now_us))
    crowd.deliver(lambda mail: mail[1] == other)
    crowd.start(other)
    decree = crowd.machines[other].succession._decrees["h3"]
    assert decree.promised[1] == first


def test_cp8_the_successor_cuts_in_the_dead_hosts_place_until_it_is_out_of_the_view() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (heir,) = heirs(crowd)
    crowd.do(heir, crowd.machines[heir].taken_over("h3", (), (), crowd.now_us))
    for name in ("h0", "h1", "h2"):
        crowd.machines[name].others(tuple(other for other in ("h0", "h1", "h2") if other != name))
    crowd.do("h0", crowd.machines["h0"].begin(1, crowd.now_us))
    crowd.rounds(30, without=("h3",))
    commit = crowd.machines["h0"].epochs.commit
    assert commit is not None
    assert (commit.epoch, commit.view) == (3, ("h0", "h1", "h2", "h3"))
    assert commit.next_view() == ("h0", "h1", "h2")


def test_cp8_the_successor_repeats_what_the_dead_host_has_said() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (heir,) = heirs(crowd)
    said = Statement("h3", joined=("somebody",), undecided=1, top=3)
    machine = crowd.machines[heir]
    crowd.do(heir, machine.taken_over("h3", (StatedRecord(3, said),), (), crowd.now_us))
    crowd.do(heir, machine.begin(1, crowd.now_us))
    stated = [r.statement for r in crowd.logs[heir] if isinstance(r, StatedRecord) and r.statement.host == "h3"]
    assert stated == [said]


def test_cp8_nobody_is_spoken_for_before_it_is_known_what_he_has_lost() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (heir,) = heirs(crowd)
    crowd.do(heir, crowd.machines[heir].begin(1, crowd.now_us))
    crowd.rounds(5, without=("h3",))
    assert not [r for r in crowd.logs[heir] if isinstance(r, StatedRecord) and r.statement.host == "h3"]
    lost = Began("a3", 2, ((1, 5),))
    crowd.do(heir, crowd.machines[heir].taken_over("h3", (), (lost,), crowd.now_us))
    crowd.rounds(30, without=("h3",))
    commit = crowd.machines[heir].epochs.commit
    assert commit is not None
    assert (commit.epoch, commit.begun) == (3, (lost,))


def test_cp8_a_succession_is_remembered() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (heir,) = heirs(crowd)
    assert SucceededRecord("h3", heir) in crowd.logs[heir]
    crowd.done[heir].clear()
    crowd.start(heir)
    assert crowd.of(heir, TakeOver) == [TakeOver("h3")]
    assert not crowd.machines[heir].takes("h3", 0)


def test_cp8_votes_proposals_and_intents_are_facts() -> None:
    bench = Bench("a")
    bench.slow.add("a")

    def facts() -> list[str]:
        orders, found = list(bench.pending["a"]), []
        for order in orders:
            found.extend(type(record).__name__ for record in order.records if order.is_fact)
        bench.sync("a")
        return found

    bench.submit("a", b"x")
    facts()
    bench.call("a", b"args")
    assert "IntentRecord" in facts()
    bench.used("a", bench.tools[-1][1])
    facts()
    step = bench.ran("a")
    facts()
    bench.propose("a", step)
    assert "ProposedRecord" in facts()
    bench.deliver()
    assert "VoteRecord" in facts()


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
    assert bench.machines["b"].rollback.vote_records() == ()
    bench.elapse()
    bench.deliver()
    assert bench.undone(root)
    assert any(isinstance(mail[2], Done) and mail[0] == "b" for mail in bench.sent)
