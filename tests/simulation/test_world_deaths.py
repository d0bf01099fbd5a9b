"""Hosts of a world that die for good, and disks that lose what no other host has a copy of (CP-8)."""

import pytest

from peer import Agent, Context, handles
from sims.faults import Death, KillDuringSuccession
from sims.runs.fleet import play_quietly
from sims.runs.scenario import HOST_LIMITS, preset
from sims.virtual.tools import post
from sims.world import World
from tests.simulation.counting import Counting


def test_a_host_that_dies_for_good_is_succeeded_and_leaves_the_view():
    with World(
        seed=1, hosts=4, replicas=1, successor=0.3, host_limits=HOST_LIMITS, faults=[Death("host-4", 0.4)]
    ) as world:
        for number in range(1, 4):
            world.spawn(f"a{number}", Counting, to="b", host=f"host-{number}")
        world.spawn("b", Counting, host="host-4")
        for _ in range(3):
            world.checkpoint()
        for number in range(1, 4):
            world.submit(f"a{number}", 8)
        world.run(until=0.39)
        world.submit("a1", 80, at=0.41)
        world.settle()
        world.check()
        assert world.bites()[0][1] == 1
        assert world.engine.homes["b"] in ("host-1", "host-2", "host-3")
        assert world.machine("b").core.incarnation == 2
        assert world.state("b") == {"sum": 3 * 4 + 40}
        dead = world.engine.box("host-4").keys.host_id
        world.checkpoint()
        world.checkpoint()
        machine = world.engine.box("host-1").host.checkpoints.machine
        assert dead not in machine.epochs.commit.view
        assert len(machine.epochs.commit.view) == 3


class Posting(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        await ctx.call(post, message)


def test_an_intent_of_an_earlier_life_is_with_the_backups_before_its_tool_is_called():
    with World(seed=1, hosts=3, replicas=1, host_limits=HOST_LIMITS) as world:
        for number in (1, 2):
            world.spawn(f"a{number}", Counting, host=f"host-{number}")
        world.spawn("b", Posting, host="host-3")
        world.checkpoint()
        world.checkpoint()
        now = world.now
        world.partition("host-3")
        world.submit("b", 7)
        # Parted for a short while only: nobody takes anybody for failed yet.
        world.run(until=now + 0.05)
        posted = world.engine.outside.posted
        assert not posted
        world.crash("host-3", restart_after=0.01)
        world.run(until=now + 0.2)
        assert world.engine.box("host-3").is_up()
        assert not posted
        world.heal()
        world.settle()
        world.check()
        assert [seen.calls for seen in posted.values()] == [1]


def test_nobody_dies_who_could_not_be_succeeded():
    with World(seed=1, hosts=2, replicas=1, faults=[Death("host-2", 0.4)]) as world:
        world.spawn("a", Counting, to="b", host="host-1")
        world.spawn("b", Counting, host="host-2")
        world.checkpoint()
        world.settle()
        assert world.bites()[0][1] == 0


FOUND = [("replicated", seed) for seed in (199, 784, 1302, 2145)] + [("deaths", seed) for seed in (158, 275, 2124)]


@pytest.mark.parametrize(("name", "seed"), FOUND)
def test_a_world_that_found_a_bug_once_passes(name, seed):
    assert play_quietly(preset(name, seed)).failure == "", f"ebbtide sim --world {name} --seed {seed}"


def test_a_copy_that_is_not_waited_for_is_found_out(monkeypatch):
    from peer.replication.outgoing import Copies

    monkeypatch.setattr(Copies, "place", lambda self, done: done())
    broken = {play_quietly(preset("replicated", seed)).invariant for seed in (2, 3)}
    assert broken == {
        "effects are those that surviving steps claim", "what is promised is kept, and what is lost is said",
    }  # fmt: skip


def test_a_successor_that_forgets_that_an_end_was_lost_is_found_out(monkeypatch):
    monkeypatch.setattr("sims.virtual.disk.VirtualStore.is_lost", lambda self, agent: False)
    broken = {play_quietly(preset("successors", seed)).invariant for seed in (59, 62)}
    assert broken == {"everything ends", "exactly the cones are retracted"}


def test_successors_are_killed_while_they_take_over():
    seeds = (1, 4, 18, 25, 34, 55, 62)
    results = [play_quietly(preset("successors", seed)) for seed in seeds]
    assert [result.failure for result in results] == [""] * len(results)
    kinds = {
        (fault.record, fault.point) for result, seed in zip(results, seeds, strict=True)
        for fault, bites in zip(preset("successors", seed).faults, result.bites, strict=True)
        if isinstance(fault, KillDuringSuccession) and bites
    }  # fmt: skip
    assert kinds == {("decided", "asked"), ("decided", "durable"), ("taken", "asked"), ("taken", "durable")}


def five_hosts(replicas):
    world = World(
        seed=1,
        hosts=5,
        replicas=replicas,
        successor=0.3,
        host_limits=HOST_LIMITS,
        replicated=True,
        checkpoint_every=0.1,
    )
    for number in range(1, 6):
        world.spawn(f"a{number}", Counting, to="b", host=f"host-{number}")
    world.spawn("b", Counting, host="host-5")
    world.run(until=1.0)
    return world


@pytest.mark.parametrize("after", [0.0, 0.001, 0.05])
def test_what_a_successor_had_not_begun_with_is_handed_down_if_it_dies_too(after):
    with five_hosts(replicas=2) as world:
        for number in range(1, 6):
            world.submit(f"a{number}", 8)
        world.run(until=world.now + 0.2)
        boxes = {box.keys.host_id: box for box in world.engine.boxes.values()}
        dead = world.engine.box("host-5").keys.host_id
        world.fail(Death("host-5", world.now))

        def successor(world):
            known = [box.host.checkpoints.machine.succession for box in boxes.values() if box.host is not None]
            return next((each.successors[dead] for each in known if dead in each.successors), None)

        world.run(until=successor)
        first = boxes[successor(world)].name
        world.run(until=world.now + after)
        world.fail(Death(first, world.now))
        world.run(until=lambda world: world.engine.homes["b"] not in ("host-5", first))
        world.settle()
        world.check()
        assert world.state("b") == {"sum": 5 * 4}
        assert [bites for _, bites in world.bites()] == [1, 1]
        # The life that the first successor has begun counts as lost, whether anybody has heard of it or not.
        assert world.machine("b").core.incarnation == 3


def test_hosts_that_die_one_after_the_other_hand_on_what_they_had_inherited():
    with five_hosts(replicas=1) as world:
        dead = "host-5"
        for round in range(2):
            for number in range(1, 6):
                world.submit(f"a{number}", 8)
            world.run(until=world.now + 0.2)
            world.fail(Death(dead, world.now))
            world.run(until=lambda world, dead=dead: dead not in world.engine.homes.values())
            world.run(until=world.now + 2.0)
            dead = world.engine.homes["b"]
            assert world.state("b") == {"sum": (round + 1) * 5 * 4}
        assert [bites for _, bites in world.bites()] == [1, 1]
        world.settle()
        world.check()
        assert world.machine("b").core.incarnation == 3
