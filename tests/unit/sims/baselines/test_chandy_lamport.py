"""Chandy and Lamport 1985: what a snapshot costs and holds, and what a restore to it undoes."""

import pytest

from sims.baselines.application import Application, Load
from sims.baselines.chandy_lamport import ChandyLamport, Marker, Message, processes
from sims.baselines.rig import Rig, Terms
from sims.virtual.chance import Uniform
from tests.unit.sims.baselines.hand import Hand, full, setting


def rig(seed: int, topology: str = "small-world", agents: int = 8) -> Rig:
    terms = Terms(delay=Uniform(200, 20_000))
    return Rig(Application(Load(agents=agents, topology=topology, seed=seed)), processes, terms)


def parts(found: Rig, snapshot: int) -> list[ChandyLamport]:
    all_ = [seat.process for seat in found.seats]
    return [process for process in all_ if isinstance(process, ChandyLamport) and snapshot in process.parts]


@pytest.mark.parametrize("topology", ["ring", "small-world", "all-to-all", "dag"])
def test_a_snapshot_costs_one_marker_a_channel(topology: str):
    found = rig(1, topology)
    markers: dict[tuple[int, int, int], int] = {}

    def watch(sender: int, receiver: int, frame: object) -> None:
        body = getattr(frame, "body", None)
        if isinstance(body, Marker):
            name = (body.snapshot, sender, receiver)
            markers[name] = markers.get(name, 0) + 1

    found.watch = watch
    found.run()
    channels = {(one, other) for one, others in found.application.graph.items() for other in others}
    assert {(one, other) for snapshot, one, other in markers if snapshot == 1} == channels
    assert set(markers.values()) == {1}


def test_a_snapshot_holds_every_message_once_as_handled_or_waiting_or_on_its_way():
    on_their_way = 0
    for seed in range(12):
        found = rig(seed).run()
        members = parts(found, 1)
        assert len(members) == 8
        # Snapshot 1 is older than the wrong step, so the steps inside stand.
        inside = {step for process in members for step, at in process.done if at < 1}
        held: list[tuple[int, str]] = []
        for process in members:
            part = process.parts[1]
            assert not part.open
            held.extend((found.truth.steps[step].item.producer, found.truth.steps[step].item.lineage)
                        for step, at in process.done if at < 1)  # fmt: skip
            held.extend((job.item.producer, job.item.lineage) for job in part.pending)
            for items in part.channels.values():
                held.extend((item.producer, item.lineage) for item in items)
                on_their_way += len(items)
        sent = [(step, lineage) for step in inside for _, lineage in found.truth.steps[step].sends]
        assert sorted(message for message in held if message[0]) == sorted(sent)
    assert on_their_way > 0, "no snapshot had anything on its way"


def test_a_message_sent_before_the_snapshot_and_received_after_is_in_the_channel_state_and_comes_again():
    hand = Hand(processes(setting(full(2))))
    hand.work(1, 0)
    hand.timer(0, "snapshot")
    hand.settle()
    part = hand.processes[0]
    assert isinstance(part, ChandyLamport)
    assert [item.producer for item in part.parts[1].channels[1]] == [2]
    hand.finish(0)
    hand.wrong(0, hand.work(0))
    hand.settle()
    # It was handled after the snapshot: that is undone, and the message is there again.
    assert hand.running[0].item.producer == 2
    assert len(hand.undone[0]) == 2


def test_a_marker_goes_before_any_other_message():
    hand = Hand(processes(setting(full(2))))
    hand.timer(0, "snapshot")
    hand.work(0, 1)
    bodies = [frame.body for _, _, frame in hand.sent]
    assert [type(body) for body in bodies] == [Marker, Message]


def test_everybody_stops_and_goes_back_and_what_was_sent_before_the_restore_is_dropped():
    hand = Hand(processes(setting(full(4))))
    early = hand.work(2, 3)
    hand.deliver(2, 3)
    handled = hand.finish(3)
    wrong = hand.work(1, 2)
    hand.wrong(1, wrong)
    hand.deliver(1, 0)
    assert list(hand.stopped) == [0]
    hand.settle()
    assert set(hand.ever_stopped) == {0, 1, 2, 3}
    assert not hand.stopped
    # No snapshot was made: all go back to the start, also those that have nothing to do with it.
    assert hand.undone == {0: [], 1: [wrong], 2: [early], 3: [handled]}
    # The wrong step's message was on its way to 2, which has its own input again, and nothing else in line.
    assert hand.processes[2].waiting() == 0
    assert hand.running[2].item.producer == 0
    assert hand.count("rollback") == 1 + 3 * 3
