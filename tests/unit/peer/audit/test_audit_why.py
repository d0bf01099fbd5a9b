"""Why a step was made, and what followed from it."""

import networkx
import pytest
from shop import Scene

from peer.audit import Edges, Trail
from peer.audit.telling import coned, explained
from protocol.ids import StepId


def test_the_cone_is_the_clusters_own_preview(scene: Scene) -> None:
    assert len(scene.previews) == 4
    for root, (preview, cone) in scene.previews.items():
        assert cone == preview, root


def test_what_a_rollback_has_undone_is_the_cone_of_its_roots(trail: Trail, scene: Scene) -> None:
    cone = Edges(trail).cone([StepId("buyer", 1, 2)])
    # The look that came later read what the second run wrote.
    assert {str(step) for step in cone} == set(scene.undone)
    lines = coned(trail, cone)
    assert lines[0] == lines[0] | {"step": "buyer/1/2", "because_of": None, "how": "root", "undone": "buyer/1/p1"}
    by = {line["step"]: (line["because_of"], line["how"]) for line in lines}
    assert by["cashier/1/2"] == ("buyer/1/2", "message")
    assert by["cashier/1/3"] == ("cashier/1/2", "key")
    assert by["watcher/1/3"] == ("cashier/1/2", "sum"), "it tolerates less than what went"
    assert "watcher/1/4" not in by, "it tolerates more than what went"
    assert "watcher/1/2" not in by, "it observed"


def test_the_cone_is_what_a_graph_says(trail: Trail) -> None:
    edges, graph = Edges(trail), networkx.DiGraph()
    for step in trail.steps.values():
        graph.add_node(step.id)
        graph.add_edges_from((cause.step, step.id) for cause in edges.causes(step))
    for root in trail.steps:
        cone = edges.cone([root])
        plain = {root} | networkx.descendants(graph, root)
        tolerant = {step for step in cone if trail.steps[step].record.tolerated}
        assert plain <= set(cone) <= plain | tolerant


def test_an_undone_step_is_explained(trail: Trail) -> None:
    line = explained(trail, Edges(trail), trail.step("cashier/1/3"))
    assert [link["step"] for link in line["chain"]] == ["buyer/1/3"]
    assert line["chain"][0]["model"] == "pricer@2"
    assert line["outside"].startswith("ext:cluster-")
    path = [(link["step"], link["how"]) for link in line["path"]]
    assert path == [("buyer/1/2", "root"), ("cashier/1/2", "message"), ("cashier/1/3", "key")]
    assert line["reads"] == [{"key": "last", "writer": "cashier/1/2", "undone": True}]
    assert "cashier/1/3" in line["runs"]
    assert len(line["runs"]) > 1
    assert [call["state"] for call in line["calls"]] == ["done"], "the second run has claimed it"


def test_a_step_that_stands_is_explained(trail: Trail) -> None:
    line = explained(trail, Edges(trail), trail.step("buyer/1/1"))
    assert (line["undone"], line["path"], line["chain"]) == (None, [], [])
    assert line["outside"] == line["input"]["id"]
    assert line["sends"][0]["handled_by"] == ["cashier/1/1"]
    (refused,) = line["proposals"]
    assert (refused["id"], refused["decision"], refused["reason"]) == ("buyer/1/p2", "abort", "too late")
    rejects = [(vote["voter"], vote["why"]) for vote in refused["votes"] if not vote["accepts"]]
    assert rejects == [("watcher", "the books are closed")]


def test_a_root_that_is_not_there_has_no_cone(trail: Trail) -> None:
    with pytest.raises(KeyError):
        Edges(trail).cone([StepId("nobody", 1, 1)])
    assert Edges(trail).path([StepId("nobody", 1, 1)], StepId("buyer", 1, 1)) == []
