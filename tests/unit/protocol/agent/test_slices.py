"""A base is put together of what the parts tell, and each part takes in what it has told."""

from protocol.agent.colours import Colours
from protocol.agent.dead_letters import DeadLetters
from protocol.agent.lives import Lives
from protocol.agent.machine import PeerMachine
from protocol.event import CutWanted, Recovered, RestoreDecided, Settled
from protocol.fact import Began
from protocol.proposal import Restore
from protocol.records import BaseRecord, Letter
from protocol.step import Input
from tests.rules.bench import Bench


def base(**fields):
    """A base of a peer to which nothing has happened, but for these fields."""
    made = PeerMachine("a").bases.make()
    return BaseRecord(**{name: getattr(made, name) for name in BaseRecord.__struct_fields__} | fields)


def test_every_field_of_a_base_is_told_by_one_part_and_one_alone():
    told = [name for part in PeerMachine("a").bases.slices(is_full=True) for name in part]
    assert sorted([*told, "is_full"]) == sorted(BaseRecord.__struct_fields__)


def test_what_a_peer_tells_in_a_base_it_tells_again_after_it_has_come_back_from_it():
    bench = Bench("a", "b")
    root = bench.step("a", writes={"k": b"1"}, sends=(("b", b"m"),))
    bench.feed("a", CutWanted(1))
    bench.feed("a", Settled(1, (), 0))
    bench.step("a", writes={"k": b"2"})
    bench.feed("a", RestoreDecided(Restore(1, 1, "r1", 1)))
    bench.propose("a", root)
    bench.deliver()
    bench.submit("a", b"waits")
    told = bench.machines["a"].bases.make()
    again = PeerMachine("a")
    again.handle(Recovered((told,)), bench.now_us)
    assert again.bases.slices(is_full=True) == bench.machines["a"].bases.slices(is_full=True)


def test_colours_go_on_from_a_base_and_forget_what_the_horizon_has_passed():
    colours, restore = Colours(), Restore(1, 2, "r1", 2, inputs="discard")
    colours.cut(1, 1, 3, 10)
    colours.cut(2, 1, 5, 20)
    colours.settled(2, 1, 30)
    colours.settled(1, 0, 40)
    assert (colours.committed, colours.horizon, colours.is_outside) == (2, 1, False)
    colours.restored(restore, 50)
    assert colours.is_passed(2, 0)
    assert not colours.is_passed(1, 0)
    assert not colours.is_passed(2, 1)
    assert colours.is_discarded(Input("ext:x", 0, 1, b"", "l", epoch=2))
    assert not colours.is_discarded(Input("ext:x", 0, 1, b"", "l", epoch=2, era=1))
    again = Colours()
    again.load(base(**colours.told()))
    assert again.told() == colours.told()
    colours.forget(2)
    assert [cut.epoch for cut in colours.cuts] == [2]
    assert colours.committed_us == {2: 30}


def test_lives_know_what_is_lost_whatever_the_order_in_which_they_heard():
    lives, early, late = Lives("a"), Began("b", 2, ((1, 5),)), Began("b", 3, ((1, 3), (2, 0)))
    assert lives.is_unheard({"b": (2, 1)})
    lives.heard(late)
    assert not lives.knows(Began("b", 4, ()))
    assert lives.knows(early), "more of that life is known to be lost"
    lives.heard(early)
    assert [lives.is_lost("b", 1, seq) for seq in (3, 4, 6)] == [False, True, True]
    assert lives.newest("b") == 3
    assert not lives.is_unheard({"b": (3, 1)})
    assert lives.is_orphan({"b": (1, 4)})
    assert lives.own() == ()
    lives.took(1, 7)
    lives.took(2, 99)
    assert lives.seq == 7
    again = Lives("a")
    again.load(base(**lives.told()))
    assert (again.told(), again.lost) == (lives.told(), lives.lost)
    again.begun(2, is_anew=True)
    assert (again.incarnation, again.seq) == (2, 0)


def test_dead_letters_are_told_once_between_full_bases_and_without_those_that_are_none_any_more():
    letters, item, other = DeadLetters(), Input("ext:x", 0, 1, b"", "l"), Input("ext:x", 0, 2, b"", "m")
    letters.add(item, "one", 1)
    full = letters.told(is_full=True)
    letters.add(other, "two", 2)
    assert letters.told(is_full=False) == {"dead": ((other, "two", 2),), "redriven": ()}
    assert letters.told(is_full=False) == {"dead": (), "redriven": ()}
    letters.remove("l")
    assert letters.letters == [(other, "two", 2)]
    assert (letters.find("l"), letters.find("m")) == (None, (other, "two", 2))
    partial = letters.told(is_full=False)
    assert partial == {"dead": (), "redriven": ("l",)}
    again = DeadLetters()
    again.load([base(**full), base(dead=(Letter(other, "two", 2),), is_full=False), base(**partial, is_full=False)])
    assert again.letters == letters.letters
    assert again.told(is_full=False) == {"dead": (), "redriven": ("l",)}
    assert again.told(is_full=True) == {"dead": ((other, "two", 2),), "redriven": ()}
