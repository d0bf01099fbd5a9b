"""Ebbtide in the rig: the real machines, exactly the cone, and a cost that follows the cone and not the agents."""

import pytest

from protocol.event import Received
from protocol.message import Ballot, Data
from protocol.wire import Envelope, decode_frame, encode_frame
from protocol.wire import Frame as WireFrame
from sims.baselines.application import Application, Load
from sims.baselines.ebbtide import Body, Ebbtide, processes
from sims.baselines.process import Frame
from sims.baselines.rig import Rig
from sims.topology import topology_of
from tests.unit.sims.baselines.hand import Scripted


def chain(agents: int, length: int) -> Rig:
    """A wrong step at 0, and what follows along a ring, while one step each runs at all others."""
    sends = {"w" + ".0" * at: ((at + 1) % agents,) for at in range(length)}
    arrivals = [(10 * agent, agent, f"i{agent}") for agent in range(agents)]
    return Rig(Scripted(topology_of("ring", agents), [*arrivals, (20_000, 0, "w")], sends, "w"), processes)


def test_what_a_rollback_costs_follows_the_cone():
    costs: dict[int, int] = {}
    for length in (1, 3, 6):
        rig = chain(12, length).run()
        assert len(rig.truth.undone()) == length + 1
        costs[length] = rig.traffic.frames["rollback"]
    assert costs[1] < costs[3] < costs[6]


def test_what_a_rollback_costs_is_the_same_whatever_the_number_of_agents():
    costs = {agents: chain(agents, 4).run().traffic.frames["rollback"] for agents in (10, 50, 200)}
    assert len(set(costs.values())) == 1


def test_nobody_outside_the_cone_hears_of_it():
    rig = chain(30, 3)
    heard: dict[int, None] = {}
    rig.watch = lambda _, receiver, frame: heard.update({receiver: None}) if frame.kind == "rollback" else None
    rig.run()
    assert set(heard) <= {0, 1, 2, 3}
    assert not any(seat.stops for seat in rig.seats)


def test_frames_are_as_long_as_the_real_codec_makes_them():
    rig = Rig(Application(Load(agents=8, seed=1)), processes)
    seen: dict[type, int] = {}

    def watch(sender: int, receiver: int, frame: Frame) -> None:
        if isinstance(frame.body, Body):
            message = frame.body.message
            wire = WireFrame((Envelope(f"a{sender}", f"a{receiver}", message),), epoch=frame.body.epoch)
            data = encode_frame(wire)
            assert decode_frame(data).envelopes[0].message == message
            assert len(data) == frame.size
            seen[type(message)] = seen.get(type(message), 0) + 1

    rig.watch = watch
    rig.run()
    assert seen[Data] == rig.traffic.frames["application"]
    assert seen[Ballot] > 0


def test_checkpoints_are_committed_meanwhile_and_entries_of_settled_steps_leave_the_clocks():
    rig = Rig(Application(Load(agents=8, seed=1, horizon_us=1_600_000)), processes)
    entries: list[int] = []
    rig.watch = lambda _, __, frame: entries.append(_entries(frame))
    rig.run()
    for seat in rig.seats:
        assert isinstance(seat.process, Ebbtide)
        assert seat.process.machine.core.committed >= 4
    assert max(entries) <= 8
    assert rig.traffic.frames["checkpoint"] > 0


def _entries(frame: Frame) -> int:
    message = frame.body.message if isinstance(frame.body, Body) else None
    return len(message.input.clock) if isinstance(message, Data) else 0


@pytest.mark.parametrize("seed", range(4))
def test_a_machine_that_never_votes_is_noticed(seed: int, monkeypatch: pytest.MonkeyPatch):
    """What the rig judges is the machine's own doing."""
    real = Ebbtide._feed

    def deaf(self: Ebbtide, event: object, now_us: int) -> object:
        if self.number != 0 and isinstance(event, Received) and isinstance(event.message, Ballot):
            return []
        return real(self, event, now_us)  # type: ignore[arg-type]

    monkeypatch.setattr(Ebbtide, "_feed", deaf)
    rig = chain(6, 3)
    with pytest.raises(AssertionError, match="does not come to an end"):
        rig.run()
