"""Rollbacks while mail comes in any order or not at all, and while whoever keeps the books is silent."""

from collections.abc import Callable

import pytest

from protocol.agent.case import Case
from protocol.agent.rollback import Rollback
from tests.simulation.silence import Silence

SEEDS = (565, 2141)
"""Those that found a bug once (docs/bugs.md)."""


def failure(seed: int) -> str:
    """Play a seed; return what does not hold."""
    try:
        Silence(seed).play()
    except AssertionError as problem:
        return str(problem) or "an assertion of a machine"
    return ""


def test_whoever_is_silent_all_decide_alike_in_the_end_and_undo_the_cone() -> None:
    ends: list[str] = []
    for seed in (*range(60), *SEEDS):
        world = Silence(seed)
        world.play()
        ends += [end.outcome.decision for end in world.ends]
    assert ends.count("commit") > 20
    assert ends.count("abort") > 5


def test_the_same_where_disks_lose_what_came_after_their_last_fact() -> None:
    worlds = [Silence(seed, loses=True) for seed in range(40)]
    for world in worlds:
        world.play()
    assert sum(len(world.gone) for world in worlds) > 5


def _nobody_asks_the_others(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("protocol.agent.case.PATIENCE", 10**9)


def _the_end_is_not_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rollback, "heard_end", lambda self, sender, message: None)


def _nobody_is_asked_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Case, "questions", lambda self, me: [])


@pytest.mark.parametrize("mutate", [_nobody_asks_the_others, _the_end_is_not_taken, _nobody_is_asked_again])
def test_a_machine_that_does_not_ask_or_heed_is_noticed(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    assert any(failure(seed) for seed in range(300))
