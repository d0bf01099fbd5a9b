"""The agents of a host as its checkpoints see them: who is waited for, and what a newcomer is told."""

from random import Random

from protocol.action import CutReady
from protocol.checkpoints.agents import Standing
from protocol.checkpoints.anteroom import HELD_MAX, Anteroom
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import AppendHost, CommitRecord, StatedRecord
from protocol.checkpoints.tally import Statement
from protocol.event import CutWanted, RestoreDecided, RestorePending, Settled
from protocol.fact import Began
from protocol.proposal import Restore

NOW_US = 1_000_000


def machine(*agents, colour=0, restores=()):
    made = CheckpointMachine("h1", Random(1))
    standings = {agent: Standing(colour, restores) for agent in agents}
    made.start([CommitRecord(Commit(0, ("h1",)))], standings, False, NOW_US)
    return made


def stated(turns):
    records = [action.record for turn in turns for action in turn if isinstance(action, AppendHost)]
    return [record.statement for record in records if isinstance(record, StatedRecord)]


def test_the_host_says_that_it_has_cut_once_its_last_agent_has_and_what_all_of_them_need():
    host, began = machine("a", "b"), Began("b", 2, 1)
    host.begin(1, NOW_US)
    assert host.agent_cut("a", CutReady(1, 1, ()), 0, NOW_US) == []
    # Of an older cut: it does not count.
    assert host.agent_cut("b", CutReady(0, 0, ()), 0, NOW_US) == []
    said = stated(host.agent_cut("b", CutReady(1, 0, (began,)), 0, NOW_US))
    assert [(one.top, one.undecided, one.begun) for one in said] == [(1, 0, (began,))]
    # Asked again, it answers again: that is no news.
    assert stated(host.agent_cut("a", CutReady(1, 1, ()), 0, NOW_US)) == []


def test_an_agent_that_has_gone_is_not_waited_for_and_one_that_has_come_is():
    host = machine("a", "b")
    host.begin(1, NOW_US)
    host.joined("c", 0)
    host.agent_cut("a", CutReady(1, 1, ()), 0, NOW_US)
    assert stated(host.gone("b", NOW_US)) == []
    assert len(stated(host.agent_cut("c", CutReady(1, 1, ()), 0, NOW_US))) == 1


def test_a_host_without_agents_says_nothing_of_a_cut():
    host = machine("a")
    host.begin(1, NOW_US)
    assert host.gone("a", NOW_US) == []


def test_a_newcomer_is_told_of_restores_its_cut_whether_steps_wait_and_then_what_is_settled():
    past = Restore(1, 0, "r1", 0, "discard", "", 0)
    host = machine("a", colour=1, restores=(past,))
    assert host.joined("b", 0) == [
        RestoreDecided(past), CutWanted(1), RestorePending(False), Settled(0, (), host.core.horizon),
    ]  # fmt: skip
    # Before the host has said that it has cut, it waits for the word of whoever is here.
    assert CutWanted(1) in host.joined("c", 1)
    host.epochs.stated(Statement("h1"))
    assert CutWanted(1) not in host.joined("c", 1)
    assert CutWanted(1) in host.joined("c", 1, is_inherited=True)


def test_what_is_held_is_handed_over_once_and_the_oldest_goes_first_where_there_is_too_much():
    room = Anteroom()
    for number in range(HELD_MAX + 1):
        room.hold("h2", number)
    room.hold("h3", "other")
    assert room.leave(lambda sender: False) == []
    assert room.leave(lambda sender: sender == "h2") == [("h2", number) for number in range(1, HELD_MAX + 1)]
    assert room.leave(lambda sender: True) == [("h3", "other")]
    assert room.leave(lambda sender: True) == []
