"""`ebbtide workflow` as people and scripts use it."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from peer.errors import CallerError, ConfigInvalid
from peer.workflows import Workflow, workflow_at
from peer.workflows.cli import group
from tests.unit.peer.audit.shop import Scene, played

HERE = Path(__file__).parent
DECLARED = """
from peer.workflows import Handling, Rule, Workflow

workflow = Workflow(
    (
        Handling("buyer", "Order", sends=(("clerk", "Note"),), outside=True),
        Handling("clerk", "Note", requests=("send_letter",)),
    ),
    {"send_letter": "irreversible"},
    RULES,
    name="letters",
)
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def printed(*arguments: object, code: int = 0) -> str:
    done = run(*arguments)
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return played(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    path = tmp_path / "letters_of_ours.py"
    path.write_text(DECLARED.replace("RULES", "()"), encoding="utf-8")
    return path


def test_graph_shows_a_runs_agents_and_what_each_can_undo(scene: Scene) -> None:
    said = printed("graph", scene.folder)
    assert "charge (compensable)" in said
    assert "note: what these logs have not seen is not here" in said
    said = printed("graph", scene.folder, "--reach", "cashier")
    assert "a wrong step of cashier.Pay can undo steps of cashier.Pay, watcher.Look" in said
    assert "agents that keep all: buyer" in said
    told = json.loads(printed("graph", scene.folder, "--reach", "cashier", "--json"))
    assert told["asked"] == {"falls": ["cashier.Pay", "watcher.Look"], "keeps": ["buyer.Order"]}
    assert printed("graph", scene.folder, "--format", "mermaid").startswith("flowchart LR\n")


def test_what_graph_prints_is_a_workflow_again(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(printed("graph", scene.folder, "--json"), encoding="utf-8")
    assert workflow_at(tmp_path / "run.json").workflow == workflow_at(scene.folder).workflow
    assert "0 problems" in printed("check", tmp_path / "run.json")


def test_check_fails_until_somebody_is_asked(declared: Path) -> None:
    said = printed("check", declared, code=1)
    assert "point of no return: call send_letter for clerk" in said
    assert "problem: clerk calls send_letter, which nobody can undo, and nobody is asked before" in said
    other = declared.with_name("letters_with_rule.py")
    other.write_text(DECLARED.replace("RULES", '(Rule("clerk", "send_letter", ("boss",)),)'), encoding="utf-8")
    assert "asked before: boss" in printed("check", other)
    told = json.loads(printed("check", other, "--json"))
    assert (told["is_ok"], told["points"][0]["rule"]["to"], told["cases"][0]["compensable"]) == (True, ["boss"], 5)


def test_check_reads_the_agents_that_up_would_start() -> None:
    said = printed("check", HERE / "post_office.py", code=1)
    assert "clerk calls send_letter" in said
    told = json.loads(printed("check", HERE / "post_office.py", "--json", code=1))
    assert {finding["name"] for finding in told["findings"]} == {"no approval"}


def test_warnings_fail_if_they_are_to(tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    ring = {
        "handlings": [
            {"agent": "a", "kind": "K", "sends": [["b", "L"]]},
            {"agent": "b", "kind": "L", "sends": [["a", "K"]]},
        ]
    }
    path.write_text(json.dumps(ring), encoding="utf-8")
    assert "0 problems, 1 warnings" in printed("check", path)
    printed("check", path, "--strict", code=1)


def test_no_loops_are_told_as_well(scene: Scene) -> None:
    assert "no agents undo each other" in printed("loops", scene.folder)
    assert json.loads(printed("loops", scene.folder, "--json")) == {"loops": []}


def test_damaged_logs_are_told_as_far_as_they_go(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "host-2")
    done = run("graph", tmp_path / "run")
    assert done.exit_code == 3
    assert "damaged: host-2" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("missing", None, ConfigInvalid, "there is no .*missing.* Name a run's folder"),
        ("notes.txt", "x", ConfigInvalid, "neither a folder nor Python nor JSON"),
        ("broken.json", "{", ConfigInvalid, "broken.json is no JSON"),
        ("other.json", "{}", CallerError, "other.json: no workflow: wanted an object"),
        ("json.py", "x = 1", ConfigInvalid, "neither a Workflow called 'workflow' nor 'agents'"),
        ("raising_one.py", "1 / 0", ConfigInvalid, "raising_one.py raised ZeroDivisionError"),
    ],
)
def test_what_tells_of_no_workflow_is_refused_with_the_remedy(tmp_path, name, text, error, said) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=said):
        workflow_at(tmp_path / name)


def test_wrong_options_are_refused(declared: Path) -> None:
    assert "'dot' is none of table, mermaid" in run("graph", declared, "--format", "dot").output
    done = run("graph", declared, "--reach", "clark")
    assert "Did you mean 'clerk'?" in str(done.exception)
    assert "--markings 0: at least 1" in str(run("check", declared, "--markings", 0).exception)


@pytest.mark.parametrize("command", ["graph", "check", "loops"])
def test_help_of_a_workflow_command_teaches_by_example(command: str) -> None:
    assert f"ebbtide workflow {command}" in printed(command, "--help")


def test_a_declared_workflow_is_found_by_its_name(declared: Path) -> None:
    found = workflow_at(declared).workflow
    assert isinstance(found, Workflow)
    assert (found.name, found.agents) == ("letters", ["buyer", "clerk"])
