"""Checkers can fail: each is shown a sound world with one thing tampered with."""

from dataclasses import replace

import msgspec
import pytest

from protocol.ids import StepId
from protocol.records import DecisionRecord, OutcomeRecord
from protocol.step import Entry, StepRecord
from sims.checkers import CHECKS, Broken, Watches, check_all, decisions
from sims.faults import Crash
from sims.runs.scenario import Scenario, play, world_of
from sims.virtual.chance import Uniform
from sims.workload import Periodic, Workload


@pytest.fixture
def world(caplog):
    """A world at rest in which a bit of everything has happened."""
    caplog.set_level(100, "ebbtide")
    scenario = Scenario(
        seed=3, hosts=2, agents_per_host=3, topology="all-to-all", rollbacks=3, delay=Uniform(100, 500),
        faults=(Crash("host-1", 0.2),), workload=Workload(inputs=30, arrivals=Periodic(0.02), calls=0.5, shared=0.5),
    )  # fmt: skip
    world = world_of(scenario)
    assert play(scenario, world).failure == ""
    world.check()
    yield world
    world.close()


def breaks(view, invariant):
    with pytest.raises(Broken) as error:
        check_all(view)
    assert error.value.invariant == invariant
    return error.value.what


def committed(view):
    name = next(name for name, decided in view.decided.items() if decided[0][1].decision == "commit")
    return view.decided[name][0]


def surviving(view, wanted):
    return next(record for record in view.steps if view.survives(record) and wanted(record))


def test_every_checker_has_a_name_of_its_own_and_a_sound_world_passes(world):
    assert len(CHECKS) == 15
    view = world.view()
    assert any(not view.survives(record) for record in view.steps)
    assert view.standing
    assert view.outcomes
    check_all(view)


def test_a_broken_promise_is_noticed(world):
    invariant = "what is promised is kept, and what is lost is said"
    world.engine.promises.broken.append("a0 had acknowledged 9 records, and 8 are left")
    assert "a0 had acknowledged" in breaks(world.view(), invariant)
    world.engine.promises.broken.clear()
    check_all(world.view())


def test_two_decisions_are_noticed(world):
    view = world.view()
    agent, record = committed(view)
    held = view.machines[agent].rollback.decided
    held[record.proposal.id] = msgspec.structs.replace(record, decision="abort")
    breaks(world.view(), "all decide alike")
    del held[record.proposal.id]
    breaks(world.view(), "all decide alike")


def test_a_step_undone_outside_any_cone_is_noticed(world):
    view = world.view()
    record = surviving(view, lambda record: not record.outputs)
    view.machines[record.step.agent].core.retraction.add(record.step)
    assert str(record.step) in breaks(world.view(), "exactly the cones are retracted")


def test_a_cone_step_that_was_kept_is_noticed(world):
    view = world.view()
    record = next(record for record in view.steps if not view.survives(record))
    machine = view.machines[record.step.agent]
    machine.core.retraction._by_life.pop((record.step.agent, record.step.incarnation))
    what = breaks(world.view(), "exactly the cones are retracted")
    assert "kept" in what
    with pytest.raises(Broken):
        CHECKS["no surviving step depends on a retracted one"](orphaned(world))


def orphaned(world):
    """Return the world with one producer undone, and its consumer not."""
    view = world.view()
    child = surviving(view, lambda record: record.input.producer is not None)
    view.machines[child.input.producer.agent].core.retraction.add(child.input.producer)
    return world.view()


def test_an_orphan_is_noticed(world):
    with pytest.raises(Broken, match="depends on a retracted one"):
        CHECKS["no surviving step depends on a retracted one"](orphaned(world))


def test_a_message_that_nobody_handled_and_one_handled_twice_are_noticed(world):
    view = world.view()
    record = surviving(view, lambda record: record.input.message is not None)
    log = world.engine.trace.logs[record.step.agent]
    check = CHECKS["each message of a surviving step is handled by exactly one surviving step"]
    log.remove(record)
    with pytest.raises(Broken, match="nobody"):
        check(world.view())
    log += [record, msgspec.structs.replace(record, step=StepId(record.step.agent, 1, 999))]
    with pytest.raises(Broken, match="999"):
        check(world.view())


def test_an_input_that_was_dropped_is_noticed(world):
    view = world.view()
    record = surviving(view, lambda record: record.input.producer is None)
    world.engine.trace.logs[record.step.agent].remove(record)
    with pytest.raises(Broken, match="handled 0 times"):
        CHECKS["each input from outside is handled by exactly one surviving step"](world.view())


def test_a_state_that_is_not_the_fold_of_its_log_is_noticed(world, monkeypatch):
    record = surviving(world.view(), lambda record: record.writes)
    versions = world.machine(record.step.agent).core.versions
    read = list(versions.read_all())
    monkeypatch.setattr(versions, "read_all", lambda: [(key, b"other", step) for key, _, step in read])
    breaks(world.view(), "state is the fold of the surviving versions")


def test_a_replica_with_an_entry_too_many_is_noticed(world):
    entry = Entry("space:work/c0", StepId("a0", 1, 10_000), 1 << 20, b"", {}, 1)
    agent = next(agent for agent, spaces in world.view().spaces.items() if spaces)
    world.machine(agent).core.versions.merge(entry)
    breaks(world.view(), "replicas read the same")


def test_who_hears_of_a_cone_that_did_not_reach_it_is_noticed(world):
    view = world.view()
    _, record = committed(view)
    name = record.proposal.id
    breaks(replace(view, heard={**view.heard, name: ("stranger",)}), "agents outside the cone never pause")
    view.machines["a0"].core.quarantine.freeze("p", (StepId("a0", 1, 1),), {})
    breaks(world.view(), "agents outside the cone never pause")
    with pytest.raises(Broken, match="of 0 undecided"):
        Watches().saw("a0", world.machine("a0"), ())


def test_an_effect_that_nobody_claims_and_one_that_is_missing_are_noticed(world):
    invariant = "effects are those that surviving steps claim"
    view = world.view()
    standing = next(intent for intent, stands in view.standing.items() if stands)
    assert "stands, and nobody" in breaks(replace(view, standing={**view.standing, "x": True}), invariant)
    assert "does not stand" in breaks(replace(view, standing={**view.standing, standing: False}), invariant)
    assert "called again" in breaks(replace(view, doubled=("x",)), invariant)


def test_a_clock_that_misses_a_cause_is_noticed(world):
    record = surviving(world.view(), lambda record: record.input.producer is not None)
    log = world.engine.trace.logs[record.step.agent]
    log[log.index(record)] = msgspec.structs.replace(record, clock={record.step.agent: (1, record.step.seq)})
    breaks(world.view(), "a clock covers its causes")


def test_a_proposal_without_an_end_is_noticed(world):
    for log in world.engine.trace.logs.values():
        log[:] = [record for record in log if not isinstance(record, OutcomeRecord)]
    assert "has no outcome" in breaks(world.view(), "every proposal ends")


def test_a_decision_that_a_restart_forgets_is_noticed(world):
    agent, record = committed(world.view())
    machine, log = world.machine(agent), world.engine.trace.logs[agent]
    watch = decisions.Watch()
    watch.saw(agent, machine, log, begins=True)
    watch.saw(agent, machine, log, begins=False)
    decided = machine.rollback.decided
    kept = decided.pop(record.proposal.id)
    with pytest.raises(Broken, match="never unseen"):
        watch.saw(agent, machine, log, begins=False)
    with pytest.raises(Broken, match="has forgotten"):
        watch.saw(agent, machine, log, begins=True)
    decided[record.proposal.id] = msgspec.structs.replace(kept, decision="abort")
    other = decisions.Watch()
    other.saw("another", machine, (), begins=True)
    decided[record.proposal.id] = kept
    with pytest.raises(Broken, match="all decide alike"):
        other.saw(agent, machine, log, begins=True)


def test_logs_hold_what_was_durable(world):
    steps = [record for log in world.engine.trace.logs.values() for record in log if isinstance(record, StepRecord)]
    assert {record.step for record in steps} == set(world.engine.trace.durable_us)
    assert any(isinstance(record, DecisionRecord) for log in world.engine.trace.logs.values() for record in log)
