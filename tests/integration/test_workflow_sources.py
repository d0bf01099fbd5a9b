"""What agents' source says beforehand holds what they have done in the end: no reach in the log is wider."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sims.world
from ebbtide import Agent
from peer.audit.trail import Trail
from peer.workflows import Graph, check, workflow_of, workflow_of_classes
from tests.integration.quarrels import Plan, Planner, Restless, trail_of_world
from tests.unit.peer.workflows import post_office

ROOT = Path(__file__).parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def check_holds(source: Graph, trail: Trail) -> None:
    logged = Graph(workflow_of(trail))
    assert {*logged.workflow.activities} <= {*source.workflow.activities}
    for activity in logged.workflow.activities:
        more = {*logged.reach_of([activity]).falls} - {*source.reach_of([activity]).falls}
        assert not more, f"{activity}: {more}"
    assert logged.workflow.undoes <= source.workflow.undoes
    used = {name: kind for name, kind in logged.workflow.tools.items() if name != "person"}
    assert used.items() <= source.workflow.tools.items()


@pytest.mark.parametrize("seed", [0, 3])
def test_a_shop_with_suppliers_does_what_its_source_says(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trails: list[Trail] = []

    class Kept(sims.world.World):
        def __exit__(self, *error: object) -> None:
            trails.append(trail_of_world(self))
            super().__exit__(*error)

    monkeypatch.setenv("SUPPLY_DB", str(tmp_path / "world.db"))
    chain = load("supply_chain")
    monkeypatch.setattr(sims.world, "World", Kept)
    assert chain.world(seed) == 0
    assert len(trails[0].steps) > 200
    check_holds(Graph(workflow_of_classes(chain.agents)), trails[0])


def test_questions_requests_and_forwarded_answers_are_as_their_source_says() -> None:
    with sims.world.World(seed=2, hosts=2, checkpoint_every=1.0) as world:
        for name, kind in post_office.agents.items():
            world.spawn(name, kind)
        world.submit("buyer", *(post_office.Order(item, 7) for item in ("tea", "jam")), at=0.1)
        world.run(until=130.0)
        trail = trail_of_world(world)
    assert {step.record.step.agent for step in trail.steps.values()} == {*post_office.agents}
    source = workflow_of_classes(post_office.agents)
    check_holds(Graph(source), trail)
    # What the log tells has the same point of no return, and binds no more.
    (point,), (seen,) = check(source).points, check(workflow_of(trail)).points
    assert (seen.transition, {*seen.binds} <= {*point.binds}) == (point.transition, True)


@pytest.mark.parametrize("kind", [Planner, Restless])
def test_who_undoes_whom_is_foreseen(kind: type[Agent]) -> None:
    agents = {"ann": (kind, {"other": "ben"}), "ben": (kind, {"other": "ann"})}
    source = workflow_of_classes(agents)
    with sims.world.World(seed=5, hosts=2) as world:
        for name, (cls, options) in agents.items():
            world.spawn(name, cls, **options)
            if kind is Planner:
                world.submit(name, Plan(name))
        world.run(until=5.0)
        trail = trail_of_world(world)
    assert source.undoes == {("ann", "ben"), ("ben", "ann")} == workflow_of(trail).undoes
    assert "undoing" in {finding.name for finding in check(source).warnings}
    check_holds(Graph(source), trail)
