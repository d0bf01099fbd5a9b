"""Koo and Toueg 1987: only those take part that have to, and all of them or none."""

import pytest

from sims.baselines.application import Application, Load
from sims.baselines.koo_toueg import KooToueg, processes
from sims.baselines.rig import Rig
from tests.unit.sims.baselines.hand import Hand, full, setting


def checkpoints(hand: Hand) -> list[int]:
    found: list[int] = []
    for process in hand.processes:
        assert isinstance(process, KooToueg)
        found.append(len(process.journal.checkpoints) - 1)
    return found


def chain() -> Hand:
    """0 has written to 1, and 1 to 2; 3 has worked alone."""
    hand = Hand(processes(setting(full(4))))
    hand.work(0, 1)
    hand.deliver(0, 1)
    hand.finish(1, 2)
    hand.deliver(1, 2)
    hand.finish(2)
    hand.work(3)
    return hand


def test_only_those_take_a_checkpoint_whose_messages_would_else_have_no_sender():
    hand = chain()
    hand.timer(2)
    hand.settle()
    assert checkpoints(hand) == [1, 1, 1, 0]
    # A request, an answer and a decision for each of the two that were asked.
    assert hand.count("checkpoint") == 6


def test_who_has_only_sent_need_not_ask_those_who_have_received():
    hand = chain()
    hand.timer(0)
    hand.settle()
    assert checkpoints(hand) == [1, 0, 0, 0]
    assert hand.count("checkpoint") == 0


def test_who_has_recorded_the_sending_takes_no_other():
    hand = chain()
    hand.timer(2)
    hand.settle()
    hand.timer(2)
    hand.settle()
    assert checkpoints(hand) == [1, 1, 2, 0]


def test_all_checkpoints_become_permanent_or_none():
    hand = chain()
    hand.timer(0)
    hand.timer(2)
    # 0 has one of its own open, which is not durable: it refuses, so that of 1 and 2 come to nothing.
    for sender, receiver in ((2, 1), (1, 0), (0, 1)):
        hand.deliver(sender, receiver)
    assert checkpoints(hand) == [1, 1, 1, 0]
    hand.settle()
    assert checkpoints(hand) == [1, 0, 0, 0]
    # Nothing of it is left: the next attempt asks the same again.
    hand.timer(2)
    hand.settle()
    assert checkpoints(hand) == [1, 1, 1, 0]


def test_nothing_leaves_between_a_tentative_checkpoint_and_its_decision():
    hand = chain()
    hand.timer(2)
    hand.work(2, 3)
    assert (2, 3) not in hand.channels
    hand.settle()
    assert hand.running[3].item.producer == hand.numbers


def test_only_those_roll_back_that_have_handled_what_is_undone():
    hand = Hand(processes(setting(full(4))))
    before = hand.work(0, 2)
    hand.deliver(0, 2)
    hand.finish(2)
    hand.timer(0)
    hand.settle()
    wrong = hand.work(0, 1)
    hand.deliver(0, 1)
    handled = hand.finish(1, 3)
    hand.wrong(0, wrong)
    hand.settle()
    # 2 has a message of before the checkpoint only; that to 3 had not been handled, and is refused.
    assert hand.undone == {0: [wrong], 1: [handled]}
    assert set(hand.ever_stopped) == {0, 1}
    assert 3 not in hand.running
    assert before not in hand.undone[0]
    # The root's input comes again; what it had sent does not.
    assert hand.running[0].item.producer == 0
    assert 1 not in hand.running


def test_all_roll_back_or_none():
    hand = Hand(processes(setting(full(3))))
    wrong = hand.work(0, 1)
    hand.deliver(0, 1)
    hand.finish(1, 2)
    refusing = hand.processes[2]
    assert isinstance(refusing, KooToueg)
    refusing.willing = False
    hand.wrong(0, wrong)
    hand.settle()
    assert hand.undone == {}
    assert not hand.stopped
    # The message that was in doubt is handled after all.
    assert hand.running[2].item.producer != 0


@pytest.mark.parametrize("seed", range(8))
def test_checkpoints_bound_how_far_anybody_goes_back(seed: int):
    """No domino: what was handled before everybody's last checkpoint before the wrong step stays."""
    load = Load(agents=10, topology="all-to-all", seed=seed, horizon_us=1_600_000)
    rig = Rig(Application(load), processes).run()
    root = rig.truth.steps[rig.truth.root]
    oldest_us = min(step.ended_us for step in rig.truth.steps.values() if step.undone_us >= 0)
    # Each agent has one every 200 ms, and one under way may not count.
    assert oldest_us > root.ended_us - 3 * rig.terms.checkpoint_us
