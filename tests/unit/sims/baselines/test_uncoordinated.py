"""Bhargava and Lian 1988, Elnozahy et al. 2002: the rollback-dependency graph, and the domino effect."""

import pytest

from sims.baselines.application import Application, Load
from sims.baselines.rig import Rig
from sims.baselines.uncoordinated import Message, processes, recovery_line
from tests.unit.sims.baselines.hand import Hand, full, setting


def staircase(height: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Two processes, whose messages cross each other's last checkpoint: each interval's are received one lower."""
    edges: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for at in range(height, 0, -1):
        edges.append(((0, at), (1, at - 1)))
        edges.append(((1, at - 1), (0, at - 1)))
    return edges


def test_the_domino_effect_goes_back_to_the_start():
    assert recovery_line(2, (0, 5), staircase(5)) == (0, 0)


def test_it_stops_where_checkpoints_are_aligned():
    edges = [edge for edge in staircase(5) if edge != ((0, 3), (1, 2))]
    assert recovery_line(2, (0, 5), edges) == (3, 3)


def test_who_has_received_nothing_undone_goes_on_from_where_it_is():
    edges = [((0, 1), (1, 4)), ((2, 0), (0, 1))]
    assert recovery_line(4, (0, 1), edges) == (1, 4, -1, -1)


def by_hand(aligned: bool) -> tuple[Hand, int]:
    """Two processes that write to each other three times, with checkpoints between; then one of 0 is wrong."""
    hand = Hand(processes(setting(full(2))))
    for _ in range(3):
        hand.work(1, 0)
        hand.deliver(1, 0)
        hand.finish(0)
        hand.timer(0)
        hand.work(0, 1)
        hand.deliver(0, 1)
        hand.finish(1)
        hand.timer(1)
    if aligned:
        hand.timer(0)
    return hand, hand.work(0, 1)


def test_processes_fall_like_dominoes():
    hand, wrong = by_hand(aligned=False)
    hand.deliver(0, 1)
    hand.finish(1)
    hand.wrong(0, wrong)
    hand.settle()
    # All of them, back to the first.
    assert len(hand.undone[0]) == 7
    assert len(hand.undone[1]) == 7
    assert not hand.stopped


def test_a_line_that_no_message_crosses_stops_them():
    hand, wrong = by_hand(aligned=True)
    hand.deliver(0, 1)
    handled = hand.finish(1)
    hand.wrong(0, wrong)
    hand.settle()
    assert hand.undone == {0: [wrong], 1: [handled]}


def test_a_message_of_an_undone_interval_that_comes_late_is_refused():
    hand, wrong = by_hand(aligned=True)
    hand.wrong(0, wrong)
    late = hand.channels[0, 1].popleft()
    hand.settle()
    assert hand.undone == {0: [wrong]}
    hand.channels[0, 1].append(late)
    hand.settle()
    assert 1 not in hand.running
    hand.finish(0, 1)
    hand.settle()
    assert hand.running[1].item.producer == hand.numbers


@pytest.mark.parametrize("seed", range(6))
def test_it_costs_two_numbers_a_message_and_nothing_between_processes_until_something_is_wrong(seed: int):
    rig = Rig(Application(Load(agents=10, topology="all-to-all", seed=seed)), processes)
    bodies: list[object] = []
    rig.watch = lambda sender, receiver, frame: bodies.append(frame.body)
    rig.run()
    assert rig.traffic.frames["checkpoint"] == rig.traffic.frames["report"] == 0
    # A request, an answer and a line for each of the others.
    assert rig.traffic.frames["rollback"] == 3 * 9
    messages = [body for body in bodies if isinstance(body, Message)]
    assert messages
    assert rig.traffic.piggybacked <= 6 * len(messages)


def test_in_the_rig_somebody_falls_back_to_the_start():
    lost = 0
    for seed in range(10):
        rig = Rig(Application(Load(agents=10, topology="all-to-all", seed=seed)), processes).run()
        oldest = min(step.ended_us for step in rig.truth.steps.values() if step.undone_us >= 0)
        lost += oldest < rig.terms.checkpoint_us
    assert lost >= 5
