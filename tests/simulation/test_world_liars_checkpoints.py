"""Worlds in which some hosts lie about all but their cuts, while checkpoints, restores, successions and moves go on."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from peer.host.absentees import Absentees
from peer.host.checkpoints import Checkpoints
from protocol.agent.colours import Colours
from protocol.agent.disputing import Disputing
from protocol.checkpoints.machine import CheckpointMachine
from protocol.hosts.machine import HostMachine
from protocol.records import RestoredRecord
from sims.engine.habits import Misdates
from sims.runs.fleet import play_quietly
from sims.runs.liars import LiarsWorld
from sims.runs.scenario import Scenario, play, preset, world_of

WORLD = "liars-checkpoints"
Patch = Callable[[Any, str, Any], None]


SEEDS = (2, 5, 7, 8, 11, 14, 15, 16, 17, 18, 19, 20, 266, 593, 768, 861, 992)


@cache
def played(seed: int) -> tuple[str, frozenset[str]]:
    """Play a world; return what does not hold, and what has happened in it."""
    scenario = preset(WORLD, seed)
    world = world_of(scenario)
    assert isinstance(world, LiarsWorld)
    result = play(scenario, world)
    engine, liars = world.engine, world.liars
    boxes = [box for name, box in engine.boxes.items() if name not in liars.names]
    horizons = [box.host.checkpoints.machine.core.horizon for box in boxes if box.host is not None]
    homes = {agent: engine.boxes[name].keys.host_id for agent, name in engine.homes.items()}
    seen = {type(habit).__name__ for liar in liars.liars.values() for habit in liar.habits}
    seen.update("restored" for _, record in world.view().of(RestoredRecord) if record.retracted)
    seen.update("succeeded" for box in boxes if box.is_dead and box.name not in homes.values())
    seen.update("moved" for agent in liars.moving if homes[agent] != liars.gossip.homes[agent])
    seen.update("compacted" for horizon in horizons if horizon > 1)
    world.close()
    return result.failure, frozenset(seen)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_honest_hosts_do_stands_among_liars_while_checkpoints_go_on(seed: int) -> None:
    assert played(seed)[0] == "", f"ebbtide sim --world {WORLD} --seed {seed}"


def test_checkpoints_restores_successions_and_moves_are_among_the_worlds() -> None:
    seen = frozenset[str]().union(*(played(seed)[1] for seed in SEEDS))
    assert {"compacted", "restored", "succeeded", "moved", Misdates.__name__} <= seen


# -- switched off ------------------------------------------------------------------------------------------------------


def _anybody_says_goodbye_for_others(patch: Patch) -> None:
    real = Checkpoints.turned
    patch(Checkpoints, "turned", lambda self, host, how: real(self, host, "left" if how == "failed" else how))


def _any_incarnation_is_believed(patch: Patch) -> None:
    patch(HostMachine, "_is_beyond", lambda self, fact, now_us: False)


def _who_was_lied_to_is_accused(patch: Patch) -> None:
    real = Disputing._may_hang

    def may_hang(self: Disputing, case: Any, step: Any, clock: Any, floor: int, by_itself: bool) -> bool | None:
        return real(self, case, step, clock, floor, False)

    patch(Disputing, "_may_hang", may_hang)


def _cuts_come_late(patch: Patch) -> None:
    real = CheckpointMachine.stamped

    def stamped(self: CheckpointMachine, sender: str, epoch: int, era: int, now_us: int) -> Any:
        return real(self, sender, min(epoch, self.epochs.colour), era, now_us)

    patch(CheckpointMachine, "stamped", stamped)


def _restores_leave_what_is_on_its_way(patch: Patch) -> None:
    patch(Colours, "is_passed", lambda self, epoch, era: False)


def _nobody_is_missed(patch: Patch) -> None:
    patch(Absentees, "open", lambda self: None)


MUTATIONS: dict[Callable[[Patch], None], tuple[int, ...]] = {
    _anybody_says_goodbye_for_others: (2, 5), _any_incarnation_is_believed: (5, 2), _cuts_come_late: (0, 7),
    _restores_leave_what_is_on_its_way: (17, 18), _nobody_is_missed: (768,),
}  # fmt: skip
"""By protection, seeds of which one at least notices that it is gone."""


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__[1:])
def test_a_protection_switched_off_is_noticed_while_checkpoints_go_on(
    mutate: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sims.runs.liars.LIMIT_S", 4.0)
    mutate(monkeypatch.setattr)
    assert any(play_quietly(preset(WORLD, seed)).failure for seed in MUTATIONS[mutate]), "the worlds did not notice"


def dense(seed: int) -> Scenario:
    """Return a world in which much of what honest agents do hangs on a liar that names and misdates its steps."""
    drawn = preset(WORLD, seed)
    work = replace(drawn.workload, inputs=17, depth=3, fan_out=3, keys=5, calls=0.5, thinking_us=0, failing=0.02)
    return replace(
        drawn, hosts=4, liars=1, agents_per_host=1, topology="ring", workload=work, faults=(), rollbacks=4, moves=0,
        habits=("forges", "floods", "names", "dates"), contact=0.8, checkpoint_every=0.1, checkpoints_kept=8,
        restores=1, buddies=0, dies=False, replicated=False,
    )  # fmt: skip


DENSE = (2, 19)


@pytest.mark.parametrize("seed", DENSE)
def test_nobody_honest_is_accused_however_much_hangs_on_a_liar(seed: int) -> None:
    assert play_quietly(dense(seed)).failure == ""


def test_accusing_who_was_lied_to_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    _who_was_lied_to_is_accused(monkeypatch.setattr)
    assert any("came to" in play_quietly(dense(seed)).failure for seed in DENSE)
