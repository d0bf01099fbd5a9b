"""The rig judges: every protocol on many seeds, and protocols that are broken on purpose."""

from collections.abc import Callable

import pytest

from sims.baselines.application import Application, Load
from sims.baselines.chandy_lamport import ChandyLamport
from sims.baselines.measures import Measured, measured
from sims.baselines.orchestrator import Agent, Orchestrator
from sims.baselines.process import Effect, Event, FoundWrong, Process, Setting, Undo
from sims.baselines.protocols import PROTOCOLS
from sims.baselines.rig import Rig, Terms
from sims.virtual.chance import Uniform

TOPOLOGIES = ("ring", "small-world", "all-to-all", "dag", "star", "cycles")


def played(protocol: str, load: Load, terms: Terms | None = None) -> tuple[Rig, Measured]:
    rig = Rig(Application(load), PROTOCOLS[protocol].processes, terms).run()
    return rig, measured(rig, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_protocol_leaves_a_consistent_state_and_undoes_at_least_the_cone(protocol: str, topology: str):
    for seed in range(8):
        load = Load(agents=4 + seed, topology=topology, seed=seed, horizon_us=400_000, found_after_us=40_000)
        rig, found = played(protocol, load)
        cone = {number for number in rig.truth.cone() if rig.truth.steps[number].ended_us >= 0}
        assert cone <= rig.truth.undone()
        if PROTOCOLS[protocol].exact:
            assert cone == rig.truth.undone()
            assert found.innocent == 0
        assert 0 < found.efficiency < 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_slow_network_and_a_slow_disk_change_nothing_of_that(protocol: str):
    for seed in range(6):
        load = Load(agents=6, topology="all-to-all", seed=seed, horizon_us=400_000, utilization=0.8)
        terms = Terms(Uniform(500, 30_000), Uniform(1_000, 40_000), handling_us=300, checkpoint_us=60_000)
        rig, _ = played(protocol, load, terms)
        if PROTOCOLS[protocol].exact:
            assert {n for n in rig.truth.cone() if rig.truth.steps[n].ended_us >= 0} == rig.truth.undone()


def test_all_protocols_do_the_same_work_in_the_end():
    load = Load(agents=8, seed=5)
    rigs = {protocol: played(protocol, load)[0] for protocol in PROTOCOLS}
    works = {
        protocol: sorted((step.agent, step.item.lineage, step.run_us) for step in rig.truth.standing())
        for protocol, rig in rigs.items()
    }
    assert all(work == works["ebbtide"] for work in works.values())
    roots = {
        (rig.truth.steps[rig.truth.root].agent, rig.truth.steps[rig.truth.root].item.lineage) for rig in rigs.values()
    }
    assert len(roots) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_seed_gives_the_same_run(protocol: str):
    load = Load(agents=7, seed=11)
    assert played(protocol, load)[1] == played(protocol, load)[1]


class Deaf(ChandyLamport):
    """Does not care that a step was wrong."""

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        return [] if isinstance(event, FoundWrong) else super().handle(event, now_us)


class Alone(ChandyLamport):
    """Undoes the wrong step, and nothing that hangs on it."""

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        return [Undo((event.step,))] if isinstance(event, FoundWrong) else super().handle(event, now_us)


class Forgetful(ChandyLamport):
    """Loses what was in its line when it goes back."""

    def _restore(self, era: int, snapshot: int) -> list[Effect]:
        effects = super()._restore(era, snapshot)
        self.worker.fill(())
        return effects


class Stained(ChandyLamport):
    """Goes back, and keeps the state that it had."""

    def _restore(self, era: int, snapshot: int) -> list[Effect]:
        state = dict(self.worker.state)
        effects = super()._restore(era, snapshot)
        self.worker.state = state
        return effects


class Twice(ChandyLamport):
    """Handles every message of before the restore as well."""

    def _received(self, sender: int, body: object) -> list[Effect]:
        era = getattr(body, "era", None)
        return super()._received(sender, body._replace(era=self.era) if era == self.era - 1 else body)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Deaf, "was not undone"),
        (Alone, "which does not"),
        (Forgetful, "lost"),
        (Stained, "does not|read|ends with"),
        (Twice, "nobody sent|which does not|twice"),
    ],
)
def test_a_protocol_that_is_broken_is_found_out(broken: Callable[[int, Setting], Process], words: str):
    found: list[str] = []
    for seed in range(12):
        load = Load(agents=8, topology="small-world", seed=seed)
        terms = Terms(delay=Uniform(200, 20_000))
        try:
            Rig(Application(load), lambda setting: [broken(number, setting) for number in setting.graph], terms).run()
        except AssertionError as error:
            found.append(str(error))
    assert any(any(word in text for word in words.split("|")) for text in found), found


def test_an_orchestrator_that_forgets_messages_on_their_way_is_found_out():
    class Leaky(Agent):
        """Handles messages that it was told to refuse."""

        def _received(self, sender: int, body: object) -> list[Effect]:
            effects = super()._received(sender, body)
            self.refused.clear()
            return effects

    def processes(setting: Setting) -> list[Process]:
        return [*(Leaky(number, setting) for number in setting.graph), Orchestrator()]

    failures = 0
    for seed in range(20):
        load = Load(agents=6, topology="all-to-all", seed=seed, found_after_us=1_000)
        try:
            Rig(Application(load), processes, Terms(delay=Uniform(200, 20_000), limit_us=3_000_000)).run()
        except (AssertionError, KeyError):
            failures += 1
    assert failures > 0


def test_what_was_held_and_stopped_is_counted_apart():
    _, found = played("chandy-lamport", Load(agents=20, topology="ring", seed=1))
    assert found.stopped_agents == 20
    assert 0 < found.held_agents <= 20
    assert found.held_s <= found.stopped_s


def test_the_figure_of_merit_is_what_it_says():
    rig, found = played("koo-toueg", Load(agents=10, seed=3))
    others = sum(count for kind, count in rig.traffic.frames.items() if kind != "application")
    sizes = sum(size for kind, size in rig.traffic.sizes.items() if kind != "application") + rig.traffic.piggybacked
    messages_s = (others * 50 + sizes * 0.01) / 1e6
    assert found.efficiency == pytest.approx(
        found.useful_s / (found.useful_s + found.lost_s + found.vain_s + found.held_s + messages_s)
    )
    assert found.useful_s == sum(step.run_us for step in rig.truth.standing()) / 1e6
