"""Agents that move between hosts of a world while those crash, die, are parted and make checkpoints (MB-9)."""

import pytest

from peer.errors import CallerError
from protocol.checkpoints.moves import Moves
from sims.faults import KillDuringMove
from sims.runs.fleet import play_quietly
from sims.runs.scenario import HOST_LIMITS, preset
from sims.world import World
from tests.simulation.counting import Counting

FOUND = (
    6, 7, 10, 14, 25, 31, 36, 48, 53, 73, 103, 119, 125, 129, 132, 149, 219, 244, 283, 298, 353, 362, 381, 448, 500,
    742, 834, 878, 1071, 1248, 1249, 1445,
)  # fmt: skip
"""Seeds that have found a mistake."""


def move(world, agent, host):
    operator = world.engine.operator
    world.engine.wait(operator.move(agent, world.engine.box(host).keys.host_id))


def lives(world, agent):
    """Return where an agent is up."""
    return [name for name, box in world.engine.boxes.items() if box.host is not None and agent in box.host.drivers]


def three_hosts(**options):
    world = World(seed=3, hosts=3, host_limits=HOST_LIMITS, **options)
    for number in (1, 2, 3):
        world.spawn(f"a{number}", Counting, to="b", host=f"host-{number}")
    world.spawn("b", Counting, host="host-3")
    return world


def test_an_agent_goes_with_its_state_and_is_the_same_there():
    with three_hosts() as world:
        world.submit("a1", 8)
        world.settle()
        move(world, "b", "host-1")
        assert (lives(world, "b"), world.state("b")) == (["host-1"], {"sum": 4})
        world.submit("a2", 8)
        world.settle()
        world.check()
        assert world.state("b") == {"sum": 8}
        assert world.machine("b").core.incarnation == 1
        world.rollback("a1/1/1", inputs="discard")
        world.settle()
        world.check()
        assert world.state("b") == {"sum": 4}
        # There, and back again, and on: what it has left on its way counts for nothing.
        for host in ("host-3", "host-1", "host-2"):
            move(world, "b", host)
            world.submit("a2", 8)
            world.settle()
        assert (lives(world, "b"), world.state("b")) == (["host-2"], {"sum": 16})
        for name in ("host-1", "host-2", "host-3"):
            world.crash(name, restart_after=0.01)
        world.settle()
        world.check()
        assert (lives(world, "b"), world.state("b")) == (["host-2"], {"sum": 16})


def test_the_last_agent_of_a_host_stays_and_nobody_moves_to_where_nobody_is():
    with three_hosts() as world:
        world.settle()
        with pytest.raises(CallerError, match="'a1' is the last one on its host"):
            move(world, "a1", "host-2")
        with pytest.raises(CallerError, match="no such host with agents answers"):
            world.engine.wait(world.engine.operator.move("b", "nowhere"))
        move(world, "b", "host-3")
        assert lives(world, "b") == ["host-3"]


@pytest.mark.parametrize("point", ["asked", "durable"])
@pytest.mark.parametrize("record", ["moved", "arrived", "handed"])
@pytest.mark.parametrize("dies", [False, True])
def test_a_host_ends_in_the_midst_of_a_move(record, point, dies):
    options = {"replicas": 1, "successor": 0.3, "checkpoint_every": 0.1} if dies else {}
    with three_hosts(**options) as world:
        world.run(until=0.5)
        world.submit("a1", 8)
        world.run(until=0.6)
        world.fail(KillDuringMove(record, 1, point, None if dies else 0.1))
        to = world.engine.box("host-1").keys.host_id
        world.engine.later(None, "move", lambda: world.engine.operator.move("b", to, timeout_s=60.0))
        for number in (2, 3):
            world.submit(f"a{number}", 8, at=0.7 + number / 50)
        world.run(until=1.0)
        world.settle(60.0)
        world.check()
        assert world.bites()[0][1] == 1
        assert len(lives(world, "b")) == 1
        assert world.state("b") == {"sum": 12}


@pytest.mark.parametrize("seed", FOUND)
def test_agents_move_while_anything_goes_wrong(seed):
    assert play_quietly(preset("moves", seed)).failure == "", f"ebbtide sim --world moves --seed {seed}"


# -- switched off ------------------------------------------------------------------------------------------------------


def is_noticed(seeds):
    return any(play_quietly(preset("moves", seed)).invariant for seed in seeds)


def test_a_host_that_forgets_what_it_has_given_up_is_found_out(monkeypatch):
    monkeypatch.setattr(Moves, "is_away", lambda self, agent: False)
    assert is_noticed(range(12))


def test_a_move_that_is_taken_again_is_found_out(monkeypatch):
    monkeypatch.setattr(Moves, "_know", lambda self, ids: None)
    assert is_noticed(FOUND)
