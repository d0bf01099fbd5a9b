"""Random histories against the oracle: kept seeds, a swarm, scale, and rules switched off one by one."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.agent.shelved import Shelved
from protocol.checkpoints.core import HostCore
from protocol.checkpoints.messages import ForAgent
from protocol.event import Event
from sims.histories.history import History
from sims.histories.plan import CALLED_OFF, CONVERSING, CROWDED, PEOPLED, SHELVING, SLEEPING, STRANGE, TIMED, Plan
from sims.histories.sim_host import SimHost
from sims.histories.swarm import play, swarm
from sims.histories.verdict import judge
from sims.runs.shrink import shrunk
from tests.simulation.mutations import no_balance

SEEDS = [
    int(line.split()[0]) for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines() if line[0] != "#"
]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_found_a_bug_passes(seed: int) -> None:
    result = play(Plan.random(seed))
    assert result.failure == "", f"replay: ebbtide sim --seed {seed}"


def test_a_swarm_passes() -> None:
    failures = [result for result in swarm(0, 600) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_with_conversations_passes() -> None:
    failures = [result for result in swarm(CONVERSING, CONVERSING + 350) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_with_names_that_are_heard_of_late_or_never_passes() -> None:
    failures = [result for result in swarm(STRANGE, STRANGE + 500) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_with_timers_passes() -> None:
    failures = [result for result in swarm(TIMED, TIMED + 500) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_with_agents_that_wait_until_others_have_taken_what_they_sent_passes() -> None:
    failures = [result for result in swarm(CROWDED, CROWDED + 500) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_in_which_inputs_are_called_off_passes() -> None:
    failures = [result for result in swarm(CALLED_OFF, CALLED_OFF + 500) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_with_people_passes() -> None:
    failures = [result for result in swarm(PEOPLED, PEOPLED + 300) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_in_which_most_of_what_waits_is_not_in_memory_passes() -> None:
    failures = [result for result in swarm(SHELVING, SHELVING + 300) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_a_swarm_in_which_agents_sleep_passes() -> None:
    failures = [result for result in swarm(SLEEPING, SLEEPING + 400) if result.failure]
    assert failures == [], f"replay: ebbtide sim --seed {failures[0].seed}"


def test_agents_sleep_through_cuts_and_are_woken_and_come_to_successors(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()
    before, take_over = HostCore.before, SimHost.take_over

    def counted(self: HostCore, agent: str, event: Event, colour: int) -> list[ForAgent]:
        seen["slept through"] += self.agents.sleeps(agent) and self.epochs.colour > colour + 1
        told = before(self, agent, event, colour)
        seen["woken"] += bool(told)
        return told

    def taken(self: SimHost, dead: str) -> None:
        host = self.world.hosts[dead]
        seen["inherited"] += sum(map(host.sleeps, host.nodes))
        take_over(self, dead)

    monkeypatch.setattr(HostCore, "before", counted)
    monkeypatch.setattr(SimHost, "take_over", taken)
    for seed in range(SLEEPING, SLEEPING + 60):
        play(Plan.random(seed))
    assert all(seen[name] > 5 for name in ("slept through", "woken", "inherited")), seen


def test_what_waits_is_sent_acknowledged_undone_and_lost_while_it_lies_on_a_shelf(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: Counter[str] = Counter()
    for name in ("ripe", "pop_step"):
        _count(monkeypatch, name, seen, len)
    _count(monkeypatch, "pop", seen, lambda found: found is not None)
    for seed in range(SHELVING, SHELVING + 60):
        play(Plan.random(seed))
    assert all(seen[name] > 10 for name in ("ripe", "pop", "pop_step")), seen


def _count(
    monkeypatch: pytest.MonkeyPatch, name: str, seen: Counter[str], size: Callable[[Any], int]
) -> None:  # fmt: skip
    real = getattr(Shelved, name)

    def counted(self: Shelved, *args: Any) -> Any:
        found = real(self, *args)
        seen[name] += size(found)
        return found

    monkeypatch.setattr(Shelved, name, counted)


def test_people_say_yes_and_no_of_requests_and_of_rollbacks_and_what_is_irreversible_goes() -> None:
    verbs: Counter[str] = Counter()
    for seed in range(PEOPLED, PEOPLED + 30):
        history = History(Plan.random(seed)).run()
        said = history.people.said
        verbs.update(word.verb for word in said.words)
        verbs["oversee"] += len(said.agreed)
        verbs["letter"] += sum(effect.active for effect in history.effects.values() if effect.tool == "letter")
    assert all(verbs[verb] > 10 for verb in ("approve", "reject", "answer", "release", "oversee", "letter")), verbs


def test_inputs_are_called_off_that_wait_that_run_and_that_are_over() -> None:
    called_off = waited = 0
    for seed in range(CALLED_OFF, CALLED_OFF + 60):
        history = History(Plan.random(seed)).run()
        called_off += len(history.mishaps.called_off)
        waited += history.plan.calloffs
    assert 60 < called_off < waited


@pytest.mark.parametrize("seed", range(CONVERSING, CONVERSING + 150))
def test_conversations_that_are_told_in_small_portions_pass(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.agent.voting.SUSPECTS_MIN", 1)
    monkeypatch.setattr("protocol.agent.voting.SUSPECTS_TIMES", 1)
    result = play(Plan.random(seed))
    assert result.failure == "", f"replay: ebbtide sim --seed {seed}"


def test_seeds_below_have_no_conversations_and_those_above_do() -> None:
    assert not any(Plan.random(seed).conversations for seed in range(100))
    assert all(Plan.random(seed).conversations for seed in range(CONVERSING, CONVERSING + 100))
    assert not any(Plan.random(seed).strange for seed in range(100))
    assert all(Plan.random(seed).strange for seed in range(STRANGE, STRANGE + 100))
    assert not any(Plan.random(seed).timed for seed in (*range(100), *range(STRANGE, STRANGE + 100)))
    assert all(Plan.random(seed).timed for seed in range(TIMED, TIMED + 100))
    assert not any(Plan.random(seed).backlog for seed in (*range(100), *range(TIMED, TIMED + 100)))
    assert all(Plan.random(seed).backlog for seed in range(CROWDED, CROWDED + 100))
    assert not any(Plan.random(seed).calloffs for seed in (*range(100), *range(TIMED, TIMED + 100)))
    assert all(Plan.random(seed).calloffs for seed in range(CALLED_OFF, CALLED_OFF + 100))
    assert not any(Plan.random(seed).requests for seed in (*range(100), *range(CROWDED, CROWDED + 100)))
    assert all(Plan.random(seed).requests for seed in range(PEOPLED, PEOPLED + 100))
    assert not any(Plan.random(seed).at_hand for seed in (*range(100), *range(PEOPLED, PEOPLED + 100)))
    assert all(Plan.random(seed).at_hand for seed in range(SHELVING, SHELVING + 100))
    assert not any(Plan.random(seed).sleeps for seed in (*range(100), *range(SHELVING, SHELVING + 100)))
    assert all(Plan.random(seed).sleeps for seed in range(SLEEPING, SLEEPING + 100))


def test_every_kind_of_trouble_is_in_the_swarm() -> None:
    plans = [Plan.random(seed) for seed in range(300)]
    for trouble in ("loss", "double", "crashes", "losses", "rejects", "shared", "calls", "proposals"):
        share = sum(1 for plan in plans if getattr(plan, trouble)) / len(plans)
        assert 0.1 < share < 0.95, trouble


def test_500_agents_roll_back() -> None:
    plan = Plan(seed=1, agents=500, inputs=600, depth=4, fan_out=2, proposals=5, crashes=10, shared=0, steps_max=6000)
    history = History(plan, checking=False).run()
    judge(history)
    assert len(history.steps()) > 1500
    assert any(finish.outcome.decision == "commit" for finish in history.outcomes.values())


def test_messages_follow_the_cone_and_not_the_number_of_agents() -> None:
    sent: dict[int, int] = {}
    for agents in (10, 400):
        plan = Plan(
            seed=3, agents=agents, inputs=0, depth=6, fan_out=1, proposals=0, loss=0, double=0, crashes=0, shared=0,
            calls=0,
        )  # fmt: skip
        sent[agents] = _one_chain(plan)
    assert sent[10] == sent[400] > 0


def _one_chain(plan: Plan) -> int:
    """Run a chain of six steps over six agents, roll it back, and return the messages that took."""
    from protocol.event import ProposeWanted, Submitted
    from protocol.ids import StepId

    history = History(plan)
    names = list(history.nodes)
    for name, after in zip(names, [*names[1:], names[0]], strict=True):
        history.neighbours[name] = [after]
    history.faults_end_us = history.now_us
    for node in history.nodes.values():
        node.start()
    first = history.nodes[names[0]]
    first.feed(Submitted(0, "world", 1, (b"6",)))
    history.settle()
    first.feed(ProposeWanted(0, (StepId(names[0], 1, 1),), "discard"))
    history.settle()
    judge(history)
    return sum(history.rollback_sent.values())


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_a_seed_gives_the_same_trace_whatever_pythonhashseed_is(hash_seed: str) -> None:
    code = "from sims.histories.swarm import play_seeds; print(*[result.hash for result in play_seeds(range(40))])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    here = [play(Plan.random(seed)).hash for seed in range(40)]
    assert done.stdout.split() == here


def test_a_failing_plan_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    no_balance(monkeypatch)
    plan = next(plan for seed in range(400) if play(plan := Plan.random(seed)).failure)
    small = shrunk(plan, lambda candidate: bool(play(candidate).failure), tries=60)
    assert play(small).failure
    assert (small.agents, small.inputs, small.crashes) <= (plan.agents, plan.inputs, plan.crashes)
