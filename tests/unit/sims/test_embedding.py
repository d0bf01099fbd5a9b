"""A world inside somebody else's simulation: its time, its inputs, and what agents see and do there."""

from math import nan

import pytest

from peer import Agent, Context, errors, handles
from protocol.records import EffectRecord
from sims.faults import Crash, FailedUndos
from sims.ports import Reversible, act, sense
from sims.world import World


class Shelf:
    """Somebody else's simulation: places that are taken, and what was done in which order."""

    def __init__(self):
        self.taken = {}
        self.did = []
        self.weather = "dry"

    def take(self, who, place):
        if place in self.taken:
            return False
        self.taken[place] = who
        self.did.append(("take", who, place))
        return True

    def give(self, was_taken, who, place):
        if was_taken:
            del self.taken[place]
            self.did.append(("give", who, place))

    def look(self):
        return self.weather


class Taker(Agent):
    """Takes a place, and tells the next one to take the place beside it."""

    def __init__(self, next_one=None):
        self.next_one = next_one

    @handles(int)
    async def go(self, message, ctx: Context):
        self.state["saw"] = await ctx.call(sense, "look", key=ctx.evidence or None)
        self.state["got"] = await ctx.call(act, "take", self.name, message)
        if self.next_one:
            ctx.send(self.next_one, message + 1)


def shelf_world(faults=(), seed=3):
    shelf = Shelf()
    world = World(seed=seed, hosts=2, faults=faults)
    world.attach("look", shelf.look)
    world.attach("take", Reversible(shelf.take, undo=shelf.give))
    world.spawn("a", Taker, next_one="b")
    world.spawn("b", Taker, next_one="c")
    world.spawn("c", Taker)
    return shelf, world


# -- time --------------------------------------------------------------------------------------------------------------


def test_a_world_runs_exactly_up_to_the_time_it_is_given():
    with shelf_world()[1] as world:
        world.run_until(0.25)
        assert world.now == 0.25
        world.run_until(0.25)
        assert world.now == 0.25
        world.run_until(0.1 + 0.2)
        assert world.now == 0.3
        seen = []
        world.engine.loop.call_at(0.4, seen.append, "due")
        world.engine.loop.call_at(0.400001, seen.append, "later")
        assert world.next_event() <= 0.4
        world.run_until(0.399999)
        assert world.next_event() == 0.4
        world.run_until(0.4)
        assert seen == ["due"]
        assert world.next_event() == 0.400001


@pytest.mark.parametrize(("time", "said"), [(0.1, r"run_until\(0.1\).*at 0.25 s"), (nan, "no time"), (-1.0, "at 0.25")])
def test_time_does_not_go_back_and_who_asks_for_it_is_told(time, said):
    with shelf_world()[1] as world:
        world.run_until(0.25)
        with pytest.raises(errors.CallerError, match=said):
            world.run_until(time)
        assert world.now == 0.25


def test_a_world_says_when_something_is_next_due_and_stepping_by_it_skips_nothing():
    def hash_of(by_events):
        with shelf_world()[1] as world:
            world.deliver("a", 1)
            while by_events and (due := world.next_event()) is not None and due <= 0.5:
                world.run_until(due)
            world.run_until(0.5)
            assert not world.busy()
            return world.trace_hash()

    assert hash_of(True) == hash_of(False)


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_a_delivery_is_handled_at_the_instant_at_which_it_is_made():
    shelf, world = shelf_world()
    with world:
        world.run_until(0.2)
        first = world.deliver("a", 1)
        assert world.now == 0.2
        assert world.busy()
        assert world.steps_of(first) == []
        world.run_until(0.3)
        (step,) = world.steps_of(first)
        assert world.engine.trace.began_us[step] == 200_000
        world.settle()
        assert world.steps_of("a") == [step]
        assert shelf.taken == {1: "a", 2: "b", 3: "c"}
        world.check()


def test_an_input_reaches_the_machine_without_any_time_passing():
    _, world = shelf_world()
    with world:
        world.run_until(0.2)
        world.deliver("a", 1)
        assert world.machine("a").under_way()
        assert world.now == 0.2


def test_a_delivery_crosses_no_network():
    def frames(delivers):
        _, world = shelf_world()
        with world:
            world.run_until(0.2)
            if delivers:
                world.deliver("c", 1)
            world.run_until(1.0)
            assert len(world.steps_of("c")) == delivers
            return world.engine.trace.frames

    assert frames(True) == frames(False)


def test_deliveries_of_one_instant_are_handled_in_their_order():
    shelf, world = shelf_world()
    with world:
        made = [world.deliver("c", place) for place in (5, 4, 6)]
        world.settle()
        assert list(shelf.taken) == [5, 4, 6]
        assert [world.steps_of(one) for one in made] == [[step] for step in world.steps_of("c")]


def test_nobody_can_deliver_to_nobody():
    with shelf_world()[1] as world:
        for ask in (lambda: world.deliver("x", 1), lambda: world.steps_of("x")):
            with pytest.raises(errors.CallerError, match="no agent 'x'"):
                ask()


def test_a_delivery_is_taken_once_and_its_act_done_once_whenever_the_host_ends():
    between = 0
    for at in range(40):
        shelf, world = shelf_world(Crash("host-1", at=0.2 + at / 10_000, restart_after=0.05))
        with world:
            world.run_until(0.2)
            made = world.deliver("a", 1)
            world.run_until(0.2 + at / 10_000)
            acted = ("take", "a", 1) in shelf.did
            known = any(isinstance(r, EffectRecord) and r.intent.endswith("/1") for r in world.engine.trace.logs["a"])
            between += acted and not known and not world.steps_of(made)
            world.settle()
            assert len(world.steps_of(made)) == 1
            assert shelf.taken == {1: "a", 2: "b", 3: "c"}
            assert shelf.did == [("take", "a", 1), ("take", "b", 2), ("take", "c", 3)]
            # That it was not even asked to act twice is an invariant.
            world.check()
    assert between, "no crash came between an act and its record"


def test_what_is_delivered_while_a_host_is_down_waits():
    shelf, world = shelf_world()
    with world:
        world.run_until(0.1)
        world.crash("host-1", restart_after=0.3)
        made = world.deliver("a", 1)
        world.run_until(0.3)
        assert (world.steps_of(made), shelf.taken) == ([], {})
        world.settle()
        assert len(world.steps_of(made)) == 1
        world.crash("host-1", restart_after=None)
        assert len(world.steps_of(made)) == len(world.steps_of("a")) == 1


# -- rollback ----------------------------------------------------------------------------------------------------------


def test_the_other_simulation_follows_a_rollback_in_reverse_causal_order():
    shelf, world = shelf_world()
    with world:
        first, other = world.deliver("a", 1), world.deliver("c", 9)
        world.run_until(0.5)
        asked = world.propose(*world.steps_of(first), inputs="discard", reason="wrong place")
        assert (asked.outcome, world.now) == (None, 0.5)
        world.run_until(1.5)
        assert asked.outcome is not None
        assert asked.outcome.committed
        assert [str(step) for step in asked.outcome.undone] == ["a/1/1", "b/1/1", "c/1/2"]
        assert shelf.taken == {9: "c"}
        assert shelf.did[-3:] == [("give", "c", 3), ("give", "b", 2), ("give", "a", 1)]
        assert world.steps_of(first) == []
        assert world.steps_of(other) == world.steps_of("c")
        assert len(world.steps_of(other)) == 1
        assert world.steps_of("a") == world.steps_of("b") == []
        world.settle()
        world.check()


def test_a_step_that_runs_again_reads_what_it_read_then_and_claims_what_it_did():
    shelf, world = shelf_world()
    with world:
        made = world.deliver("a", 1)
        world.run_until(0.5)
        shelf.weather = "wet"
        world.rollback(*world.steps_of(made), inputs="retry")
        world.settle()
        assert world.state("a") == {"saw": "dry", "got": True}
        assert [what for what, *_ in shelf.did] == ["take", "take", "take"]
        assert len(world.steps_of(made)) == 1
        world.check()


def test_a_step_that_looks_under_another_key_looks_again():
    shelf, world = shelf_world()
    with world:
        made = world.deliver("a", 1)
        world.run_until(0.5)
        shelf.weather = "wet"
        world.rollback(*world.steps_of(made), inputs="retry", evidence="second look")
        world.settle()
        assert world.state("a") == {"saw": "wet", "got": True}
        world.check()


def test_an_undo_that_the_other_simulation_refuses_for_a_while_comes_in_the_end():
    shelf, world = shelf_world(FailedUndos(count=3, at=0.4))
    with world:
        made = world.deliver("a", 1)
        world.run_until(0.5)
        world.propose(*world.steps_of(made), inputs="discard")
        world.settle()
        assert shelf.taken == {}
        assert [what for what, *_ in shelf.did].count("give") == 3
        world.check()


# -- ports -------------------------------------------------------------------------------------------------------------


def test_an_act_that_does_not_happen_says_so_and_its_undo_does_nothing():
    shelf, world = shelf_world()
    with world:
        world.deliver("c", 7)
        late = world.deliver("c", 7)
        world.run_until(0.5)
        assert world.state("c")["got"] is False
        world.rollback(*world.steps_of(late), inputs="discard")
        world.settle()
        assert shelf.taken == {7: "c"}
        world.check()


def test_a_port_that_is_missing_ends_the_world_by_its_name():
    with World(seed=1, hosts=1) as world:
        world.spawn("a", Taker)
        world.attach("lock", Shelf().look)
        world.deliver("a", 1)
        with pytest.raises(errors.CallerError, match=r"no sensor 'look' is attached \(there are: lock\)"):
            world.run_until(1.0)


def test_a_port_has_a_name_of_its_own_and_is_one():
    with World(seed=1, hosts=1) as world:
        world.attach("look", Shelf().look)
        with pytest.raises(errors.CallerError, match="'look' already"):
            world.attach("look", Shelf().look)
        with pytest.raises(errors.CallerError, match="no sensor"):
            world.attach("x", 3)  # type: ignore[arg-type]


def test_a_reversible_act_stands_once_for_each_intent():
    shelf = Shelf()
    port = Reversible(shelf.take, undo=shelf.give)
    assert [port.act("i1", "a", 1), port.act("i1", "a", 1), port.act("i2", "b", 1)] == [True, True, False]
    port.undo("i2")
    assert shelf.taken == {1: "a"}
    port.undo("i1")
    port.undo("i1")
    assert (shelf.taken, shelf.did[-1]) == ({}, ("give", "a", 1))


def test_what_cannot_be_rolled_back_is_an_outcome_with_the_reason():
    with shelf_world()[1] as world:
        world.run_until(0.1)
        asked = world.propose("a/1/77")
        world.run_until(1.0)
        assert asked.outcome is not None
        assert not asked.outcome.committed
        assert asked.outcome.rejects == (("a", "no step a/1/77 in the log of a"),)


@pytest.mark.parametrize(
    ("steps", "options", "said"),
    [((), {}, "at least one step"), (("a/1/1",), {"inputs": "undo"}, "inputs='undo'"), (("a",), {}, "'a'")],
)
def test_who_asks_for_a_rollback_wrongly_is_told_at_once(steps, options, said):
    with shelf_world()[1] as world:
        with pytest.raises(errors.CallerError, match=said):
            world.propose(*steps, **options)
        world.run_until(0.1)
