"""The file that `ebbtide up` is given: what it may say, and how it is told what is wrong."""

import sys
from itertools import count
from pathlib import Path

import pytest

from peer import CallerError, ConfigInvalid
from peer.cli.main import main
from peer.running.app import App, read_app

NUMBERS = count(1)


def written(tmp_path: Path, text: str) -> Path:
    """Write a file whose name no other module of this process has."""
    file = tmp_path / f"app_{next(NUMBERS)}.py"
    file.write_text(f"from ebbtide import Agent, AgentSpec\n{text}\n")
    return file


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def read(tmp_path: Path, text: str) -> App:
    return read_app(written(tmp_path, text))


def test_agents_are_classes_classes_with_options_or_specs(tmp_path: Path) -> None:
    found = read(tmp_path, "agents = {'a': Agent, 'b': (Agent, {'x': 1}), 'c': AgentSpec('c', Agent, {'y': 2})}")
    assert [(spec.name, spec.options) for spec in found.agents] == [("a", {}), ("b", {"x": 1}), ("c", {"y": 2})]
    assert [spec.name for spec in read(tmp_path, "agents = [AgentSpec('a', Agent)]").agents] == ["a"]
    assert (found.options, found.main) == ({}, None)


def test_what_is_done_then_needs_no_agents_and_options_are_taken(tmp_path: Path) -> None:
    found = read(tmp_path, "options = {'replicas': 1}\nasync def main(cluster): pass")
    assert (found.agents, found.options) == ([], {"replicas": 1})
    assert found.main is not None
    assert not found.has_other_main
    other = read(tmp_path, "agents = {}\ndef main(): pass")
    assert (other.main, other.has_other_main) == (None, True)


def test_classes_are_those_of_a_module_that_others_can_import(tmp_path: Path) -> None:
    found = read(tmp_path, "class Own(Agent): pass\nagents = {'a': Own}")
    assert found.agents[0].kind.__module__ == found.file.stem


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("agents = {'a': 3}", "agent 'a' is 3: no class of agents"),
        ("agents = {'a': (Agent, 3)}", "no class of agents"),
        ("agents = {3: Agent}", "agent 3 is"),
        ("agents = 7", "agents is 7"),
        ("agents = 'abc'", "agents is 'abc'"),
        ("agents = [Agent]", "agents is"),
        ("x = 1", "names no agents"),
        ("def main(cluster): pass", "names no agents"),
        ("options = 3\nagents = {}", "options is 3"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit('no')", "SystemExit"),
        ("agents = {'a': AgentSpec('b', Agent)}", "'a' is 'b' in its AgentSpec"),
        ("agents = {}\nasync def main(): pass", "main() can't be given the cluster"),
        ("agents = {}\nasync def main(cluster, more): pass", "main(cluster, more) can't be given the cluster"),
    ],
)
def test_a_file_that_names_no_agents_is_told_in_one_line(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(CallerError) as error:
        read(tmp_path, text)
    assert named in str(error.value)
    assert "Nothing was started" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_file_raises_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"app_\d+\.py:3 in <module>"):
        read(tmp_path, "x = 1\ny = x / 0")


def test_a_file_that_is_no_python_is_told_with_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"SyntaxError: .*\(app_\d+\.py, line 2\)\. Nothing was started") as error:
        read(tmp_path, "agents = {")
    assert "importlib" not in str(error.value)


def test_a_file_is_a_module_that_python_would_find(tmp_path: Path) -> None:
    for name, said in (
        ("json.py", "is called like another module"),
        ("my-shop.py", "is not called as a Python module is"),
        ("shop.txt", "is not called as a Python module is"),
        ("none.py", "is no file"),
    ):
        if name != "none.py":
            (tmp_path / name).write_text("agents = {}")
        with pytest.raises(ConfigInvalid, match=said):
            read_app(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("agents = {}\noptions = {'folder': 'x'}", "options names 'folder'"),
        ("agents = {}\noptions = {'colour': 'x'}", "knows no option 'colour'"),
        ("agents = {}\noptions = {'durability': 'x'}", "durability='x'"),
        ("agents = {}\noptions = {'address': 'auto'}", "--address is that of a Ray"),
        ("class A(Agent):\n  def __init__(self): 1 / 0\nagents = {'a': A}", "py:3 in __init__"),
        ("agents = {'a b': Agent}", "not a name for an agent: 'a b'"),
    ],
)
def test_up_says_what_it_cant_start(text: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["up", str(written(tmp_path, text)), "--backend", "local", "--folder", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert (named in said, len(said.splitlines())) == (True, 1)
    assert "othing" in said
