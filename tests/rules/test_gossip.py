"""Rules MB-1 to MB-3 and MB-8: facts between hosts, and which agent lives where."""

import random

import pytest

from protocol.errors import WireInvalid
from protocol.fact import Began, Claim, Fact, HostFact, Standing, State, Suspicion
from protocol.hosts.gossip import LEAF_MAX, Gossip
from protocol.hosts.machine import Connect, Displaced, HostMachine, Outdone, Tell
from protocol.hosts.messages import Compare, Ping
from protocol.limits import NUMBER_MAX
from protocol.wire import Frame, decode_frame, encode_frame
from tests.rules.hosts import LIMITS, Hosts


def facts_of(machine: HostMachine) -> set[Fact]:
    return set(machine.gossip.facts())


# -- facts


def test_mb1_a_fact_reaches_every_host_by_a_bounded_number_of_frames() -> None:
    hosts = Hosts(30)
    hosts.run(20)
    for machine in hosts.machines.values():
        assert len(machine.homes) == 30
        assert machine.living() == sorted(hosts.machines)
    hosts.said.clear()
    hosts.carry("h7", hosts.machines["h7"].publish(Began("x", 2, ((1, 4),)), hosts.now_us))
    hosts.run(3)
    assert all(Began("x", 2, ((1, 4),)) in facts_of(machine) for machine in hosts.machines.values())
    copies = sum(fact == Began("x", 2, ((1, 4),)) for _, action in hosts.said for fact in action.facts)
    # Each host sends it log2 N times, perhaps to one or two more at the last push.
    assert copies <= 30 * ((30).bit_length() + LIMITS.fan_out - 1)


def test_mb1_news_that_comes_thick_and_fast_goes_in_few_frames() -> None:
    hosts = Hosts(5)
    hosts.run(10)
    machine = hosts.machines["h1"]
    pushes = [machine.publish(Began(f"x{n}", 2, ()), hosts.now_us + n) for n in range(50)]
    assert sum(len(actions) for actions in pushes) <= LIMITS.fan_out + 50  # the rest is `Heard`
    later = machine.elapsed(hosts.now_us + LIMITS.gossip_us)
    assert max(len(action.facts) for action in later if isinstance(action, Tell)) >= 49


def test_mb2_a_newer_fact_of_a_host_replaces_the_older_and_never_the_other_way() -> None:
    machine = HostMachine("h0", random.Random(1), ())
    old, new = HostFact("h1", 1, "old", ("a",)), HostFact("h1", 2, "new", ("a", "b"))
    heard = machine.received("h1", (new,), None, (), 0)
    assert [a.address for a in heard if isinstance(a, Connect)] == ["new"]
    assert not any(isinstance(action, Connect) for action in machine.received("h1", (old,), None, (), 0))
    assert machine.homes == {"a": "h1", "b": "h1"}
    machine.received("h1", (HostFact("h1", 3, "new", ("b",)),), None, (), 0)
    assert machine.homes == {"b": "h1"}


def test_mb2_a_host_whose_clock_ran_ahead_in_an_earlier_life_says_something_newer() -> None:
    machine = HostMachine("h0", random.Random(1), ())
    machine.publish(HostFact("h0", 5, "now", ("a",)), 0)
    actions = machine.received("h1", (HostFact("h0", 9, "before", ("a",)),), None, (), 0)
    assert Outdone(9) in actions
    assert not any(isinstance(action, Connect) for action in actions)


def test_mb2_who_has_not_proven_to_belong_here_is_not_heard() -> None:
    machine = HostMachine("h0", random.Random(1), ())
    machine.received("h1", (HostFact("h1", 1, "at", ()),), None, (), 0)
    machine.elapsed(1)
    facts = (Began("a", 2, ()), Standing("h1", 5, State.FAILED), Claim("a", 9, "h9"), Suspicion("h1", 1, "h9"))
    assert machine.received("h9", facts, Compare(facts=facts), (Ping(1),), 0) == []
    assert machine.standing("h1") == State.ALIVE
    assert machine.homes == {}


def test_mb2_an_introduction_is_answered_once() -> None:
    hosts = Hosts(1)
    hosts.start("h1", 2)
    hosts.said.clear()
    hosts.carry("h1", hosts.machines["h1"].elapsed(hosts.now_us))
    assert hosts.machines["h1"].knows("h0")
    assert hosts.machines["h0"].knows("h1")
    assert len(hosts.said) <= 6


def gossips(facts: int) -> tuple[Gossip, Gossip]:
    pair = Gossip(LIMITS), Gossip(LIMITS)
    for n in range(facts):
        for gossip in pair:
            gossip.learn(Began(f"agent-{n}", 2, ()))
    return pair


def repair(one: Gossip, other: Gossip) -> tuple[int, int]:
    """Compare until nothing is said; return frames and bytes."""
    compare: Compare | None = one.opening()
    frames = size = 0
    here, there = one, other
    while compare is not None:
        frames += 1
        size += len(encode_frame(Frame(compare=compare)))
        here, there = there, here
        for fact in compare.facts:
            here.learn(fact)
        compare = here.answer(compare)
    return frames, size


@pytest.mark.parametrize("count", [0, 1, 10, 100, 1000, 10_000])
def test_mb3_a_comparison_costs_what_differs_and_not_what_is_held(count: int) -> None:
    one, other = gossips(count)
    frames, size = repair(one, other)
    assert (frames, size <= 30) == (1, True)
    one.learn(Began("new", 2, ()))
    frames, size = repair(one, other)
    depth = max(len(f"{count:x}"), 1)
    assert frames <= depth + 3
    assert size <= 300 * depth + 40 * LEAF_MAX + 300
    assert set(one.facts()) == set(other.facts())


def test_mb3_any_two_hosts_hold_the_same_after_a_few_comparisons() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        pair = Gossip(LIMITS), Gossip(LIMITS)
        for n in range(rng.choice((1, 20, 300, 3000))):
            for gossip in pair:
                if rng.random() < 0.7:
                    gossip.learn(HostFact(f"h{n}", rng.randrange(3), "at", ()))
        for _ in range(20):
            repair(*rng.sample(pair, 2))
        assert set(pair[0].facts()) == set(pair[1].facts())
        assert repair(*pair)[0] == 1


def test_mb3_whatever_another_compares_nothing_is_raised() -> None:
    gossip, _ = gossips(100)
    odd = ("", "g", "0" * 24, "f" * 40, "\u20ac", "00", "-1")
    compare = Compare(tuple((p, -5) for p in odd), tuple((p, ((p, 1), (p, 2))) for p in odd), odd)
    answer = gossip.answer(compare)
    assert answer is not None
    encode_frame(Frame(compare=answer))


@pytest.mark.parametrize(
    "frame",
    [
        Frame(probes=(Ping(1),) * 65),
        Frame(facts=(Began("a", 1, ()),) * 4097),
        Frame(compare=Compare(wants=("a",) * 4097)),
        Frame(compare=Compare(lists=(("", (("a", 1),) * 4096),))),
        Frame(facts=(HostFact("h", NUMBER_MAX + 1, "", ()),)),
        Frame(facts=(Standing("h", -1, State.FAILED),)),
        Frame(facts=(Standing("h", 1, State.SUSPECT),)),
        Frame(compare=Compare(facts=(Claim("a", NUMBER_MAX + 1, "h"),))),
    ],
)
def test_mb3_what_is_over_the_limits_is_refused_whole(frame: Frame) -> None:
    with pytest.raises(WireInvalid):
        decode_frame(encode_frame(frame))


# -- which agent lives where


def test_mb8_the_highest_term_has_an_agent_and_who_had_it_must_stop_it() -> None:
    hosts = Hosts(5)
    hosts.run(15)
    assert hosts.machines["h1"].term("agent-h2") == 1
    hosts.carry("h1", hosts.machines["h1"].publish(Claim("agent-h2", 2, "h1"), hosts.now_us))
    hosts.run(3)
    assert all(machine.homes["agent-h2"] == "h1" for machine in hosts.alive())
    assert [done for done in hosts.done if isinstance(done[1], Displaced)] == [("h2", Displaced("agent-h2", "h1"))]
    hosts.dead["h2"] = None
    hosts.run(1)
    hosts.start("h2", 99)
    hosts.run(3)
    assert [done for done in hosts.done if isinstance(done[1], Displaced)][1:] == [("h2", Displaced("agent-h2", "h1"))]
    hosts.dead["h1"] = None
    hosts.run(1)
    hosts.start("h1", 98, ("agent-h1", "agent-h2"))
    hosts.run(3)
    assert all(machine.homes["agent-h2"] == "h1" and machine.term("agent-h2") == 2 for machine in hosts.alive())


def test_mb8_ties_go_by_host_whatever_the_order() -> None:
    said: list[Fact] = [HostFact("h1", 1, "at", ("a", "b")), HostFact("h2", 1, "at", ("a", "b")),
                        Claim("b", 2, "h1"), Claim("b", 2, "h0"), HostFact("h2", 2, "at", ("a", "b", "c"))]  # fmt: skip
    for seed in range(30):
        machine = HostMachine("h5", random.Random(seed), ())
        machine.received("h1", (HostFact("h1", 0, "at", ()),), None, (), 0)
        for fact in random.Random(seed).sample(said, len(said)):
            machine.received("h1", (fact,), None, (), 0)
        assert machine.homes == {"a": "h2", "b": "h1", "c": "h2"}
