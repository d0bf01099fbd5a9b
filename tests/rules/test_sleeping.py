"""Rule CP-13: whom a cut does not concern sleeps through it."""

from random import Random

from protocol.action import CutReady
from protocol.agent.colours import places
from protocol.checkpoints.agents import Standing
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.estates import commit_in, reached_by
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import AppendHost, CheckpointAction, CommitRecord, MakeCut, StatedRecord
from protocol.checkpoints.tally import Statement
from protocol.event import (
    CutWanted,
    LogStalled,
    PauseAsked,
    Reached,
    Recovered,
    RestorePending,
    Settled,
)
from protocol.fact import Began
from protocol.records import Cut
from tests.rules.bench import Bench

NOW_US = 1_000_000


def host_with(*agents: str, colour: int = 0) -> CheckpointMachine:
    """Return a host that is the only member, and whose agents are awake."""
    made = CheckpointMachine("h1", Random(1))
    made.start([CommitRecord(Commit(0, ("h1",)))], dict.fromkeys(agents, Standing(colour)), False, NOW_US)
    return made


def stated(actions: list[CheckpointAction]) -> list[Statement]:
    records = [action.record for action in actions if isinstance(action, AppendHost)]
    return [record.statement for record in records if isinstance(record, StatedRecord)]


def checkpoint(bench: Bench, epoch: int, horizon: int) -> None:
    """Have one agent make a cut, and tell it that it is committed."""
    bench.feed("a", CutWanted(epoch))
    bench.feed("a", Settled(epoch, (), horizon))


# -- who sleeps


def test_cp13_who_has_nothing_that_a_commit_would_change_may_sleep() -> None:
    bench = Bench("a")
    checkpoint(bench, 1, 0)
    assert bench.machines["a"].is_dormant()
    bench.step("a")
    assert not bench.machines["a"].is_dormant()
    checkpoint(bench, 2, 1)
    assert not bench.machines["a"].is_dormant()
    # The horizon passes its step, and it writes a base.
    checkpoint(bench, 3, 3)
    checkpoint(bench, 4, 4)
    assert bench.machines["a"].is_dormant()


def test_cp13_who_waits_for_an_acknowledgment_or_for_people_does_not_sleep() -> None:
    bench = Bench("a", "b")
    checkpoint(bench, 1, 0)
    bench.step("a", sends=[("b", b"x")])
    for epoch in range(2, 6):
        checkpoint(bench, epoch, epoch)
    assert not bench.machines["a"].is_dormant()
    bench = Bench("a")
    bench.feed("a", PauseAsked(0, True, "because", "somebody"))
    checkpoint(bench, 1, 0)
    assert not bench.machines["a"].is_dormant()


# -- what a cut costs


def test_cp13_the_cut_of_agents_that_sleep_is_their_hosts_record_alone() -> None:
    host = host_with("a", "b")
    assert host.slept({"a": (), "b": ()}, NOW_US) == []
    assert host.core.agents.awake() == []
    actions = host.begin(1, NOW_US)
    assert [(said.host, said.top, said.undecided) for said in stated(actions)] == [("h1", 1, 1)]


def test_cp13_a_cut_waits_for_those_alone_that_are_awake() -> None:
    host = host_with("a", "b")
    host.slept({"b": ()}, NOW_US)
    assert stated(host.begin(1, NOW_US)) == []
    # Woken meanwhile: where it slept is its place, so nobody waits for its record.
    assert CutWanted(1) in host.core.before("b", Reached("a"), 0)
    (actions,) = host.agent_cut("a", CutReady(1, 1, ()), 0, NOW_US)
    assert len(stated(actions)) == 1


def test_cp13_what_one_that_sleeps_has_lost_is_named_with_each_cut() -> None:
    began = Began("a", 2, ((1, 3),))
    host = host_with("a")
    host.slept({"a": (began,)}, NOW_US)
    assert [said.begun for said in stated(host.begin(1, NOW_US))] == [(began,)]


# -- waking


def test_cp13_who_is_woken_makes_its_hosts_cut_before_it_handles_anything() -> None:
    host = host_with("a")
    host.slept({"a": ()}, NOW_US)
    host.begin(1, NOW_US)
    told = host.core.before("a", Reached("b"), 0)
    assert told == [CutWanted(1), RestorePending(False), Settled(0, (), host.core.horizon)]
    assert host.core.before("a", Reached("b"), 1) == []
    assert host.core.agents.awake() == ["a"]


def test_cp13_that_no_step_may_begin_and_that_a_life_begins_wakes_nobody() -> None:
    host = host_with("a")
    host.slept({"a": ()}, NOW_US)
    for event in (LogStalled(True), RestorePending(True), Recovered((), False, 1)):
        assert host.core.before("a", event, 0) == []
    assert host.core.agents.sleeps("a")


def test_cp13_who_has_lost_that_it_was_woken_makes_the_cut_before_anything_else() -> None:
    log = [CommitRecord(Commit(0, ("h1",))), StatedRecord(2, Statement("h1", top=2))]
    for colour, is_asked in ((1, True), (2, False)):
        host = CheckpointMachine("h1", Random(1))
        standings = {"a": Standing(2), "b": Standing(colour)}
        assert (MakeCut(2) in host.start(log, standings, False, NOW_US)) is is_asked


def test_cp13_a_successor_makes_the_cut_of_which_only_the_log_of_the_dead_host_tells() -> None:
    said = [CommitRecord(Commit(2, ("h1", "h2"))), StatedRecord(3, Statement("h2", top=3))]
    assert reached_by(said) == 3
    host = host_with("a")
    assert host.catches_up(reached_by(said), NOW_US) == [MakeCut(3)]
    assert host.epochs.colour == 3
    assert host.catches_up(3, NOW_US) == []
    # Whoever comes from there is asked for that cut, whatever its own log tells.
    assert CutWanted(3) in host.joined("b", 1, is_inherited=True)


def test_cp13_a_successor_hears_from_the_log_of_the_dead_host_of_a_commit_that_nobody_else_knows() -> None:
    commit = Commit(2, ("h1", "h2"))
    said = [CommitRecord(commit), StatedRecord(3, Statement("h2", top=3))]
    actions = host_with("a").catches_up(reached_by(said), NOW_US, commit_in(said))
    assert [action.record for action in actions if isinstance(action, AppendHost)] == [CommitRecord(commit)]
    assert MakeCut(3) in actions


# -- looking at it


def test_cp13_the_place_of_who_slept_is_that_of_its_next_cut_or_the_end_of_its_log() -> None:
    made, end = (Cut(2, 0, 1, 5, 70), Cut(5, 0, 1, 5, 90)), Cut(0, 0, 1, 8, 0)
    found = places(made, 1, 7, end)
    assert [(cut.epoch, cut.seq, cut.time_us) for cut in found] == [
        (1, 5, 0), (2, 5, 70), (3, 5, 0), (4, 5, 0), (5, 5, 90), (6, 8, 0), (7, 8, 0),
    ]  # fmt: skip
