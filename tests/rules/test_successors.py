"""Rule CP-8: a dead host's facts outlive it, and one other host goes on in its name."""

import pytest

from protocol.checkpoints.messages import (
    Prepare,
    Promise,
    Refusal,
    RestoreVoteRecord,
    SendHost,
    StatedRecord,
    SucceededRecord,
    TakeOver,
)
from protocol.checkpoints.succession import backups_of
from protocol.checkpoints.tally import Statement
from protocol.fact import Began
from protocol.limits import CheckpointLimits
from tests.rules.bench import Bench
from tests.rules.crowd import Crowd

LIMITS = CheckpointLimits(replicas=2, successor_us=200_000)


def bereaved(*, views: int = 2) -> Crowd:
    """Four hosts of which one is dead, and the others know it."""
    crowd = Crowd("h0", "h1", "h2", "h3", limits=LIMITS)
    for _ in range(views):
        crowd.checkpoint("h0")
    for name, machine in crowd.machines.items():
        for other in crowd.names:
            machine.has_copy(other)
        if name != "h3":
            crowd.do(name, machine.failed("h3", crowd.now_us))
    return crowd


def successors(crowd: Crowd) -> set[str]:
    return {name for name in crowd.names if crowd.of(name, TakeOver)}


def test_cp8_backups_are_chosen_alike_everywhere_and_never_oneself() -> None:
    names = [f"h{number}" for number in range(20)]
    for host in names:
        backups = backups_of(host, names, 3)
        assert len(backups) == 3
        assert host not in backups
        assert backups == backups_of(host, reversed(names), 3)
    moved = sum(backups_of(host, names, 1) != backups_of(host, names[:-1], 1) for host in names[:-1])
    assert moved < 6, "a host that goes takes only its own share along"


def test_cp8_one_backup_succeeds_and_all_hear_of_it() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (successor,) = successors(crowd)
    assert successor in backups_of("h3", crowd.names, 2)
    for name in ("h0", "h1", "h2"):
        assert crowd.machines[name].succession.successors == {"h3": successor}
        assert not crowd.machines[name].takes("h3", 0)


def test_cp8_who_was_away_when_a_succession_was_told_asks_before_it_waits_for_a_dead_backup() -> None:
    crowd = bereaved()
    asker = next(name for name in ("h0", "h1", "h2") if "h3" in backups_of(name, crowd.names, 2))
    crowd.rounds(40, without=("h3",))
    (successor,) = successors(crowd)
    # It comes back with what it had then, and no epoch is open that others would speak of.
    crowd.logs[asker] = [record for record in crowd.logs[asker] if not isinstance(record, SucceededRecord)]
    crowd.start(asker)
    machine = crowd.machines[asker]
    assert machine.succession.successors == {}
    crowd.do(asker, machine.failed("h3", crowd.now_us))
    crowd.mail.clear()
    crowd.rounds(10, without=("h3",))
    assert machine.succession.successors == {"h3": successor}
    assert "h3" not in machine.succession.backups(asker)


@pytest.mark.parametrize("seed", range(12))
def test_cp8_two_that_contend_never_both_succeed(seed: int) -> None:
    crowd = bereaved()
    first, second = (name for name in backups_of("h3", crowd.names, 2))
    for name in (first, second):
        crowd.machines[name].succession._propose("h3")  # both at once, whatever their turn
        crowd.do(name, crowd.machines[name].elapsed(crowd.now_us))
    order = list(crowd.mail)
    shift = seed % max(1, len(order))
    crowd.mail = [mail for mail in (*order[shift:], *order[:shift]) if mail[1] != "h3"]
    crowd.rounds(60, without=("h3",))
    decided = {machine.succession.successors.get("h3") for name, machine in crowd.machines.items() if name != "h3"}
    assert len(decided) == 1
    assert len(successors(crowd)) == 1


def test_cp8_without_a_majority_nobody_succeeds_and_epochs_wait() -> None:
    crowd = bereaved()
    first = backups_of("h3", crowd.names, 2)[0]
    away = tuple(name for name in crowd.names if name != first)
    crowd.rounds(40, without=away)
    assert successors(crowd) == set()


def test_cp8_nobody_is_succeeded_whom_a_majority_has_for_alive() -> None:
    crowd = bereaved()
    first, *others = (name for name in backups_of("h3", crowd.names, 3))
    for name in others:
        crowd.do(name, crowd.machines[name].recovered("h3", crowd.now_us))
    crowd.rounds(40)
    assert crowd.of(first, SendHost), "it asks for it"
    assert successors(crowd) == set()
    crowd.do(others[0], crowd.machines[others[0]].failed("h3", crowd.now_us))
    crowd.rounds(60, without=("h3",))
    assert successors(crowd) == set(), "two of four are no majority"
    crowd.do(others[1], crowd.machines[others[1]].failed("h3", crowd.now_us))
    crowd.rounds(200, without=("h3",))
    assert len(successors(crowd)) == 1


def test_cp8_who_hears_of_a_goodbye_later_than_of_the_succession_is_not_waited_for() -> None:
    crowd = bereaved()
    first, *others = (name for name in backups_of("h3", crowd.names, 3))
    for name in others:
        crowd.do(name, crowd.machines[name].recovered("h3", crowd.now_us))
    crowd.do(first, crowd.machines[first].left("h3", crowd.now_us))
    crowd.do(first, crowd.machines[first].elapsed(crowd.now_us))
    crowd.deliver()
    assert crowd.of(first, SendHost), "it asks for it"
    assert successors(crowd) == set()
    for name in others:
        crowd.do(name, crowd.machines[name].left("h3", crowd.now_us))
    crowd.deliver()
    assert successors(crowd) == {first}, "in no time: it would ask again only after twice 'successor'"


def test_cp8_a_ballot_that_a_commit_outlives_is_begun_anew_at_once() -> None:
    crowd = bereaved()
    first = backups_of("h3", crowd.names, 3)[0]
    machine = crowd.machines[first]
    crowd.do(first, machine.left("h3", crowd.now_us))
    crowd.do(first, machine.elapsed(crowd.now_us))
    own = machine.succession._decrees["h3"].own
    crowd.mail.clear()  # nobody has heard of that ballot
    crowd.do(first, machine.elapsed(crowd.now_us))
    assert machine.succession._decrees["h3"].own == own, "it waits for the answers"
    machine.succession._decrees["h3"].epoch -= 1  # as after a commit
    crowd.do(first, machine.elapsed(crowd.now_us))
    assert machine.succession._decrees["h3"].own != own
    crowd.mail = [mail for mail in crowd.mail if mail[1] != "h3"]
    crowd.deliver()
    assert successors(crowd) == {first}


def test_cp8_backups_follow_the_views_and_not_who_seems_alive() -> None:
    crowd = bereaved()
    machine = crowd.machines["h0"]
    before = machine.succession.backups("h3")
    for name in ("h1", "h2"):
        crowd.do("h0", machine.failed(name, crowd.now_us))
    machine.others(())
    assert machine.succession.backups("h3") == before == backups_of("h3", crowd.names, 2)


def test_cp8_majorities_of_views_far_apart_are_refused() -> None:
    crowd = bereaved()
    first = backups_of("h3", crowd.names, 2)[0]
    machine = crowd.machines[first]
    crowd.do(first, machine.received("h0", Prepare("h3", (9, "h0"), machine.epochs.committed - 2), crowd.now_us))
    answers = [mail[2] for mail in crowd.mail if mail[0] == first and mail[1] == "h0"]
    assert any(isinstance(answer, Refusal) for answer in answers)
    assert not any(isinstance(answer, Promise) for answer in answers)
    crowd.do(first, machine.received("h0", Prepare("h3", (9, "h0"), machine.epochs.committed - 1), crowd.now_us))
    assert any(isinstance(mail[2], Promise) for mail in crowd.mail)


def test_cp8_a_promise_survives_a_crash() -> None:
    crowd = bereaved()
    first = backups_of("h3", crowd.names, 2)[0]
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
    (successor,) = successors(crowd)
    crowd.do(successor, crowd.machines[successor].taken_over("h3", (), (), crowd.now_us))
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
    (successor,) = successors(crowd)
    said = Statement("h3", joined=("somebody",), undecided=1, top=3)
    machine = crowd.machines[successor]
    crowd.do(successor, machine.taken_over("h3", (StatedRecord(3, said),), (), crowd.now_us))
    crowd.do(successor, machine.begin(1, crowd.now_us))
    stated = [r.statement for r in crowd.logs[successor] if isinstance(r, StatedRecord) and r.statement.host == "h3"]
    assert stated == [said]


@pytest.mark.parametrize(("horizon", "agrees"), [(1, True), (2, False)])
def test_cp7_nobody_is_spoken_for_who_had_folded_what_is_to_be_gone_back_to(horizon: int, agrees: bool) -> None:
    crowd = Crowd("h0", "h1", "h2", "h3", limits=LIMITS)
    for _ in range(2):
        crowd.checkpoint("h0")
    crowd.do("h0", crowd.machines["h0"].restore(9, "mine", 1, "discard", "", 0, crowd.now_us))
    crowd.rounds(10, without=("h3",))
    for name in ("h0", "h1", "h2"):
        crowd.machines[name].has_copy("h3")
        crowd.do(name, crowd.machines[name].failed("h3", crowd.now_us))
    crowd.rounds(40, without=("h3",))
    (successor,) = successors(crowd)
    crowd.do(successor, crowd.machines[successor].taken_over("h3", (), (), crowd.now_us, horizon))
    crowd.rounds(20, without=("h3",))
    votes = [record.statement for record in crowd.logs[successor] if isinstance(record, RestoreVoteRecord)]
    (vote,) = [vote for vote in votes if vote.host == "h3"]
    assert ("horizon" in vote.reject) is not agrees
    assert crowd.machines["h0"].restores.era == agrees


def test_cp8_nobody_is_spoken_for_before_it_is_known_what_he_has_lost() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (successor,) = successors(crowd)
    crowd.do(successor, crowd.machines[successor].begin(1, crowd.now_us))
    crowd.rounds(5, without=("h3",))
    assert not [r for r in crowd.logs[successor] if isinstance(r, StatedRecord) and r.statement.host == "h3"]
    lost = Began("a3", 2, ((1, 5),))
    crowd.do(successor, crowd.machines[successor].taken_over("h3", (), (lost,), crowd.now_us))
    crowd.rounds(30, without=("h3",))
    commit = crowd.machines[successor].epochs.commit
    assert commit is not None
    assert (commit.epoch, commit.begun) == (3, (lost,))


def test_cp8_a_succession_is_remembered() -> None:
    crowd = bereaved()
    crowd.rounds(40, without=("h3",))
    (successor,) = successors(crowd)
    assert SucceededRecord("h3", successor) in crowd.logs[successor]
    crowd.done[successor].clear()
    crowd.start(successor)
    assert crowd.of(successor, TakeOver) == [TakeOver("h3")]
    assert not crowd.machines[successor].takes("h3", 0)


def test_cp8_who_succeeds_a_successor_goes_on_for_those_that_it_had_succeeded() -> None:
    crowd = Crowd("h0", "h1", "h2", "h3", "h4", limits=LIMITS)
    for _ in range(2):
        crowd.checkpoint("h0")
    for machine in crowd.machines.values():
        for other in crowd.names:
            machine.has_copy(other)
    dead: tuple[str, ...] = ()
    while len(dead) < 2:
        dead = ("h3", *successors(crowd))
        for name in (name for name in crowd.names if name not in dead):
            for other in dead:
                crowd.do(name, crowd.machines[name].failed(other, crowd.now_us))
        crowd.rounds(60, without=dead)
    (last,) = successors(crowd) - {*dead}
    assert crowd.machines[last].succession.successors == {"h3": dead[1], dead[1]: last}
    assert {order.dead for order in crowd.of(last, TakeOver)} == {dead[1]}
    for each in dead:
        crowd.do(last, crowd.machines[last].taken_over(each, (), (), crowd.now_us))
    crowd.do(last, crowd.machines[last].begin(1, crowd.now_us))
    crowd.rounds(40, without=dead)
    commit = crowd.machines[last].epochs.commit
    assert commit is not None
    assert commit.epoch == 3
    # In the next life, too.
    crowd.done[last].clear()
    crowd.start(last)
    assert {order.dead for order in crowd.of(last, TakeOver)} == {dead[1]}


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
