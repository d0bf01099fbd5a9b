"""Rules MB: hosts find each other, spread facts, notice who fails, and agree on which agent lives where."""

import random
from collections.abc import Callable, Iterable

import pytest

from protocol.doubt import SHRUNK_PERMILLE
from protocol.errors import WireInvalid
from protocol.fact import Began, Claim, Fact, HostFact, Standing, State, Suspicion
from protocol.gossip import LEAF_MAX, Gossip
from protocol.host_machine import Connect, Displaced, Failed, HostMachine, Knock, Left, Outdone, Recovered, Tell
from protocol.host_message import Compare, Ping, PingFor, Pong, Silence
from protocol.limits import NUMBER_MAX, HostLimits
from protocol.wire import Frame, decode_frame, encode_frame

SECOND = 1_000_000
LIMITS = HostLimits()


class Hosts:
    """Host machines side by side; what they say arrives at once, or not at all."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.now_us = SECOND
        self.machines: dict[str, HostMachine] = {}
        self.said: list[tuple[str, Tell | Knock]] = []
        self.done: list[tuple[str, object]] = []
        self.dead: dict[str, None] = {}
        self.loses: Callable[[str, str, object], bool] = lambda sender, receiver, action: False
        for n in range(count):
            self.start(f"h{n}", seed + n)

    def start(self, host: str, seed: int = 1, agents: tuple[str, ...] | None = None) -> None:
        self.dead.pop(host, None)
        self.machines[host] = HostMachine(host, random.Random(seed), ("at-h0",))
        own = HostFact(host, self.now_us, f"at-{host}", (f"agent-{host}",) if agents is None else agents)
        self.carry(host, self.machines[host].publish(own, self.now_us))

    def carry(self, host: str, actions: Iterable[object]) -> None:
        todo = [(host, action) for action in actions]
        while todo:
            sender, action = todo.pop(0)
            if not isinstance(action, Tell | Knock):
                self.done.append((sender, action))
                continue
            self.said.append((sender, action))
            receiver = action.host if isinstance(action, Tell) else action.address.removeprefix("at-")
            if receiver in self.dead or receiver not in self.machines or self.loses(sender, receiver, action):
                continue
            probes = action.probes if isinstance(action, Tell) else ()
            frame = decode_frame(encode_frame(Frame(facts=action.facts, compare=action.compare, probes=probes)))
            more = self.machines[receiver].received(sender, frame.facts, frame.compare, frame.probes, self.now_us)
            todo += [(receiver, other) for other in more]

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        end_us = self.now_us + int(seconds * SECOND)
        while not until():
            host = min((h for h in self.machines if h not in self.dead), key=lambda h: self.machines[h].deadline_us)
            if self.machines[host].deadline_us > end_us:
                self.now_us = end_us
                return
            self.now_us = max(self.now_us, self.machines[host].deadline_us)
            self.carry(host, self.machines[host].elapsed(self.now_us))

    def alive(self) -> list[HostMachine]:
        return [machine for host, machine in self.machines.items() if host not in self.dead]

    def agree(self) -> bool:
        views = [tuple((h, m.standing(h)) for h in self.machines if h != m.host) for m in self.alive()]
        full = {h: s for view in views for h, s in view}
        return all(dict(view).get(h) == full[h] for view in views for h, _ in view)


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
    assert (frames, size < 30) == (1, True)
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


# -- who is there


def test_mb4_every_host_is_probed_once_in_a_round() -> None:
    hosts = Hosts(10)
    hosts.run(20)
    hosts.said.clear()
    hosts.run(18)
    asked = [action.host for host, action in hosts.said if host == "h3" and isinstance(action, Tell)
             for probe in action.probes if isinstance(probe, Ping)]  # fmt: skip
    # Two rounds, each in an order of its own: nobody waits longer than both.
    assert len(asked) == 18
    assert set(asked[:17]) == set(asked[1:]) == set(hosts.machines) - {"h3"}


def test_mb4_who_does_not_answer_is_asked_by_others_and_one_that_they_hear_is_not_doubted() -> None:
    hosts = Hosts(6)
    hosts.run(10)
    hosts.loses = lambda sender, receiver, action: {sender, receiver} == {"h1", "h2"}
    hosts.run(60)
    assert hosts.done.count(("h1", Failed("h2"))) == 0
    assert any(isinstance(probe, PingFor) for host, action in hosts.said if isinstance(action, Tell)
               for probe in action.probes if host == "h1")  # fmt: skip
    assert hosts.machines["h1"].standing("h2") == State.ALIVE


def test_mb4_an_answer_counts_only_from_who_was_asked() -> None:
    machine = HostMachine("h0", random.Random(1), ())
    for n in (1, 2, 3):
        machine.received(f"h{n}", (HostFact(f"h{n}", 1, "at", ()),), None, (), 0)
    machine.elapsed(0)
    while machine.membership.deadline_us == 0 or not (
        said := [a for a in machine.elapsed(machine.membership.deadline_us or 0) if isinstance(a, Tell) and a.probes]
    ):
        pass
    ((target, (ping,)),) = [(tell.host, tell.probes) for tell in said]
    assert isinstance(ping, Ping)
    stranger = next(f"h{n}" for n in (1, 2, 3) if f"h{n}" != target)
    at = machine.membership.deadline_us or 0
    machine.received(stranger, (), None, (Pong(ping.number), Silence(ping.number)), at)
    asked = [a for a in machine.elapsed(at) if isinstance(a, Tell) and any(isinstance(p, PingFor) for p in a.probes)]
    assert len(asked) == 2


def test_mb5_the_highest_incarnation_and_state_stands_whatever_the_order() -> None:
    said = [HostFact("h1", 3, "at", ()), Standing("h1", 3, State.FAILED), Standing("h1", 4, State.ALIVE),
            Standing("h1", 5, State.FAILED), Standing("h1", 2, State.LEFT), HostFact("h1", 6, "at", ()),
            Standing("h1", 6, State.LEFT)]  # fmt: skip
    for seed in range(50):
        machine = HostMachine("h0", random.Random(seed), ())
        machine.received("h2", (HostFact("h2", 1, "at", ()),), None, (), 0)
        for fact in random.Random(seed).sample(said, len(said)):
            machine.received("h2", (fact,), None, (), 0)
        assert machine.standing("h1") == State.LEFT
        assert machine.living() == ["h0", "h2"]


def test_mb5_the_doubted_hears_of_it_first_and_refutes() -> None:
    hosts = Hosts(3)
    hosts.run(10)
    doubted = hosts.machines["h1"]
    before = doubted.membership.incarnation
    doubt = Suspicion("h2", hosts.machines["h2"].membership.incarnation, "h0")
    hosts.machines["h0"].membership.doubted(doubt, hosts.now_us)
    assert hosts.machines["h0"].standing("h2") == State.SUSPECT
    hosts.said.clear()
    hosts.run(3, until=lambda: hosts.machines["h0"].standing("h2") == State.ALIVE)
    assert hosts.machines["h0"].standing("h2") == State.ALIVE
    assert hosts.machines["h2"].membership.incarnation == doubt.incarnation + 1
    assert doubted.membership.incarnation == before
    first = next(action for _, action in hosts.said if isinstance(action, Tell) and action.host == "h2"
                 and action.probes)  # fmt: skip
    assert first.facts[0] == doubt


def test_mb5_a_lone_doubt_waits_long_and_doubts_of_others_shorten_it() -> None:
    def waits_us(others: int) -> int:
        machine = HostMachine("h0", random.Random(1), ())
        for n in range(1, 10):
            machine.received(f"h{n}", (HostFact(f"h{n}", 1, "at", ()),), None, (), 0)
        for n in range(1, 2 + others):
            machine.membership.doubted(Suspicion("h9", 1, f"h{n}"), 0)
            machine.membership.doubted(Suspicion("h9", 1, f"h{n}"), 0)
        return min(doubt.until_us for doubt in machine.membership._doubts.values())  # its own wait, not the probe's

    waits = [waits_us(others) for others in range(5)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] == LIMITS.suspicion_stretch * waits[3]
    assert waits[3] == waits[4] == LIMITS.suspicion_periods * LIMITS.probe_us * 12 // 10
    assert SHRUNK_PERMILLE[3][3] == 1000


def test_mb6_who_is_deaf_itself_gets_slower_before_it_doubts_others() -> None:
    hosts = Hosts(8)
    hosts.run(15)
    hosts.loses = lambda sender, receiver, action: receiver == "h3"
    hosts.run(2.5)
    assert hosts.machines["h3"].membership.health >= 3
    hosts.run(6)
    others = [host for host in hosts.machines if host != "h3"]
    assert all(hosts.machines["h3"].standing(host) != State.FAILED for host in others)
    hosts.loses = lambda sender, receiver, action: False
    hosts.run(60)
    assert hosts.machines["h3"].membership.health == 0
    assert hosts.agree()
    assert all(len(machine.living()) == 8 for machine in hosts.alive())


def test_mb6_who_was_asleep_judges_nobody() -> None:
    hosts = Hosts(2)
    hosts.run(10)
    machine = hosts.machines["h0"]
    machine.membership.doubted(Suspicion("h1", machine.gossip.get("host/h1").version, "h0"), hosts.now_us)  # type: ignore[union-attr]
    machine.elapsed(hosts.now_us + 3600 * SECOND)
    assert machine.standing("h1") == State.SUSPECT
    assert machine.membership.health == 1


def test_mb7_a_failed_host_is_found_within_the_bound_and_everybody_knows() -> None:
    hosts = Hosts(10)
    hosts.run(15)
    hosts.dead["h4"] = None
    # A round of probes at worst, two periods for the failed one, then the wait of a doubt that three others share.
    hosts.run(9 + 2 + 6 * 4.8)
    for machine in hosts.alive():
        assert machine.standing("h4") == State.FAILED
        assert "h4" not in machine.living()
        assert machine.failed_since("h4") is not None
        assert hosts.done.count((machine.host, Failed("h4"))) == 1


def test_mb7_a_host_that_starts_again_is_alive_again_and_one_declared_failed_by_mistake_says_so() -> None:
    hosts = Hosts(6)
    hosts.run(15)
    hosts.dead["h4"] = None
    hosts.run(40)
    hosts.start("h4", 99)
    hosts.run(3)
    for machine in hosts.alive():
        assert machine.standing("h4") == State.ALIVE
        assert machine.failed_since("h4") is None
        assert machine.host == "h4" or (machine.host, Recovered("h4")) in hosts.done
    incarnation = hosts.machines["h5"].membership.incarnation
    hosts.carry("h0", hosts.machines["h0"].publish(Standing("h5", incarnation, State.FAILED), hosts.now_us))
    hosts.run(3)
    assert hosts.machines["h5"].membership.incarnation == incarnation + 1
    assert all(machine.standing("h5") == State.ALIVE for machine in hosts.alive())


def test_mb7_a_host_killed_and_started_within_seconds_is_never_taken_for_failed() -> None:
    hosts = Hosts(3)
    hosts.run(15)
    hosts.dead["h2"] = None
    hosts.run(3)
    hosts.start("h2", 99)
    hosts.run(30)
    assert not any(isinstance(action, Failed) for _, action in hosts.done)
    assert all(len(machine.living()) == 3 for machine in hosts.alive())


def test_mb7_who_leaves_has_left_for_good_in_that_incarnation() -> None:
    hosts = Hosts(6)
    hosts.run(15)
    hosts.carry("h3", hosts.machines["h3"].leave(hosts.now_us))
    assert hosts.machines["h3"].leave(hosts.now_us) == []
    hosts.dead["h3"] = None
    hosts.run(2)
    assert all((machine.host, Left("h3")) in hosts.done for machine in hosts.alive())
    hosts.run(60)
    assert not any(isinstance(action, Failed) for _, action in hosts.done)
    incarnation = hosts.machines["h3"].membership.incarnation
    hosts.machines["h0"].received("h1", (Standing("h3", incarnation, State.FAILED),), None, (), hosts.now_us)
    assert all(machine.standing("h3") == State.LEFT for machine in hosts.alive())
    hosts.start("h3", 99)
    hosts.run(3)
    assert all(machine.standing("h3") == State.ALIVE for machine in hosts.alive())


def test_mb7_a_late_joiner_learns_who_has_failed_or_left() -> None:
    hosts = Hosts(6)
    hosts.run(15)
    hosts.carry("h3", hosts.machines["h3"].leave(hosts.now_us))
    hosts.dead.update({"h3": None, "h4": None})
    hosts.run(40)
    hosts.start("late", 99)
    hosts.run(3)
    assert hosts.machines["late"].standing("h3") == State.LEFT
    assert hosts.machines["late"].standing("h4") == State.FAILED
    assert hosts.machines["late"].living() == ["h0", "h1", "h2", "h5", "late"]
    assert ("late", Failed("h4")) in hosts.done


# -- which agent lives where


def test_mb8_the_highest_term_has_an_agent_and_who_had_it_must_stop_it() -> None:
    hosts = Hosts(5)
    hosts.run(15)
    assert hosts.machines["h1"].term("agent-h2") == 1
    hosts.carry("h1", hosts.machines["h1"].claim("agent-h2", 2, hosts.now_us))
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
