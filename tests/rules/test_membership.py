"""Rules MB-4 to MB-7: hosts find each other, and notice who has failed."""

import random

import pytest

from protocol.fact import HostFact, Standing, State, Suspicion, fact_key
from protocol.hosts.doubt import SHRUNK_PERMILLE
from protocol.hosts.machine import FAR, Failed, Goodbye, HostMachine, Knock, Left, Outdone, Recovered, Tell
from protocol.hosts.messages import Ping, PingFor, Pong, Silence
from protocol.limits import NUMBER_MAX
from tests.rules.hosts import LIMITS, SECOND, Hosts


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


def test_mb5_who_is_said_to_have_failed_passes_on_that_it_has_not() -> None:
    hosts = Hosts(3)
    hosts.run(15)
    machine = hosts.machines["h1"]
    version = machine.membership.incarnation
    hosts.said.clear()
    hosts.carry("h1", machine.received("h2", (Standing("h1", version, State.FAILED),), None, (), hosts.now_us))
    hosts.run(0.1)
    said = [fact for host, tell in hosts.said if host == "h1" for fact in tell.facts if isinstance(fact, Standing)]
    assert {(fact.incarnation, fact.state) for fact in said} == {(version + 1, State.ALIVE)}


@pytest.mark.parametrize("state", [State.FAILED, State.LEFT])
def test_mb5_nobody_is_put_out_by_an_incarnation_that_no_refutation_could_follow(state: State) -> None:
    hosts = Hosts(4)
    hosts.run(15)
    said = Standing("h1", NUMBER_MAX, state)
    for name, machine in hosts.machines.items():
        hosts.carry(name, machine.received("h2", (said, Suspicion("h1", NUMBER_MAX, "h2")), None, (), hosts.now_us))
    assert all(machine.gossip.get(fact_key(said)) != said for machine in hosts.alive())
    # One that is said again and again, each time as far above as is believed, has it announce itself anew.
    for _ in range(3):
        version = max(fact.version for fact in hosts.machines["h0"].others() if fact.host == "h1")
        far = Standing("h1", version + FAR, state)
        for name in ("h0", "h1", "h3"):
            hosts.carry(name, hosts.machines[name].received("h2", (far,), None, (), hosts.now_us))
        outdone = [action for host, action in hosts.done if host == "h1" and isinstance(action, Outdone)]
        assert outdone[-1] == Outdone(version + FAR + 1)
        anew = HostFact("h1", outdone[-1].version + 1, "at-h1", ("agent-h1",))
        hosts.carry("h1", hosts.machines["h1"].publish(anew, hosts.now_us))
        hosts.run(3)
        assert all(machine.standing("h1") == State.ALIVE for machine in hosts.alive())


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


def test_mb5_who_was_cut_off_asks_once_more_before_it_says_failed() -> None:
    hosts = Hosts(5)
    hosts.run(15)
    hosts.loses = lambda sender, receiver, action: "h1" in (sender, receiver)
    doubt = Suspicion("h2", hosts.machines["h2"].membership.incarnation, "h1")
    hosts.machines["h1"].received("h0", (doubt,), None, (), hosts.now_us)
    machine = hosts.machines["h1"]
    until_us = machine.membership._doubts["h2"].until_us
    # All that it has said of it is lost, and it comes back just before it gives up.
    while machine.gossip.has_rumours():
        machine.gossip.rumours(1)
    hosts.now_us = until_us - 1
    for other in hosts.machines.values():
        other.membership._probe_us = until_us + 10 * SECOND
    hosts.loses = lambda sender, receiver, action: False
    hosts.run(2)
    assert machine.standing("h2") == State.ALIVE
    assert not any(isinstance(action, Failed) for _, action in hosts.done)


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
    later = HostFact("h3", hosts.now_us, "at-h3", ())
    assert hosts.machines["h3"].publish(later, hosts.now_us) == []
    incarnation = hosts.machines["h3"].membership.incarnation
    hosts.machines["h0"].received("h1", (Standing("h3", incarnation, State.FAILED),), None, (), hosts.now_us)
    assert all(machine.standing("h3") == State.LEFT for machine in hosts.alive())
    hosts.start("h3", 99)
    hosts.run(3)
    assert all(machine.standing("h3") == State.ALIVE for machine in hosts.alive())


def test_mb7_a_goodbye_is_said_by_whom_it_concerns() -> None:
    hosts = Hosts(4)
    hosts.run(15)
    machine = hosts.machines["h0"]
    incarnation = hosts.machines["h3"].membership.incarnation
    said = Standing("h3", incarnation, State.LEFT)
    heard = machine.received("h2", (said,), None, (), hosts.now_us)
    assert Left("h3") in heard
    assert Goodbye("h3") not in heard
    assert Goodbye("h3") not in machine.received(
        "h3", (Standing("h3", incarnation, State.FAILED),), None, (), hosts.now_us
    )
    assert Goodbye("h3") in machine.received("h3", (said,), None, (), hosts.now_us), "also where it is no news"
    told = hosts.machines["h3"].leave(hosts.now_us, "a-backup")
    assert "a-backup" in [action.host for action in told if isinstance(action, Tell)]


def test_mb7_a_goodbye_that_is_lost_is_said_again_to_who_is_to_go_on() -> None:
    hosts = Hosts(4)
    hosts.run(15)
    hosts.done.clear()
    hosts.loses = lambda sender, receiver, action: (sender, receiver) == ("h3", "h0")
    hosts.carry("h3", hosts.machines["h3"].leave(hosts.now_us, "h0"))
    hosts.run(3)
    heard = [done for who, done in hosts.done if who == "h0"]
    assert Left("h3") in heard, "from others"
    assert Goodbye("h3") not in heard
    hosts.loses = lambda sender, receiver, action: False
    hosts.run(2 * LIMITS.repair_us / SECOND)
    assert ("h0", Goodbye("h3")) in hosts.done


def test_mb7_one_that_is_tried_again_is_introduced_to() -> None:
    hosts = Hosts(5)
    hosts.run(15)
    hosts.dead.update({"h0": None, "h2": None})
    hosts.run(60)
    hosts.start("h2", 99)  # its only seed is dead
    hosts.run(LIMITS.retry_failed * LIMITS.repair_us / SECOND * 3)
    assert all(machine.standing("h2") == State.ALIVE for machine in hosts.alive())


def test_mb7_one_that_is_told_of_other_places_knocks_there_too() -> None:
    hosts = Hosts(2)
    hosts.run(5)
    hosts.dead.update({"h0": None, "h1": None})
    hosts.start("h1", 99)
    hosts.run(5)
    machine = hosts.machines["h1"]
    machine.seek(("elsewhere", "elsewhere"))
    later_us = hosts.now_us + 60 * SECOND
    knocked = [action.address for action in machine.elapsed(later_us) if isinstance(action, Knock)]
    assert knocked.count("elsewhere") == 1
    assert len(knocked) > 1


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
