"""Random lives of hosts: loss, partitions, deaths, goodbyes, restarts; when the faults end, all must agree (MB)."""

from random import Random

import pytest

from protocol.fact import Began, Claim, State
from protocol.hosts.gossip import Gossip
from protocol.hosts.homes import Homes
from protocol.hosts.machine import Displaced, Failed, Left, Recovered
from protocol.hosts.membership import Membership
from protocol.limits import HostLimits
from sims.spread.host_world import HostWorld, Network

LIMITS = HostLimits()
SETTLE_S = 120.0
"""More than the longest doubt, a round of probes, and the tries that bring two halves together again."""


def bound_s(hosts: int) -> float:
    """Return within which time a failed host must be found: a round, the probe, the wait of a doubt that is shared.

    A probe may be lost here and there, and then a doubt is begun later: hence twice the least wait.
    """
    periods = 2 * hosts + 2 + 2 * LIMITS.suspicion_periods * max(10, 3 * hosts.bit_length()) / 10
    return periods * LIMITS.probe_us / 1e6


def life(seed: int) -> HostWorld:
    """Play a life of faults, let them end, and let the dust settle."""
    rng = Random(seed)
    network = Network(delay_us=(200, rng.choice((2_000, 50_000, 300_000))), loss_percent=rng.choice((0, 1, 10, 30)))
    world = HostWorld(seed, network)
    count = rng.choice((3, 5, 8, 13, 21))
    names = [f"h{n:02}" for n in range(count)]
    seeds = tuple(names[:1])
    for name in names:
        world.start(name, (f"agent-{name}",), seeds)
        world.run(rng.choice((0.0, 0.1, 1.0)))
    world.run(5)
    for number in range(rng.randrange(4, 16)):
        fault(world, rng, names, seeds, number)
        world.run(rng.choice((0.05, 1.0, 5.0, 20.0)))
    network.cut.clear()
    network.loss_percent = 0
    if names[0] not in world.machines:
        # Somebody must be where the seeds say: who left and came back while none was there is known to nobody.
        world.start(names[0], (f"agent-{names[0]}",), (sorted(world.machines)[0],))
    world.run(SETTLE_S, until=world.agree)
    return world


def fault(world: HostWorld, rng: Random, names: list[str], seeds: tuple[str, ...], number: int) -> None:
    running = sorted(world.machines)
    match rng.choice(("kill", "kill", "start", "start", "leave", "cut", "heal", "claim", "began", "deaf")):
        case "kill" if len(running) > 2:
            world.kill(rng.choice(running))
        case "leave" if len(running) > 2:
            world.leave(rng.choice(running))
        case "start":
            gone = [name for name in names if name not in world.machines]
            if gone:
                name = rng.choice(gone)
                # Whoever is restarted knocks at any that runs: the first seed may be the one that died.
                world.start(name, (f"agent-{name}",), (*seeds, rng.choice(running)))
        case "cut":
            world.network.cut.update({name: rng.randrange(2) for name in names})
        case "deaf":
            world.network.cut.update({rng.choice(running): 2})
        case "heal":
            world.network.cut.clear()
        case "claim":
            name, agent = rng.choice(running), f"agent-{rng.choice(names)}"
            machine = world.machines[name]
            world.publish(name, Claim(agent, machine.term(agent) + 1, name))
        case "began":
            world.publish(rng.choice(running), Began(f"agent-{number}", 2, ()))
        case _:
            pass


@pytest.mark.parametrize("seed", [*range(60), 89, 118, 121])
def test_when_faults_end_no_two_hosts_disagree(seed: int) -> None:
    world = life(seed)
    assert world.agree(), {name: machine.living() for name, machine in world.machines.items()}
    homes = [machine.homes for machine in world.machines.values()]
    assert all(one == homes[0] for one in homes)
    for machine in world.machines.values():
        for agent, home in machine.homes.items():
            assert machine.term(agent) == max(other.term(agent) for other in world.machines.values()), (agent, home)
    # It stays so, and quiet: no host is doubted for good.
    alarms = len(world.turned)
    world.run(30)
    assert world.agree()
    assert world.turned[alarms:] == []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("loss_percent", [0, 10])
def test_a_dead_host_is_found_within_the_bound_by_all_and_nobody_else_is_taken_for_dead(
    seed: int, loss_percent: int
) -> None:
    world = HostWorld(seed, Network(loss_percent=loss_percent))
    names = [f"h{n:02}" for n in range(Random(seed).choice((3, 6, 12, 40)))]
    world.acquaint(names)
    world.run(10)
    world.kill(names[1])
    found = world.run(
        bound_s(len(names)),
        until=lambda: all(machine.standing(names[1]) == State.FAILED for machine in world.machines.values()),
    )
    assert found
    assert {action for _, _, action in world.turned} == {Failed(names[1])}


def test_a_false_alarm_is_taken_back_everywhere() -> None:
    world = HostWorld(7)
    names = [f"h{n:02}" for n in range(12)]
    world.acquaint(names)
    world.run(10)
    world.network.cut[names[3]] = 1
    assert world.run(120, until=lambda: world.machines[names[0]].standing(names[3]) == State.FAILED)
    world.run(5)
    world.network.cut.clear()
    assert world.run(SETTLE_S, until=world.agree)
    failed, back = (
        {host for _, host, action in world.turned if action == kind(names[3])} for kind in (Failed, Recovered)
    )
    assert failed == back == set(names) - {names[3]}


def test_two_halves_of_a_network_find_each_other_again_without_a_seed() -> None:
    world = HostWorld(3)
    names = [f"h{n:02}" for n in range(20)]
    world.acquaint(names)
    world.run(10)
    world.network.cut.update(dict.fromkeys(names[:8], 1))
    world.run(200)
    assert all(machine.living() in (names[:8], names[8:]) for machine in world.machines.values())
    world.network.cut.clear()
    assert world.run(SETTLE_S, until=world.agree)


def test_who_was_away_while_its_agent_moved_is_told_as_it_comes_back() -> None:
    world = HostWorld(5)
    for name in ("h0", "h1", "h2"):
        world.start(name, (f"agent-{name}",), ("h0",))
        world.run(1)
    world.kill("h1")
    world.run(1)
    world.publish("h2", Claim("agent-h1", 2, "h2"))
    world.run(1)
    told: list[object] = []
    machine = world.start("h1", ("agent-h1",), ("h0",))
    received = machine.received

    def listening(*args: object) -> list[object]:
        actions = received(*args)  # type: ignore[arg-type]
        told.extend(action for action in actions if isinstance(action, Displaced))
        return list(actions)

    machine.received = listening  # type: ignore[method-assign, assignment]
    world.run(2)
    assert told == [Displaced("agent-h1", "h2")]


def test_goodbyes_raise_no_alarm() -> None:
    world = HostWorld(11, Network(loss_percent=5))
    names = [f"h{n:02}" for n in range(30)]
    world.acquaint(names)
    world.run(10)
    for name in names[:10]:
        world.leave(name)
        world.run(1)
    world.run(60)
    assert {type(action) for _, _, action in world.turned} == {Left}
    assert world.agree()


def test_one_seed_one_history() -> None:
    first, second = (life(19) for _ in range(2))
    assert (first.now_us, first.sent, first.turned) == (second.now_us, second.sent, second.turned)


# -- rules switched off: the lives of hosts must notice


def no_repairs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gossip, "answer", lambda self, compare: None)


def no_probes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Membership, "_next", lambda self: None)


def nobody_refutes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Membership, "_answer_for_itself", lambda self, incarnation, state: None)


def the_first_claim_stands(patch: pytest.MonkeyPatch) -> None:
    def settle(self: Homes, agent: str, listers: tuple[str, ...]) -> None:
        self.by_agent.setdefault(agent, self._best(agent, listers)[1])

    patch.setattr(Homes, "_settle", settle)


MUTATIONS = {
    "MB-3": no_repairs,
    "MB-4": no_probes,
    "MB-5": nobody_refutes,
    "MB-8": the_first_claim_stands,
}


@pytest.mark.parametrize("rule", MUTATIONS)
def test_a_rule_of_hosts_switched_off_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS[rule](monkeypatch)
    for seed in range(40):
        try:
            test_when_faults_end_no_two_hosts_disagree(seed)
        except AssertionError:
            return
    pytest.fail("the lives of hosts did not notice")
