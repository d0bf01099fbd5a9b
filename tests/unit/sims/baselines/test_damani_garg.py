"""Damani and Garg 1996: each undoes what depends on the failure by itself, at most once, with no synchronization."""

import pytest

from sims.baselines.application import Application, Load
from sims.baselines.damani_garg import DamaniGarg, Message, Stamp, Token, processes
from sims.baselines.rig import Rig
from tests.unit.sims.baselines.hand import Hand, full, setting


def machine(hand: Hand, agent: int) -> DamaniGarg:
    process = hand.processes[agent]
    assert isinstance(process, DamaniGarg)
    return process


def test_each_undoes_no_more_than_what_depends_on_the_lost_states():
    hand = Hand(processes(setting(full(3))))
    first = hand.work(1)
    hand.work(0, 2)
    wrong = hand.work(0, 1)
    hand.deliver(0, 2)
    hand.finish(2)
    hand.deliver(0, 1)
    orphan = hand.finish(1)
    later = hand.work(1)
    hand.wrong(0, wrong)
    hand.settle()
    # 1 keeps its first step and replays it; 2 has a message of before the wrong step.
    assert hand.undone == {0: [wrong], 1: [orphan, later]}
    assert hand.running[1].replays == first
    assert machine(hand, 1).rollbacks == 1
    assert machine(hand, 2).rollbacks == 0
    assert not hand.ever_stopped


def test_a_replay_sends_nothing_again():
    hand = Hand(processes(setting(full(2))))
    hand.work(1, 0)
    hand.deliver(1, 0)
    hand.finish(0)
    wrong = hand.work(0)
    hand.wrong(0, wrong)
    sent = len([body for _, _, body in hand.sent if body.kind == "application"])
    hand.settle()
    assert hand.running[0].replays
    hand.finish(0, 1)
    assert len([body for _, _, body in hand.sent if body.kind == "application"]) == sent
    # Then the input of the wrong step comes again.
    assert not hand.running[0].replays


def test_only_the_failed_process_begins_a_new_version():
    hand = Hand(processes(setting(full(2))))
    wrong = hand.work(0, 1)
    hand.deliver(0, 1)
    hand.finish(1)
    hand.wrong(0, wrong)
    hand.settle()
    assert machine(hand, 0).clock[0] == Stamp(1, 0)
    assert machine(hand, 1).clock[1].version == 0


def test_an_obsolete_message_is_discarded():
    hand = Hand(processes(setting(full(3))))
    wrong = hand.work(0, 1)
    hand.deliver(0, 1)
    hand.finish(1, 2)
    hand.wrong(0, wrong)
    # The token overtakes the orphan's message to 2.
    hand.deliver(0, 2)
    hand.write()
    hand.settle()
    assert 2 not in hand.running
    assert hand.processes[2].waiting() == 0


def test_a_message_of_a_later_version_waits_for_the_token():
    hand = Hand(processes(setting(full(3))))
    wrong = hand.work(0)
    hand.wrong(0, wrong)
    hand.finish(0, 1)
    hand.deliver(0, 1)  # the token
    hand.write()
    hand.deliver(0, 1)
    hand.finish(1, 2)
    hand.deliver(1, 2)
    assert 2 not in hand.running
    assert hand.processes[2].waiting() == 1
    hand.deliver(0, 2)
    assert 2 not in hand.running, "a token counts when it is logged"
    hand.write()
    assert hand.running[2].item.producer == hand.numbers


def test_messages_carry_an_entry_for_every_process():
    sizes: dict[int, float] = {}
    for count in (10, 40):
        rig = Rig(Application(Load(agents=count, topology="ring", seed=3)), processes)
        clocks: list[int] = []

        def watch(sender: int, receiver: int, frame: object, clocks: list[int] = clocks) -> None:
            body = getattr(frame, "body", None)
            if isinstance(body, Message):
                clocks.append(len(body.clock))

        rig.watch = watch
        rig.run()
        assert set(clocks) == {count}
        sizes[count] = rig.traffic.piggybacked / len(clocks)
    assert 3.5 < sizes[40] / sizes[10] < 4.5


@pytest.mark.parametrize("seed", range(15))
def test_a_failure_costs_a_token_each_and_at_most_one_rollback_each_and_nobody_waits(seed: int):
    rig = Rig(Application(Load(agents=9, topology="all-to-all", seed=seed)), processes)
    tokens: list[object] = []
    rig.watch = lambda sender, receiver, frame: tokens.append(frame.body) if isinstance(frame.body, Token) else None
    rig.run()
    assert len(tokens) == rig.traffic.frames["rollback"] == 8
    assert rig.rounds <= 1
    for seat in rig.seats:
        assert isinstance(seat.process, DamaniGarg)
        assert seat.process.rollbacks <= 1
        assert seat.stops == 0
