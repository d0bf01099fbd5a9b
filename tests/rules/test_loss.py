"""Rules FR: forced retraction, when the end of a log is lost."""

from protocol.agent.machine import PeerMachine
from protocol.event import Learned, Recovered
from protocol.fact import Began
from protocol.ids import StepId
from protocol.message import Data, Propose, Void
from protocol.records import BirthRecord
from protocol.step import StepRecord
from tests.rules.bench import Bench, of


def lose_last_step(bench: Bench, name: str) -> Began:
    """Cut the last step and all after it from a disk, begin again, and return what is published."""
    at = max(at for at, record in enumerate(bench.disks[name]) if isinstance(record, StepRecord))
    del bench.disks[name][at:]
    bench.mail = [mail for mail in bench.mail if mail[1] != name]
    bench.facts.clear()
    bench.start(name, lost=True)
    fact = bench.facts[-1].fact
    assert isinstance(fact, Began)
    return fact


def test_fr1_a_loss_begins_an_incarnation_that_is_published_once_it_is_durable() -> None:
    bench = Bench("a")
    bench.step("a")
    bench.step("a")
    fact = lose_last_step(bench, "a")
    assert fact == Began("a", 2, ((1, 1),))
    assert bench.disks["a"][-1] == BirthRecord(2, ((1, 1),))
    assert bench.step("a") == StepId("a", 2, 1)
    bench.slow.add("a")
    bench.facts.clear()
    bench.start("a", lost=True)
    assert bench.facts == []


def test_fr1_a_beginning_is_known_to_others_and_told_again_so_it_is_never_begun_twice() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.deliver()
    fact = lose_last_step(bench, "a")
    bench.feed("b", Learned(fact))
    bench.facts.clear()
    bench.crash("b")
    assert [published.fact for published in bench.facts] == [fact]
    bench.machines["a"] = PeerMachine("a")
    bench.pending["a"] = []
    bench.feed("a", Recovered(tuple(bench.disks["a"][:2]), lost=True, incarnation=fact.incarnation))
    assert bench.machines["a"].core.incarnation == fact.incarnation + 1


def test_fr1_lives_that_may_have_been_begun_elsewhere_count_as_lost() -> None:
    bench = Bench("a")
    bench.step("a")
    bench.machines["a"] = PeerMachine("a")
    bench.pending["a"] = []
    bench.feed("a", Recovered(tuple(bench.disks["a"]), lost=True, unheard=2))
    bench.sync("a")
    core = bench.machines["a"].core
    assert core.incarnation == 4
    assert [published.fact.lost for published in bench.facts] == [((1, 1), (2, 0), (3, 0))]
    assert [core.lives.is_lost("a", life, 1) for life in (1, 2, 3, 4)] == [False, True, True, False]


def test_fr1_a_beginning_that_says_more_of_a_life_to_be_lost_is_heard_after_a_later_one() -> None:
    bench = Bench("a", "b")
    orphans: list[StepId] = []
    for body in (b"kept", b"lost", b"lost too"):
        bench.step("a", sends=(("b", body),))
        bench.deliver()
        orphans.append(bench.ran("b"))
        bench.deliver()
    # A successor had the first step alone, began anew, and died; another, that had two, has begun after it.
    bench.feed("b", Learned(Began("a", 3, ((1, 2), (2, 0)))))
    assert [bench.undone(step) for step in orphans] == [False, False, True]
    bench.feed("b", Learned(Began("a", 2, ((1, 1),))))
    assert [bench.undone(step) for step in orphans] == [False, True, True]


def test_fr2_whatever_hangs_on_lost_steps_goes_however_far_it_spread() -> None:
    bench = Bench("a", "b", "c")
    kept = bench.step("a", sends=(("b", b"kept"),))
    bench.deliver()
    stands = bench.ran("b")
    bench.step("a", sends=(("b", b"lost"),))
    bench.deliver()
    orphan = bench.ran("b", sends=(("c", b"on"),))
    bench.deliver()
    far = bench.ran("c")
    bench.deliver()
    fact = lose_last_step(bench, "a")
    for name in ("b", "c"):
        bench.feed(name, Learned(fact))
    assert bench.undone(orphan)
    assert bench.undone(far)
    assert not bench.undone(kept)
    assert not bench.undone(stands)


def test_fr2_a_late_message_of_a_lost_step_is_dropped() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"lost"),))
    late = bench.drop(of(Data))
    fact = lose_last_step(bench, "a")
    bench.feed("b", Learned(fact))
    bench.mail += late
    bench.deliver()
    assert "b" not in bench.runs


def test_fr3_what_lost_steps_had_consumed_is_sent_again() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.deliver()  # acknowledged
    fact = lose_last_step(bench, "b")
    bench.feed("a", Learned(fact))
    bench.deliver()
    assert bench.runs["b"].input.payload == b"m"
    assert bench.runs["b"].step == StepId("b", 2, 1)


def test_fr3_an_acknowledgment_by_a_lost_step_that_comes_late_is_void() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    acknowledgment = bench.drop()
    fact = lose_last_step(bench, "b")
    bench.feed("a", Learned(fact))
    bench.mail += acknowledgment
    bench.deliver(lambda mail: mail[1] == "a")
    bench.elapse()
    bench.deliver()
    assert bench.runs["b"].input.payload == b"m"


def test_fr3_what_is_to_be_sent_again_waits_while_its_step_is_frozen_and_leaves_after_an_abort() -> None:
    bench = Bench("a", "b")
    bench.agrees = lambda agent: agent != "b"
    root = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.deliver()
    bench.propose("a", root)
    bench.deliver(of(Propose))
    fact = lose_last_step(bench, "b")
    bench.feed("a", Learned(fact))
    bench.elapse()
    assert not any(of(Data)(mail) for mail in bench.mail)
    bench.deliver()
    bench.elapse()
    bench.deliver()
    assert not bench.undone(root)
    assert bench.runs["b"].input.payload == b"m"


def test_fr3_nobody_waits_for_a_number_that_went_with_a_lost_life() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"kept"),))
    kept = bench.drop(of(Data))
    bench.step("a", sends=(("b", b"lost"),))
    bench.drop(of(Data))
    fact = lose_last_step(bench, "a")
    bench.feed("b", Learned(fact))
    bench.mail.append(("a", "b", Void(1, 3, "", False)))  # late, of the lost life: number 2 will never come
    bench.deliver()
    bench.mail += kept
    bench.deliver()
    bench.ran("b")
    assert bench.machines["b"].is_idle()


def test_fr1_beginnings_that_come_in_the_wrong_order_are_all_heard() -> None:
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.deliver()
    earlier = lose_last_step(bench, "b")
    bench.step("b")
    later = lose_last_step(bench, "b")
    assert earlier.lost[0][0] < later.lost[0][0]
    bench.feed("a", Learned(later))
    bench.feed("a", Learned(earlier))
    bench.ran("b")  # its own input, once more
    bench.elapse()
    bench.deliver()
    assert bench.runs["b"].input.payload == b"m"
