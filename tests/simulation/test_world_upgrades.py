"""Hosts that speak an older wire version beside those of this release, replaced one by one, or taken back (CL-8)."""

from random import Random

import pytest

import protocol.since
from peer.host.versions import UNSPOKEN, Versions
from protocol.since import OLDEST, VERSION, newer_than
from sims.faults import Duplicate, Loss, Reorder
from sims.runs.scenario import HOST_LIMITS
from sims.world import World
from tests.simulation.counting import Counting

HOSTS = ("host-1", "host-2", "host-3", "host-4")


def mixed(seed, **options):
    """Return a world of hosts of both releases, whose agents stand in a row: each gives on to the one on the next."""
    faults = (Loss(0.05), Duplicate(0.05), Reorder(0.1, 0.005))
    world = World(seed=seed, hosts=4, faults=faults, host_limits=HOST_LIMITS, replicas=1, **options)
    rng = Random(seed)
    for number, name in enumerate(HOSTS, 1):
        world.engine.box(name).speaks = rng.choice((OLDEST, VERSION))
        world.spawn(f"a{number}", Counting, host=name, to=f"a{number + 1}" if number < len(HOSTS) else None)
    return world, rng


def replaced(world, name, speaks):
    """End a host and start it anew, of a release that speaks so."""
    world.engine.box(name).speaks = speaks
    world.crash(name, restart_after=0.05)


def spoken(world):
    """Return, of each host, in which versions it talks to the others that are up."""
    boxes = [box for box in world.engine.boxes.values() if box.host is not None]
    return {
        (one.name, other.name): one.host.speaks(other.keys.host_id)
        for one in boxes
        for other in boxes
        if one is not other
    }


def play(seed):
    """Replace each host once or twice, to and fro, while agents work, and judge; return what hosts have noticed."""
    world, rng = mixed(seed, checkpoint_every=0.5, checkpoints_kept=100)
    with world:
        for turn, name in enumerate((*HOSTS, *rng.sample(HOSTS, 2))):
            for number in range(1, 4):
                world.submit(f"a{number}", 16)
            world.run(until=world.now + rng.uniform(0.1, 0.6))
            replaced(world, name, VERSION if turn < len(HOSTS) else rng.choice((OLDEST, VERSION)))
            world.run(until=world.now + rng.uniform(0.0, 0.3))
            if turn == 2:
                outcome = world.rollback(rng.choice(("a1/1/1", "a1/1/2", "a2/1/1")), inputs="discard")
                assert outcome.committed
        world.settle(60.0)
        world.check()
        return [notice for box in world.engine.boxes.values() for notice in box.host.notices]


@pytest.mark.parametrize("seed", range(12))
def test_hosts_are_replaced_in_any_order_and_nothing_is_lost_or_doubled(seed):
    assert UNSPOKEN not in [notice.notice for notice in play(seed)]


def test_each_two_hosts_talk_in_the_newest_version_that_both_speak_soon_after_one_was_replaced():
    world, _ = mixed(3)
    with world:
        for speaks in (OLDEST, VERSION, OLDEST):
            replaced(world, "host-2", speaks)
            world.run(until=world.now + 10)
            boxes = world.engine.boxes
            for (one, other), version in spoken(world).items():
                assert version == min(boxes[one].speaks, boxes[other].speaks), (one, other)


def test_what_is_new_waits_until_its_receiver_is_replaced_and_is_there_then(monkeypatch):
    """As if acknowledgments of messages had come with version 2: who resends until it has one does so all the time."""
    monkeypatch.setitem(protocol.since.SINCE, "Ack", VERSION)
    newer_than.cache_clear()
    try:
        world = World(seed=1, hosts=2, host_limits=HOST_LIMITS)
        with world:
            world.engine.box("host-1").speaks = OLDEST
            world.spawn("a1", Counting, host="host-1", to="a2")
            world.spawn("a2", Counting, host="host-2")
            world.submit("a1", 8)
            world.run(until=5)
            assert world.state("a2") == {"sum": 4}
            assert world.machine("a1").core.outbox.owing()
            assert world.engine.box("host-2").host.transport.counts.withheld > 0
            replaced(world, "host-1", VERSION)
            world.settle()
            world.check()
            assert world.state("a2") == {"sum": 4}
            assert not world.machine("a1").core.outbox.owing()
    finally:
        newer_than.cache_clear()


# -- switched off ------------------------------------------------------------------------------------------------------


def test_hosts_that_do_not_mind_what_others_speak_are_found_out(monkeypatch):
    monkeypatch.setattr(Versions, "of", lambda self, host: self.newest)
    world, _ = mixed(1)
    with world:
        for name in HOSTS:
            world.engine.box(name).speaks = VERSION if name == "host-1" else OLDEST
        world.submit("a1", 16)
        world.run(until=20)
        assert world.state("a2") == {}
        host = world.engine.box("host-2").host
        assert [notice.notice for notice in host.notices if notice.notice == UNSPOKEN] != []


def test_hosts_that_never_fall_back_are_found_out(monkeypatch):
    real = Versions.heard
    monkeypatch.setattr(Versions, "heard", lambda self, host, said: real(self, host, max(said, self.of(host))))
    monkeypatch.setattr(Versions, "forget", lambda self, host: None)
    world, _ = mixed(3)
    with world:
        replaced(world, "host-2", VERSION)
        world.run(until=10)
        replaced(world, "host-2", OLDEST)
        world.run(until=20)
        assert any(world.engine.boxes[other].speaks < version for (_, other), version in spoken(world).items())
