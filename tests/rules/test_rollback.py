"""Rules RB: negotiated rollback as double-entry bookkeeping."""

from itertools import pairwise

from protocol.ids import StepId
from protocol.message import Ballot, Data, Done, Propose
from protocol.records import DecisionRecord, VoteRecord
from protocol.step import Read
from tests.rules.bench import Bench, of


def chain(bench: Bench) -> tuple[StepId, StepId, StepId]:
    """Let a step of `a` reach `b`, and from there `c`; deliver everything."""
    first = bench.step("a", writes={"k": b"1"}, sends=(("b", b"m"),))
    bench.deliver()
    second = bench.ran("b", writes={"k": b"1"}, sends=(("c", b"m"),))
    bench.deliver()
    third = bench.ran("c", writes={"k": b"1"})
    bench.deliver()
    return first, second, third


def test_rb1_a_proposal_is_durable_before_it_is_sent_and_its_proposer_hears_the_end() -> None:
    bench = Bench("a", "b", "c", "d")
    first, *_ = chain(bench)
    bench.slow.add("d")
    bench.propose("d", first)
    bench.elapse()
    assert not any(of(Propose)(mail) for mail in bench.mail)
    bench.sync("d")
    bench.slow.clear()
    bench.deliver()
    assert [finish.outcome.decision for finish in bench.finished] == ["commit"]
    assert bench.finished[0].outcome.electors == ("a", "b", "c")


def test_rb1_the_mode_says_what_becomes_of_the_roots_inputs() -> None:
    for inputs, again in (("discard", None), ("retry", b"x"), ("amend", b"better")):
        bench = Bench("a")
        step = bench.step("a")
        bench.propose("a", step, inputs=inputs, amend=b"better")
        bench.deliver()
        assert bench.undone(step)
        assert ("a" in bench.runs) == (again is not None)
        if again is not None:
            item = bench.runs["a"].input
            assert (item.payload, item.attempt, item.evidence) == (again, 2, b"evidence")


def test_rb1_a_step_that_nobody_has_is_rejected_by_name() -> None:
    bench = Bench("a", "d")
    bench.propose("d", StepId("a", 1, 9))
    bench.deliver()
    outcome = bench.finished[0].outcome
    assert outcome.decision == "abort"
    assert outcome.rejects == (("a", "no step a/1/9 in the log of a"),)


def test_rb2_undone_is_what_depends_on_the_roots_and_nothing_else() -> None:
    bench = Bench("a", "b", "c")
    steps = chain(bench)
    reader = bench.step("b", reads=(Read("k", steps[1]),))
    apart = bench.step("b")
    bench.propose("a", steps[0])
    bench.deliver()
    assert all(bench.undone(step) for step in (*steps, reader))
    assert not bench.undone(apart)
    assert bench.value("c", "k") is None


def test_rb3_an_elector_that_learns_of_more_votes_again_and_only_then() -> None:
    bench = Bench("a", "b", "c")
    first = bench.step("a", sends=(("b", b"1"), ("c", b"1")))
    bench.deliver(of(Data))
    bench.ran("c", sends=(("b", b"2"),))
    bench.ran("b")
    bench.deliver(of(Data))
    bench.ran("b")
    bench.propose("a", first)
    bench.deliver()
    versions = [record.vote.version for record in bench.disks["b"] if isinstance(record, VoteRecord)]
    votes = [record.vote for record in bench.disks["b"] if isinstance(record, VoteRecord)]
    assert versions == sorted(set(versions))
    whole = votes[0]
    for earlier, later in pairwise(votes):
        # Each is the difference to the one before, and adds to it.
        assert (later.since, later.version) == (earlier.version, earlier.version + 1)
        assert later.cone or later.credits
        assert not {*later.cone, *later.credits} & {*whole.cone, *whole.credits}
        whole = later.after(whole)
    assert len(whole.cone) == 2


def test_rb4_nobody_commits_before_every_debit_has_its_credit() -> None:
    bench = Bench("a", "b")
    first = bench.step("a", sends=(("b", b"m"),))
    bench.drop(of(Data))
    bench.propose("a", first)
    bench.deliver(lambda mail: mail[1] == "a")
    bench.elapse(1)
    assert not bench.undone(first)
    bench.deliver()
    assert bench.undone(first)


def test_rb4_a_reject_is_final_whatever_its_voter_learns_later() -> None:
    bench = Bench("a", "b", "c")
    first, *rest = chain(bench)
    bench.agrees = lambda agent: agent != "b"
    bench.propose("a", first)
    bench.deliver(lambda mail: mail[1] != "c")
    bench.agrees = lambda agent: True
    bench.deliver()
    bench.elapse()
    bench.deliver()
    decisions = [r.decision for disk in bench.disks.values() for r in disk if isinstance(r, DecisionRecord)]
    assert set(decisions) == {"abort"}
    assert not any(bench.undone(step) for step in (first, *rest))


def test_rb4_an_elector_decides_as_the_keeper_tells_it_without_having_seen_all_votes() -> None:
    bench = Bench("a", "b", "c")
    first, *rest = chain(bench)
    bench.propose("a", first)
    # `c` is told by `b`, whose step reached it, and at the end by `a`; never what `a` has voted.
    bench.deliver(lambda mail: not (mail[0] == "a" and mail[1] == "c" and isinstance(mail[2], Ballot)))
    assert not bench.mail
    assert all(bench.undone(step) for step in (first, *rest))


def test_rb4_nobody_waits_for_a_keeper_that_has_voted_and_is_silent() -> None:
    bench = Bench("a", "b", "c", "d")
    first, *rest = chain(bench)
    bench.propose("d", first)
    bench.deliver(of(Propose))
    bench.deliver(lambda mail: mail[0] == "a" and mail[1] == "b")
    for _ in range(12):
        bench.drop(lambda mail: "a" in mail[:2])
        bench.deliver()
        bench.drop(lambda mail: "a" in mail[:2])
        bench.elapse()
    assert not bench.undone(first)
    assert all(bench.undone(step) for step in rest)


def test_rb5_a_vote_is_durable_before_anybody_sees_it() -> None:
    bench = Bench("a", "b")
    first = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.slow.add("b")
    bench.propose("a", first)
    bench.deliver()
    assert not any(mail[0] == "b" and isinstance(mail[2], Ballot) for mail in bench.mail)
    assert not bench.undone(first)
    bench.sync("b")
    bench.slow.clear()
    bench.deliver()
    assert bench.undone(first)


def test_rb5_all_that_follows_from_a_decision_stands_in_one_record() -> None:
    bench = Bench("a", "b", "c")
    first, second, _ = chain(bench)
    bench.propose("a", first, inputs="retry")
    bench.deliver()
    record = next(record for record in bench.disks["b"] if isinstance(record, DecisionRecord))
    assert record.retracted == (second,)
    assert [credit.producer for credit in record.credits] == [first]
    bench.crash("b")
    assert bench.undone(second)
    assert first in bench.machines["b"].core.retraction


def test_rb6_a_step_that_reads_a_frozen_version_is_called_off_until_the_decision() -> None:
    bench = Bench("a", "b")
    first = bench.step("a", writes={"k": b"1"}, sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.deliver()
    bench.submit("a", b"reader")
    bench.propose("a", first)
    bench.deliver(lambda mail: mail[1] == "a")  # b has not voted: undecided
    bench.ran("a", reads=(Read("k", first),), writes={"other": b"1"})
    assert bench.value("a", "other") is None
    assert "a" not in bench.runs
    bench.submit("a", b"apart")
    bench.ran("a", writes={"apart": b"1"})  # everything else goes on
    assert bench.value("a", "apart") == b"1"
    bench.deliver()
    assert bench.runs["a"].input.payload == b"reader"


def test_rb6_outputs_of_frozen_steps_stop_being_sent_until_an_abort() -> None:
    bench = Bench("a", "b")
    bench.agrees = lambda agent: agent != "b"
    first = bench.step("a", sends=(("b", b"m"),))
    bench.drop(of(Data))
    bench.propose("a", first)
    bench.deliver(lambda mail: mail[1] == "a")
    bench.elapse()
    assert not any(of(Data)(mail) for mail in bench.mail)
    bench.deliver()
    bench.elapse()
    bench.deliver()
    assert bench.runs["b"].input.payload == b"m"


def test_rb6_a_message_known_to_come_from_a_cone_step_waits_and_others_pass_it() -> None:
    bench = Bench("a", "b", "c")
    first = bench.step("a", sends=(("b", b"cone"), ("c", b"cone")))
    data = bench.drop(of(Data))
    bench.propose("a", first)
    bench.deliver(lambda mail: mail[1] != "c")
    bench.step("a", sends=(("b", b"apart"),))
    bench.mail += [mail for mail in data if mail[1] == "b"]
    bench.deliver(lambda mail: of(Data)(mail) and mail[1] == "b")
    assert bench.runs["b"].input.payload == b"apart"
    bench.ran("b")
    assert "b" not in bench.runs
    bench.deliver()
    assert "b" not in bench.runs
    assert bench.undone(first)


def test_rb7_credit_is_refused_after_the_debit_was_forgotten() -> None:
    bench = Bench("a", "b")
    first = bench.step("a", sends=(("b", b"m"),))
    data = bench.drop(of(Data))
    bench.asks_by_hand = True
    bench.propose("a", first)
    bench.deliver(lambda mail: mail[1] == "a")
    bench.answer("a")
    bench.deliver(lambda mail: mail[1] == "b")
    bench.answer("b")
    assert any(isinstance(record, VoteRecord) for record in bench.disks["b"])
    bench.mail.clear()
    bench.crash("b")  # it has forgotten a's vote, and with it the debit
    bench.drop()
    bench.mail += data
    bench.deliver(of(Data))
    assert "b" not in bench.runs


def test_rb8_nobody_but_electors_and_the_proposer_hears_of_a_rollback() -> None:
    bench = Bench("a", "b", "c", "d", "e")
    first, *_ = chain(bench)
    bench.step("a", sends=(("e", b"apart"),))
    bench.deliver()
    bench.ran("e")
    bench.deliver()
    bench.propose("d", first)
    bench.deliver()
    assert bench.undone(first)
    assert {mail[1] for mail in bench.sent if isinstance(mail[2], Propose | Ballot | Done)} == {"a", "b", "c", "d"}


def test_rb8_messages_are_four_for_each_elector_of_a_tree() -> None:
    for width in (3, 10, 30):
        leaves = [f"l{number:02}" for number in range(width)]
        bench = Bench("a", *leaves, "z")
        first = bench.step("a", sends=tuple((leaf, b"m") for leaf in leaves))
        bench.deliver()
        for leaf in leaves:
            bench.ran(leaf)
        bench.deliver()
        bench.propose("z", first)
        bench.deliver()
        assert bench.undone(first)
        sent = [mail for mail in bench.sent if isinstance(mail[2], Propose | Ballot | Done)]
        # A vote to each leaf and one back, the end to each leaf, and from everybody to the proposer.
        assert len(sent) == 4 * width + 2


def test_rb9_given_back_inputs_come_in_their_first_order_before_newer_ones() -> None:
    bench = Bench("a")
    root = bench.step("a", writes={"k": b"1"})
    for payload in (b"one", b"two"):
        bench.submit("a", payload)
        bench.ran("a", reads=(Read("k", root),))
    bench.submit("a", b"running", b"newest")
    bench.propose("a", root, inputs="retry")
    bench.deliver()
    bench.ran("a")
    order = []
    while "a" in bench.runs:
        order.append(bench.runs["a"].input.payload)
        bench.ran("a")
    assert order == [b"x", b"one", b"two", b"newest"]


def test_rb9_discard_takes_hold_of_an_input_that_waits_to_run_again() -> None:
    bench = Bench("a", "b")
    first = bench.step("a")
    bench.submit("a", b"busy")
    bench.propose("a", first, inputs="retry")
    bench.deliver()
    bench.propose("a", first, inputs="discard")
    bench.deliver()
    bench.ran("a")
    assert "a" not in bench.runs
    assert [why for _, why, _ in bench.machines["a"].core.dead] == ["discarded by a/1/p2"]


def test_rb9_a_root_whose_input_ran_again_is_answered_with_the_step_that_holds_it() -> None:
    bench = Bench("a")
    first = bench.step("a")
    bench.propose("a", first, inputs="retry")
    bench.deliver()
    again = bench.ran("a")
    bench.propose("a", first, inputs="discard")
    bench.deliver()
    assert bench.finished[-1].outcome.notes == (f"{first} was undone before; its input ran again as {again}",)
    assert not bench.undone(again)


def test_rb9_an_input_given_back_too_often_is_a_dead_letter() -> None:
    bench = Bench("a")
    step = bench.step("a")
    for _ in range(bench.limits.attempts_max):
        bench.propose("a", step, inputs="retry")
        bench.deliver()
        if "a" not in bench.runs:
            break
        step = bench.ran("a")
    assert "a" not in bench.runs
    (letter,) = bench.machines["a"].core.dead
    text = "run 16 of the 16 times that it may be, and undone each time, last a/1/16 by a/1/p16; it is not run again"
    assert letter.why == text
