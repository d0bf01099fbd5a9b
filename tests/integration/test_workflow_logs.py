"""What is inferred from logs: no cone that ever was reaches further than the workflow says beforehand."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from peer.audit import Edges, Trail, read_trail
from peer.workflows import Activity, Graph, activity_of, folded, workflow_of
from sims.oracle import LoggedStep, cone, dependents
from sims.runs.scenario import play, preset, world_of
from tests.integration.quarrels import trail_of_world
from tests.unit.peer.audit.shop import played

WORLDS = [("calm", 0), ("calm", 1), ("chaos", 0), ("chaos", 1), ("crashes", 2), ("partitions", 3), ("people", 0)]
OLD = Path(__file__).parents[1] / "data" / "logs" / "0.1.0-sqlite"


@pytest.fixture(autouse=True)
def quiet_handlers() -> Iterator[None]:
    logger = logging.getLogger("ebbtide")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)


def check_reach(trail: Trail, graph: Graph, edges_of: Edges) -> int:
    """Compare each step's cone, by two searches, and each rollback that was carried out; return how many cones."""
    steps = [
        LoggedStep(str(step.id), step.producer and str(step.producer), tuple(map(str, _writers(step))))
        for step in trail.steps.values()
    ]
    after = dependents(steps)
    activities = {str(step.id): activity_of(step.record) for step in trail.steps.values()}
    reaches: dict[Activity, set[Activity]] = {}
    for step in trail.steps.values():
        root = activities[str(step.id)]
        if root not in reaches:
            reaches[root] = {*graph.reach_of([root]).falls}
        seen = {activities[each] for each in cone([str(step.id)], after)}
        seen |= {activities[str(each)] for each in edges_of.cone([step.id])}
        assert seen <= reaches[root], f"{step.id}: {seen - reaches[root]}"
    undone = 0
    for step in trail.steps.values():
        rollback = trail.rollbacks.get(step.undone.by) if step.undone is not None else None
        roots = [] if rollback is None else [str(root) for root in rollback.proposal.roots if str(root) in activities]
        if roots:
            undone += 1
            assert activities[str(step.id)] in set().union(*(reaches[activities[root]] for root in roots))
    return undone


def _writers(step):
    return [read.writer for read in step.record.reads if read.writer is not None and read.writer != step.id]


@pytest.mark.parametrize(("name", "seed"), WORLDS)
def test_no_cone_of_a_world_reaches_further_than_its_workflow_says(name: str, seed: int) -> None:
    scenario = preset(name, seed)
    world = world_of(scenario, "end")
    play(scenario, world)
    trail = trail_of_world(world)
    graph = Graph(workflow_of(trail))
    assert len(trail.steps) >= 20
    undone = check_reach(trail, graph, Edges(trail))
    assert undone == sum(1 for by in world.retracted_by().values() if by in trail.rollbacks)
    world.close()


def test_no_cone_of_a_run_with_shared_state_reaches_further_than_its_workflow_says(tmp_path: Path) -> None:
    trail = read_trail(played(tmp_path).folder)
    graph = Graph(workflow_of(trail))
    assert check_reach(trail, graph, Edges(trail)) == 5
    # It is no empty claim: some are kept, and the shared counter drags its reader along.
    reach = graph.reach("cashier")
    assert (reach.agents_that_fall, reach.agents_that_keep_all) == (["cashier", "watcher"], ["buyer"])
    assert {link.how for link in graph.links if link.via == "space:sold/all"} == {"key", "sum"}


def test_what_is_folded_reaches_no_less() -> None:
    scenario = preset("calm", 1)
    world = world_of(scenario, "end")
    play(scenario, world)
    whole = workflow_of(trail_of_world(world))
    graph, less = Graph(whole), Graph(folded(whole))
    world.close()
    assert len(less.workflow.agents) < len(whole.agents)
    for activity in whole.activities:
        reach = {Activity("a*", each.kind) for each in graph.reach_of([activity]).falls}
        assert reach <= {*less.reach_of([Activity("a*", activity.kind)]).falls}


def test_logs_of_the_first_release_are_read_and_what_they_do_not_tell_is_noted() -> None:
    trail = read_trail(OLD)
    workflow = workflow_of(trail)
    check_reach(trail, Graph(workflow), Edges(trail))
    assert any("does not tell the kind of" in note for note in workflow.notes)
