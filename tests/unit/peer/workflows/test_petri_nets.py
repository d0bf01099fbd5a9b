"""Petri nets: published ones have the invariants, deadlocks and bounds that their pages say."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.errors import CallerError
from peer.workflows import MANY, Net, Transition, covered, place_invariants, reached
from peer.workflows.invariants import total


def net_of(arcs: dict[str, tuple[dict[str, int], dict[str, int]]], marking: dict[str, int]) -> Net:
    return Net([Transition(name, takes, puts) for name, (takes, puts) in arcs.items()], marking)


def mutual_exclusion() -> Net:
    """Two processes and one semaphore: Murata 1989, section III, with one token for the resource."""
    arcs = {}
    for name in ("1", "2"):
        arcs[f"enter {name}"] = ({f"idle {name}": 1, "free": 1}, {f"inside {name}": 1})
        arcs[f"leave {name}"] = ({f"inside {name}": 1}, {f"idle {name}": 1, "free": 1})
    return net_of(arcs, {"idle 1": 1, "idle 2": 1, "free": 1})


def producer_and_consumer(slots: int | None) -> Net:
    """Murata 1989, section III: a producer, a consumer, and a buffer with so many slots; None: without a bound."""
    bound = {} if slots is None else {"slots": 1}
    arcs = {
        "produce": ({"ready": 1}, {"made": 1}),
        "send": ({"made": 1, **bound}, {"ready": 1, "buffer": 1}),
        "receive": ({"buffer": 1, "waits": 1}, {"got": 1, **bound}),
        "consume": ({"got": 1}, {"waits": 1}),
    }
    return net_of(arcs, {"ready": 1, "waits": 1, **({} if slots is None else {"slots": slots})})


def philosophers(count: int, one_by_one: bool) -> Net:
    """Dijkstra's dining philosophers, who take both forks at once, or first the left one."""
    arcs: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    for n in range(count):
        left, right = f"fork {n}", f"fork {(n + 1) % count}"
        if one_by_one:
            arcs[f"left {n}"] = ({f"thinks {n}": 1, left: 1}, {f"holds {n}": 1})
            arcs[f"right {n}"] = ({f"holds {n}": 1, right: 1}, {f"eats {n}": 1})
        else:
            arcs[f"both {n}"] = ({f"thinks {n}": 1, left: 1, right: 1}, {f"eats {n}": 1})
        arcs[f"down {n}"] = ({f"eats {n}": 1}, {f"thinks {n}": 1, left: 1, right: 1})
    return net_of(arcs, {f"{what} {n}": 1 for n in range(count) for what in ("thinks", "fork")})


def test_two_processes_exclude_each_other_by_an_invariant() -> None:
    net = mutual_exclusion()
    found = place_invariants(net)
    assert {"inside 1": 1, "inside 2": 1, "free": 1} in found
    assert {"idle 1": 1, "inside 1": 1} in found
    assert len(found) == 3
    whole = reached(net)
    assert (len(whole.ways), whole.is_whole, whole.deadlocks) == (3, True, [])
    assert not covered(net).covers(**{"inside 1": 1, "inside 2": 1})


def test_a_bounded_buffer_holds_no_more_than_its_slots() -> None:
    net = producer_and_consumer(3)
    assert {"buffer": 1, "slots": 1} in place_invariants(net)
    found = covered(net)
    assert (found.unbounded, found.bound("buffer"), found.is_whole) == ([], 3, True)
    assert len(reached(net).ways) == 2 * 2 * 4


def test_a_buffer_without_a_bound_is_found() -> None:
    net = producer_and_consumer(None)
    assert covered(net).unbounded == ["buffer"]
    assert covered(net).covers(buffer=1_000_000)
    assert all("buffer" not in each for each in place_invariants(net))
    stopped = reached(net, 50)
    assert (len(stopped.ways), stopped.is_whole, stopped.deadlocks) == (50, False, [])


def test_philosophers_who_take_one_fork_first_can_starve_and_the_way_there_is_told() -> None:
    net = philosophers(5, one_by_one=True)
    found = reached(net)
    (dead,) = found.deadlocks
    assert net.shown(dead) == {f"holds {n}": 1 for n in range(5)}
    marking = net.initial
    for name in found.path(dead):
        marking = net.fire(marking, name)
    assert (marking, len(found.path(dead))) == (dead, 5)


def test_philosophers_who_take_both_forks_at_once_never_starve() -> None:
    found = reached(philosophers(5, one_by_one=False))
    # The independent sets of a ring of five: nobody, one of five, or two that are no neighbours.
    assert (len(found.ways), found.deadlocks) == (1 + 5 + 5, [])


def test_the_tree_of_muratas_example_is_as_printed() -> None:
    """Murata 1989, section V.A, example 16: markings (1 0 0), (0 0 1), (1 w 0), (0 w 1)."""
    net = net_of(
        {
            "t1": ({"p1": 1}, {"p3": 1}),
            "t2": ({"p2": 1, "p3": 1}, {"p3": 1}),
            "t3": ({"p1": 1}, {"p1": 1, "p2": 1}),
        },
        {"p1": 1},
    )
    net = Net(net.transitions, {"p1": 1}, ["p1", "p2", "p3"])
    found = covered(net)
    assert set(found.nodes) == {(1, 0, 0), (0, 0, 1), (1, MANY, 0), (0, MANY, 1)}
    assert (found.unbounded, found.is_whole) == (["p2"], True)


def test_weights_count_in_invariants() -> None:
    # Two of hydrogen and one of oxygen make water, and water comes apart: atoms are kept (Murata 1989, figure 1).
    net = net_of(
        {"burn": ({"H2": 2, "O2": 1}, {"H2O": 2}), "part": ({"H2O": 2}, {"H2": 2, "O2": 1})}, {"H2": 4, "O2": 2}
    )
    assert place_invariants(net) == [{"H2": 1, "H2O": 1}, {"O2": 2, "H2O": 1}]
    assert [net.shown(marking) for marking in reached(net).ways][-1] == {"H2O": 4}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_invariants_hold_at_every_marking_and_bounds_are_those_of_the_markings(data: st.DataObject) -> None:
    places = ["a", "b", "c", "d"]
    arcs = st.dictionaries(st.sampled_from(places), st.integers(1, 2), max_size=2)
    pairs = data.draw(st.lists(st.tuples(arcs, arcs), min_size=1, max_size=4))
    marking = data.draw(st.dictionaries(st.sampled_from(places), st.integers(1, 2), max_size=3))
    net = Net([Transition(f"t{n}", takes, puts) for n, (takes, puts) in enumerate(pairs)], marking, places)
    whole = reached(net, 300)
    for invariant in place_invariants(net):
        assert {total(net, invariant, each) for each in whole.ways} == {total(net, invariant, net.initial)}
        assert all(weight > 0 for weight in invariant.values())
    cover = covered(net, 3_000)
    for each in whole.ways:
        assert not cover.is_whole or any(all(a <= b for a, b in zip(each, node, strict=True)) for node in cover.nodes)
    if whole.is_whole and cover.is_whole:
        assert cover.unbounded == []
        for at, place in enumerate(places):
            assert cover.bound(place) == max(each[at] for each in whole.ways)


def test_minimal_invariants_are_all_that_a_dumb_search_finds() -> None:
    net = mutual_exclusion()
    rows = net.incidence()
    supports = set()
    for weights in product(range(2), repeat=len(net.places)):
        columns = range(len(net.transitions))
        if any(weights) and all(sum(w * row[at] for w, row in zip(weights, rows, strict=True)) == 0 for at in columns):
            supports.add(frozenset(place for place, w in zip(net.places, weights, strict=True) if w))
    minimal = {each for each in supports if not any(other < each for other in supports)}
    assert {frozenset(each) for each in place_invariants(net)} == minimal


def test_what_can_be_no_net_is_refused_by_name() -> None:
    with pytest.raises(CallerError, match="two transitions are called 't'"):
        Net([Transition("t"), Transition("t")], {})
    with pytest.raises(CallerError, match="transition 't' names 'b', and there is no such place"):
        Net([Transition("t", {"a": 1}, {"b": 1})], {"a": 1}, ["a"])
    with pytest.raises(CallerError, match="transition 't' has 0 at 'a': an int from 1 on"):
        Net([Transition("t", {"a": 0})], {})
    with pytest.raises(CallerError, match="the marking has -1 at 'a'"):
        Net([Transition("t", {"a": 1})], {"a": -1})


def test_what_can_not_happen_is_refused() -> None:
    net = mutual_exclusion()
    inside = net.fire(net.initial, "enter 1")
    assert [each.name for each in net.enabled(inside)] == ["leave 1"]
    with pytest.raises(CallerError, match="'enter 2' can't happen at"):
        net.fire(inside, "enter 2")
    with pytest.raises(CallerError, match="no transition 'sleep'"):
        net.fire(inside, "sleep")
    with pytest.raises(CallerError, match="was not reached"):
        reached(net).path(net.marking_of({"inside 1": 1, "inside 2": 1}))
    with pytest.raises(CallerError, match="markings_max=0"):
        reached(net, 0)


def test_invariants_stop_at_their_bound_and_say_so() -> None:
    with pytest.raises(CallerError, match="more than 1 rows on the way"):
        place_invariants(philosophers(5, one_by_one=True), rows_max=1)
