"""Agents that undo each other: the bound on attempts ends it for the same inputs, `Repeated` for new ones."""

import asyncio
from pathlib import Path

import pytest

from ebbtide import Cluster, Limits
from peer.audit import read_trail
from peer.audit.trail import Rollback
from peer.workflows import loops_in
from peer.workflows.telling import loop_lines
from sims.world import World
from tests.integration.quarrels import Patient, Plan, Planner, Quick, Restless, Watched, trail_of_world

PAIR = (("ann", "ben"), ("ben", "ann"))


async def quarrelled(folder: Path, kind: type[Planner], limits: Limits | None = None) -> list[str]:
    """Have two agents quarrel until all is at rest; return why each gave up."""
    async with Cluster("local", folder=folder, **({} if limits is None else {"limits": limits})) as cluster:
        for name, other in PAIR:
            await cluster.spawn(name, kind, other=other)
        await cluster.submit("ann", Plan("north"))
        await cluster.submit("ben", Plan("south"))
        await cluster.quiet()
        reasons = [letter.reason for name, _ in PAIR for letter in await cluster.dead_letters(name)]
        notices = [notice for name, _ in PAIR for notice in await cluster.notices(name)]
    assert {notice.detail for notice in notices if notice.notice == "dead-letter"} >= {*reasons}
    return reasons


async def test_two_agents_that_undo_each_others_steps_come_to_rest_and_people_are_told(tmp_path: Path) -> None:
    reasons = await quarrelled(tmp_path / "run", Planner)
    assert reasons
    assert all("run 16 of the 16 times that it may be" in reason for reason in reasons)
    (loop,) = loops_in(read_trail(tmp_path / "run"))
    assert (loop.agents, loop.ended) == (("ann", "ben"), "attempts")
    dead = [each for each in loop.undone if each.is_dead]
    assert {(each.kind, each.times) for each in dead} == {("Plan", 16)}
    assert {each.by for each in dead} <= {("ann",), ("ben",)}
    said = "\n".join(loop_lines([loop]))
    assert "ann -> ben -> ann undo each other" in said
    assert f"Plan {dead[0].lineage} undone 16 times by" in said


async def test_an_agents_own_bound_ends_it_sooner(tmp_path: Path) -> None:
    reasons = await quarrelled(tmp_path / "run", Patient)
    assert all("run 4 of the 4 times that it may be" in reason for reason in reasons)
    (loop,) = loops_in(read_trail(tmp_path / "run"))
    assert loop.times <= 2 * 4


def test_two_agents_in_a_world_come_to_rest_by_the_same_bound() -> None:
    with World(seed=5, hosts=2, limits=Limits(attempts_max=5)) as world:
        for name, other in PAIR:
            world.spawn(name, Planner, other=other)
        world.submit("ann", Plan("north"))
        world.submit("ben", Plan("south"))
        world.settle()
        trail = trail_of_world(world)
        assert any("run 5 of the 5 times that it may be" in why for why in trail.letters.values())
        (loop,) = loops_in(trail)
        assert (loop.agents, loop.ended) == (("ann", "ben"), "attempts")
        world.check()


def undone_by(world: World, until: float) -> int:
    world.run(until=until)
    return len(world.retracted_by())


def test_the_bound_does_not_end_it_where_each_round_has_a_new_input() -> None:
    """Known: attempts are counted by lineage, and here each is undone once."""
    with World(seed=5, hosts=2) as world:
        for name, other in PAIR:
            world.spawn(name, Restless, other=other)
        counts = [undone_by(world, until) for until in (10.0, 30.0, 60.0)]
        assert counts[2] > counts[1] + 50 > counts[0] + 80
        assert all(count <= 1 for name, _ in PAIR for count in world.machine(name).core.attempts.values())
        (loop,) = loops_in(trail_of_world(world))
        assert (loop.agents, loop.ended) == (("ann", "ben"), "nothing")
        assert (loop.lineages, {each.times for each in loop.undone}) == (loop.times, {1})
        assert "remedy: overseers" in "\n".join(loop_lines([loop]))


def test_a_person_is_asked_once_it_repeats_and_without_a_word_it_ends() -> None:
    with World(seed=5, hosts=2) as world:
        for name, other in PAIR:
            world.spawn(name, Watched, other=other)
        counts = [undone_by(world, until) for until in (10.0, 30.0, 60.0)]
        assert counts == [8, 8, 8]
        (loop,) = loops_in(trail_of_world(world))
        assert (loop.agents, loop.times, loop.ended) == (("ann", "ben"), 8, "refused")
        assert loop.refused > 20


def test_one_rollback_each_is_no_loop() -> None:
    with World(seed=5, hosts=2, limits=Limits(attempts_max=1)) as world:
        for name, other in PAIR:
            world.spawn(name, Planner, other=other)
        world.submit("ann", Plan("north"))
        world.submit("ben", Plan("south"))
        world.settle()
        trail = trail_of_world(world)
        assert trail.rollbacks
        assert loops_in(trail) == []


@pytest.mark.parametrize("kind", [Planner, Restless])
def test_agents_that_agree_make_no_loop(kind: type[Planner]) -> None:
    with World(seed=5, hosts=2) as world:
        world.spawn("ann", kind, other="ben")
        world.submit("ann", *([Plan("north")] if kind is Planner else ["write"]))
        world.run(until=5.0)
        assert loops_in(trail_of_world(world)) == []


async def test_a_person_finds_the_quarrel_in_the_inbox_and_ends_it(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        for name, other in PAIR:
            await cluster.spawn(name, Quick, other=other)
        while not (asked := await cluster.inbox()):
            await asyncio.sleep(0.02)
        assert {request.tool for request in asked} == {"rollback"}
        undone = [step async for step in cluster.steps("ann", undone=True)]
        assert len(undone) <= 4
        await asked[0].reject("let them be")
    rejects = [why for rollback in read_trail(tmp_path / "run").rollbacks.values() for why in _whys(rollback)]
    assert any("let them be" in why for why in rejects)


def _whys(rollback: Rollback) -> list[str]:
    return [vote.why for vote in rollback.votes.values() if not vote.accepts]
