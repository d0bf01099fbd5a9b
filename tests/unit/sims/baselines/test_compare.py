"""`ebbtide sim compare`: what it prints and writes, and what it says of what it cannot do."""

import csv
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peer.errors import EbbtideError
from sims.baselines.application import Load
from sims.baselines.compare import Case, by_cone, cases, run_case, spread, summaries
from sims.baselines.protocols import PROTOCOLS, protocol_of
from sims.cli.main import group

SMALL = ["compare", "--agents", "4,6", "--topologies", "ring,dag", "--seeds", "0:2", "--jobs", "1", "--cone-sweep", ""]


def test_it_prints_a_table_for_each_place_and_writes_runs_medians_and_plots(tmp_path: Path):
    shown = CliRunner().invoke(group, [*SMALL, "--out", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    for title in ("ring, 4 agents", "ring, 6 agents", "dag, 4 agents", "dag, 6 agents"):
        assert title in shown.output
    assert all(shown.output.count(f"\n {protocol} ") == 4 for protocol in PROTOCOLS)
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2 * len(PROTOCOLS)
    assert {row["protocol"] for row in rows} == set(PROTOCOLS)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert len(summary["places"]) == 4 * len(PROTOCOLS)
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "efficiency.png", "lost.png", "rollback_messages.png", "held_agents.png", "redone_after.png"
    }  # fmt: skip


def test_json_is_all_that_is_printed(tmp_path: Path):
    arguments = [*SMALL, "--protocols", "ebbtide,orchestrator", "--no-plots", "--json", "--out", str(tmp_path)]
    shown = CliRunner().invoke(group, arguments)
    found = json.loads(shown.stdout)
    assert [place["protocol"] for place in found["places"][:2]] == ["ebbtide", "orchestrator"]
    assert found["places"][0]["innocent"] == {"median": 0, "least": 0, "most": 0}


def test_more_processes_give_the_same(tmp_path: Path):
    runs: list[str] = []
    for jobs in ("1", "2"):
        arguments = [*SMALL, "--jobs", jobs, "--no-plots", "--cone-sweep", "20", "--out", str(tmp_path / jobs)]
        assert CliRunner().invoke(group, arguments).exit_code == 0
        runs.append((tmp_path / jobs / "runs.csv").read_text(encoding="utf-8"))
    assert runs[0] == runs[1]
    # The sweep is of the larger size, in the second topology.
    assert ",0.02," in runs[0]


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--agents", "10,x", "'x'"),
        ("--agents", "1", "'1'"),
        ("--topologies", "ring,rng", "'rng'"),
        ("--protocols", "paxos", "'paxos'"),
        ("--seeds", "5:5", "'5:5'"),
        ("--seeds", "7", "'7'"),
        ("--cone-sweep", "0", "'0'"),
    ],
)
def test_a_bad_value_is_named(option: str, value: str, word: str, tmp_path: Path):
    shown = CliRunner().invoke(group, ["compare", option, value, "--quick", "--out", str(tmp_path)])
    assert shown.exit_code == 2
    assert word in shown.output
    assert option in shown.output
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_says_what_to_install_before_it_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    shown = CliRunner().invoke(group, [*SMALL, "--out", str(tmp_path)])
    assert isinstance(shown.exception, EbbtideError)
    assert 'pip install "ebbtide[research]"' in str(shown.exception)
    assert not list(tmp_path.iterdir())
    assert CliRunner().invoke(group, [*SMALL, "--no-plots", "--out", str(tmp_path)]).exit_code == 0


def test_a_run_that_is_judged_wrong_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    broken = protocol_of("ebbtide")._replace(processes=protocol_of("orchestrator").processes)
    monkeypatch.setitem(PROTOCOLS, "ebbtide", broken)
    monkeypatch.setattr("sims.baselines.orchestrator.Agent.value", lambda self, key: None)
    shown = CliRunner().invoke(group, [*SMALL, "--protocols", "ebbtide", "--no-plots", "--out", str(tmp_path)])
    assert shown.exit_code == 1
    assert "judged wrong" in shown.output
    assert "seed=0" in shown.output.replace("\n", "")


def test_sim_goes_on_as_it_was():
    assert "partitions" in CliRunner().invoke(group, ["--list"]).output
    shown = CliRunner().invoke(group, ["--seeds", "0:2", "--jobs", "1"])
    assert "2 seeds passed" in shown.output
    shown = CliRunner().invoke(group, ["--help"])
    assert "compare" in shown.output
    assert "--world" in shown.output


def test_an_unknown_protocol_names_the_ones_there_are():
    with pytest.raises(ValueError, match="koo-toueg"):
        protocol_of("raft")


def test_medians_and_classes():
    found = cases(["ebbtide"], ["ring"], [4], range(3), 50_000)
    assert found[1] == Case("ebbtide", Load(agents=4, topology="ring", seed=1, found_after_us=50_000))
    runs = [run_case(case) for case in found]
    assert summaries(runs)[0].of("cone") == spread(runs, "cone")
    values = sorted(run.cone for run in runs)
    assert spread(runs, "cone") == (values[1], values[0], values[2])
    classes = by_cone(runs)["ebbtide"]
    assert sum(len(group) for group in classes.values()) == 3
    assert all(border <= run.cone for border, group in classes.items() for run in group)
