"""Whole worlds in virtual time: real agents, hosts, codec and handlers, under every kind of fault."""

import asyncio
import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peer import Agent, Context, handles
from peer.cli.main import app
from peer.errors import CallerError
from sims.checkers import Broken
from sims.faults import (
    ClockSkew,
    Crash,
    Delay,
    Duplicate,
    FailedUndos,
    FailedWrite,
    KillAtStep,
    KillDuringRollback,
    Loss,
    Partition,
    Reorder,
    SlowPeer,
    TornWrite,
)
from sims.runs.fleet import fleet, play_quietly
from sims.runs.replay import read_replay, write_replay
from sims.runs.scenario import PRESETS, Scenario, play, preset, world_of
from sims.virtual.chance import Uniform
from sims.workload import Periodic, Workload
from sims.world import World

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet(caplog):
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")


class Counting(Agent):
    """Counts what it is sent, and passes half of it on."""

    def __init__(self, to: str = "") -> None:
        self.to = to

    @handles(int)
    async def count(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        if self.to and message > 1:
            ctx.send(self.to, message // 2)


# -- the example of the README


def test_the_readmes_example_runs_in_a_world(tmp_path):
    from two_agents import BANK, Buyer, Cashier, Order

    BANK.clear()
    with World(seed=7, hosts=2) as world:
        world.spawn("buyer", Buyer)
        world.spawn("cashier", Cashier)
        world.submit("buyer", Order("tea", 4), at=0.1)
        world.settle()
        assert list(BANK.values()) == [400]
        assert [str(step) for step in world.preview("buyer/1/1").steps] == ["buyer/1/1", "cashier/1/1"]
        outcome = world.rollback("buyer/1/1", inputs="retry", reason="dollars taken for cents")
        world.settle()
        world.check()
        assert outcome.committed
        assert [str(step) for step in outcome.undone] == ["buyer/1/1", "cashier/1/1"]
        assert world.state("cashier") == {("paid", "tea"): 4}
        assert list(BANK.values()) == [4]
        world.export(tmp_path)
        lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["retracted_by"]] == ["buyer/1/1", "cashier/1/1"]


def test_a_world_is_driven_step_by_step():
    with World(seed=1, hosts=2) as world:
        world.spawn("a", Counting, to="b", host="host-1")
        world.spawn("b", Counting, host="host-2")
        world.submit("a", 8, at=0.5)
        assert world.run(until=0.4) == 0.4
        assert world.steps() == []
        assert world.run(until=lambda world: len(world.steps("b")) == 1) < 0.6
        assert world.state("b") == {"sum": 4}
        world.spawn("late", Counting)
        world.submit("late", 1)
        world.settle()
        assert world.state("late") == {"sum": 1}
        with pytest.raises(CallerError, match="nobody"):
            world.state("nobody")
        with pytest.raises(CallerError, match="host-9"):
            world.crash("host-9")


def test_a_host_that_is_down_or_parted_waits_and_nothing_is_lost():
    with World(seed=1, hosts=2) as world:
        world.spawn("a", Counting, to="b", host="host-1")
        world.spawn("b", Counting, host="host-2")
        world.run(until=0.1)
        world.partition("host-2", others=("host-1",))
        world.submit("a", 8)
        world.run(until=1.0)
        assert world.state("b") == {}
        world.heal()
        world.settle()
        assert world.state("b") == {"sum": 4}
        world.crash("host-2", None)
        with pytest.raises(CallerError, match=r"host-2.*is down"):
            world.state("b")
        world.submit("a", 20)
        world.run(until=world.now + 1)
        world.restart("host-2")
        world.settle()
        world.check()
        assert world.state("b") == {"sum": 14}


def test_a_world_goes_back_to_a_checkpoint():
    with World(seed=1, hosts=2) as world:
        world.spawn("a", Counting, to="b", host="host-1")
        world.spawn("b", Counting, host="host-2")
        world.submit("a", 8)
        world.settle()
        epoch = world.checkpoint()
        world.submit("a", 100)
        world.settle()
        assert world.state("b") == {"sum": 54}
        assert world.restore(epoch) == 1
        world.settle()
        world.check()
        assert (world.state("a"), world.state("b")) == ({"sum": 8}, {"sum": 4})
        assert set(world.retracted_by().values()) == {"restore/1"}


async def test_a_world_runs_within_another_loop_as_in_a_notebook():
    with World(seed=1, hosts=1, faults=Loss(0.1)) as world:
        world.spawn("a", Counting)
        world.submit("a", 8)
        world.settle()
        assert world.state("a") == {"sum": 8}
    await asyncio.sleep(0)


def test_an_agent_that_comes_back_from_a_loss_is_asked_again_and_not_unknown():
    with World(seed=1, hosts=2) as world:
        world.spawn("a", Counting, to="b", host="host-1")
        world.spawn("b", Counting, host="host-2")
        world.submit("a", 8)
        world.settle()
        world.crash("host-2", 0.01, disk="lost", keep=0.0)
        world.run(until=world.now + 0.02)
        world.submit("b", 1)
        assert world.engine.drivers().keys() == {"a"}
        world.settle()
        world.check()
        assert world.state("b") == {"sum": 5}
        assert world.machine("b").core.incarnation == 2


def test_a_thousand_agents_start_without_disturbing_each_other():
    with World(seed=1, hosts=20, agents_per_host=50, checking="end") as world:
        world.populate(Workload(inputs=0, shared=0.0))
        world.run(until=1.0)
        assert world.engine.trace.events < 5_000


# -- faults bite


BITING = [
    Loss(0.3), Duplicate(0.3), Reorder(0.5), Delay(Uniform(0, 5000)), SlowPeer("host-1", until=0.5),
    Partition(("host-1",), at=0.1, heal=0.5), Crash("host-1", 0.1), Crash("host-2", 0.1, disk="torn"),
    Crash("host-1", 0.2, disk="lost"), KillAtStep("a1", 2), KillAtStep("a1", 2, "asked"), KillDuringRollback(),
    KillDuringRollback("decision", 1, "asked"), ClockSkew("host-1", 300.0, 100), FailedWrite("host-1", 0.1),
    TornWrite("host-1", 0.1), FailedUndos(2),
]  # fmt: skip


@pytest.mark.parametrize("fault", BITING, ids=lambda fault: type(fault).__name__)
def test_a_fault_happens_and_the_world_comes_to_rest(fault):
    lost = isinstance(fault, Crash) and fault.disk == "lost"
    scenario = Scenario(
        seed=5, hosts=3, topology="all-to-all", rollbacks=0 if lost else 3, faults=(fault,),
        workload=Workload(inputs=60, arrivals=Periodic(0.01), calls=0.4, depth=3),
    )  # fmt: skip
    world = world_of(scenario)
    result = play(scenario, world)
    assert result.failure == ""
    assert result.bites[0] == 1
    frames, lives = world.engine.trace.frames, [box.lives for box in world.engine.boxes.values()]
    marks = {Loss: "lost", Duplicate: "doubled", Reorder: "unordered", Partition: "cut"}
    if type(fault) in marks:
        assert frames[marks[type(fault)]] > 5
    if isinstance(fault, Crash | KillAtStep | KillDuringRollback | FailedWrite | TornWrite):
        assert sorted(lives) == [1, 1, 2]
    if isinstance(fault, KillAtStep):
        crash = next(item.at_us for item in world.engine.trace.happenings if item.what == "crash")
        second = world.steps("a1")[1].step
        durable_us = world.engine.trace.durable_us[second]
        assert (durable_us == crash) if fault.point == "durable" else (durable_us > crash)
    if lost:
        assert world.engine.trace.lost
    if isinstance(fault, FailedUndos):
        assert world.engine.outside.undo_failures == 0
    world.close()


def test_a_wrong_clock_shows_in_the_steps():
    with World(seed=1, hosts=2, faults=[ClockSkew("host-2", 500.0)]) as world:
        world.spawn("a", Counting, to="b", host="host-1")
        world.spawn("b", Counting, host="host-2")
        world.spawn("c", Counting, host="host-1")
        world.submit("a", 8, at=0.1)
        world.submit("c", 8, at=0.2)
        world.settle()
        assert world.steps("b")[0].time_us - world.steps("c")[0].time_us > 350_000


# -- the swarm


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "thousand"])
def test_a_swarm_of_worlds_passes(name):
    failures = [result for result in fleet(name, 0, 10) if result.failure]
    assert failures == [], f"ebbtide sim --world {name} --seed {failures[0].seed}"


def test_every_kind_of_fault_is_in_chaos():
    bitten = {}
    for seed in range(400):
        for fault in preset("chaos", seed).faults:
            bitten[type(fault)] = bitten.get(type(fault), 0) + 1
    assert len(bitten) == 13
    assert min(bitten.values()) > 30


@cache
def hashes():
    return [play_quietly(preset(name, seed)).hash for name in ("chaos", "losses") for seed in range(8)]


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_a_seed_gives_the_same_trace_whatever_pythonhashseed_is(hash_seed):
    code = (
        "from sims.runs.fleet import play_quietly; from sims.runs.scenario import preset\n"
        "print(*[play_quietly(preset(n, s)).hash for n in ('chaos', 'losses') for s in range(8)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    here = hashes()
    assert done.stdout.split() == here
    assert len(set(here)) == len(here)


def test_a_thousand_agents_make_checkpoints_roll_back_and_restore_within_seconds():
    began = time.monotonic()
    world = world_of(preset("thousand", 1))
    result = play(world=world, scenario=preset("thousand", 1))
    assert result.failure == ""
    assert len(world.agents) == 1000
    assert len(world.steps()) > 2000
    assert sum(outcome.decision == "commit" for outcome in world.outcomes().values()) == 4
    machines = [world.machine(agent).core for agent in world.agents]
    hosts = [box.host for box in world.engine.boxes.values()]
    assert min(host.checkpoints.machine.epochs.colour for host in hosts if host is not None) >= 4
    assert {core.era for core in machines} == {1}
    world.close()
    assert time.monotonic() - began < 60


# -- failing worlds


def _unbalanced(patch):
    from protocol.agent.books import Books

    patch.setattr(Books, "owes", lambda self, agent: agent not in self.votes)


def _failing(name):
    for seed in range(300):
        result = play_quietly(preset(name, seed))
        if result.failure:
            return result
    return None


def test_a_failing_world_is_made_smaller_and_played_again_bit_for_bit(monkeypatch, tmp_path):
    _unbalanced(monkeypatch)
    from sims.runs.shrink import shrunk_scenario

    found = _failing("lossy")
    small = shrunk_scenario(
        found.scenario, lambda candidate: play_quietly(candidate).invariant == found.invariant, tries=60
    )
    result = play_quietly(small)
    assert result.invariant == found.invariant
    assert result.steps < found.steps
    assert len(small.faults) <= len(found.scenario.faults)
    path = tmp_path / "failing.json"
    write_replay(path, result)
    assert play_quietly(read_replay(path).scenario).hash == result.hash
    shown = CliRunner().invoke(app, ["sim", "--replay", str(path)])
    assert shown.exit_code == 1
    assert "the same trace as in the file" in shown.output
    assert result.invariant in shown.output
    monkeypatch.undo()
    shown = CliRunner().invoke(app, ["sim", "--replay", str(path)])
    assert "another trace" in shown.output


def test_the_command_line_explains_what_fails(monkeypatch, tmp_path):
    _unbalanced(monkeypatch)
    seed = _failing("calm").seed
    monkeypatch.setattr("sims.cli.worlds.TRIES", 20)
    arguments = ["sim", "--world", "calm", "--seeds", f"{seed}:{seed + 1}", "--out", str(tmp_path)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 1
    assert f"seed {seed} breaks" in shown.output
    assert f"calm-{seed}.json" in shown.output
    assert " handled " in shown.output


def test_the_command_line_lists_worlds_and_refuses_others(tmp_path):
    assert "partitions" in CliRunner().invoke(app, ["sim", "--list"]).output
    shown = CliRunner().invoke(app, ["sim", "--world", "flat"])
    assert shown.exit_code == 2
    (tmp_path / "no.json").write_text("{}")
    assert CliRunner().invoke(app, ["sim", "--replay", str(tmp_path / "no.json")]).exit_code == 2
    shown = CliRunner().invoke(app, ["sim", "--world", "calm", "--seeds", "0:3", "--hash"])
    assert shown.exit_code == 0
    assert "3 seeds passed" in shown.output


def test_a_world_that_never_ends_says_what_is_under_way():
    with World(seed=1, hosts=2) as world:
        world.spawn("a", Counting, to="b", host="host-1")
        world.spawn("b", Counting, host="host-2")
        world.run(until=0.1)
        world.partition("host-1", others=("host-2",))
        world.submit("a", 8)
        with pytest.raises(Broken, match=r"everything ends: still under way .*'a': \['messages: 1'\]"):
            world.settle(limit=5)
