"""Worlds with people: they say yes and no, late, twice and otherwise, while hosts crash (RQ-2, RQ-3, RB-13)."""

import pytest

from sims.runs.fleet import fleet, play_quietly
from sims.runs.scenario import play, preset, world_of

KEPT = (16, 23)
"""Seeds that have found something: an overseer's yes that counted for a part that had grown."""


def test_a_swarm_of_worlds_with_people_passes() -> None:
    failures = [result for result in fleet("people", 0, 20) if result.failure]
    assert failures == [], f"replay: ebbtide sim --world people --seed {failures[0].seed}"


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_found_a_bug_passes(seed: int) -> None:
    result = play_quietly(preset("people", seed))
    assert result.failure == "", f"replay: ebbtide sim --world people --seed {seed}"


def test_people_are_asked_and_say_every_word(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(100, "ebbtide")
    verbs: dict[str, int] = {}
    for seed in range(4):
        scenario = preset("people", seed)
        world = world_of(scenario)
        assert play(scenario, world).failure == ""
        said = world.engine.said
        for word in said.words:
            verbs[word.verb] = verbs.get(word.verb, 0) + 1
        verbs["oversee"] = verbs.get("oversee", 0) + len(said.agreed)
        world.close()
    assert all(verbs.get(verb, 0) > 5 for verb in ("approve", "reject", "answer", "release", "oversee")), verbs


def test_a_seed_plays_the_same_twice() -> None:
    assert play_quietly(preset("people", 3)).hash == play_quietly(preset("people", 3)).hash
