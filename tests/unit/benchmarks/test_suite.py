"""`ebbtide bench`: each benchmark runs in a tiny size and counts right; the page has the tables of the last runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.suite import faults, report, running
from benchmarks.suite.catalog import BENCHMARKS, find
from benchmarks.suite.clocks import full_clock_bytes
from benchmarks.suite.form import Benchmark, Job, Plot, Setting, Table, cells, shown
from benchmarks.suite.shapes import SHAPES, shape_row
from peer.cli.main import main
from peer.errors import CallerError

ROOT = Path(__file__).parents[3]
TINY = Setting("tiny")


def run(name: str) -> dict[str, list[dict[str, Any]]]:
    """Run all of a benchmark in its tiny size; return the rows."""
    benchmark = BENCHMARKS[name]
    found = running.measure(benchmark, TINY, benchmark.plan(TINY), lambda about: None, lambda: None)
    assert found["failed"] == []
    for table, rows in found["rows"].items():
        missing = {key for row in rows for key in benchmark.tables[table].columns if key not in row}
        assert missing == set(), table
    return found["rows"]


def test_rollback_undoes_the_cone_and_counts_what_it_took() -> None:
    rows = run("rollback")
    (live,) = rows["agents"]
    assert (live["agents"], live["participants"]) == (12, 10)
    assert live["messages"] >= 2 * 9
    assert [row["cone"] for row in rows["world"]] == [40]
    (wide,) = rows["wide"]
    assert (wide["agents"], wide["cone"]) == (50, 40)
    assert wide["spoken"] < 50
    assert 0 < wide["homes_mb"] < 0.1
    shapes = {row["shape"]: row for row in rows["shapes"]}
    assert list(shapes) == list(SHAPES)
    assert {row["cone"] for row in shapes.values()} == {10}
    assert shapes["conversation"]["participants"] == 2
    (beside,) = rows["orchestrator"]
    assert beside["ratio"] == beside["messages"] / beside["messages_theirs"]
    assert beside["cone"] == beside["cone_theirs"]


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "DAG"])
def test_a_cone_has_as_many_steps_as_were_asked_for(shape: str) -> None:
    assert shape_row(shape, 20, 45)["cone"] == 45


def test_a_checkpoint_is_made_with_a_stop_and_without() -> None:
    rows = run("checkpoints")
    (live,) = rows["live"]
    assert live["ratio"] == live["ms"] / live["stop_ms"]
    assert [row["hosts"] for row in rows["hosts"]] == [5]
    by_protocol = {row["protocol"]: row for row in rows["protocols"]}
    assert by_protocol["ebbtide"]["stopped_s"] == 0
    assert by_protocol["chandy-lamport"]["stopped_s"] > 0
    assert (
        by_protocol["koo-toueg"]["ratio"] == by_protocol["ebbtide"]["messages"] / by_protocol["koo-toueg"]["messages"]
    )


def test_clocks_are_compared_with_a_full_vector() -> None:
    (row,) = run("clocks")["agents"]
    assert 0 < row["entries"] <= row["most"] <= 10
    assert row["full_bytes"] == full_clock_bytes(10)
    assert full_clock_bytes(100) > 5 * full_clock_bytes(10)


def test_messages_are_counted_within_a_host_and_between_two() -> None:
    rows = run("messages")
    assert [row["balls"] for row in rows["balls"]] == [4]
    assert [row["bytes"] for row in rows["bytes"]] == [10]
    for row in (*rows["balls"], *rows["bytes"]):
        assert row["within_ratio"] == row["within"] / row["floor"]


def test_faults_leave_most_work_where_only_cones_are_undone() -> None:
    rows = run("faults")["kept"]
    assert [row["way"] for row in rows[:4]] == list(faults.WAYS)
    none, wrong = rows[:4], {row["way"]: row for row in rows[4:]}
    assert all((row["wrong"], row["undone"], row["mistakes"]) == (0, 0, 0) for row in none)
    assert wrong["none"]["undone"] == 0
    assert wrong["none"]["wrong"] > wrong["cone"]["wrong"]
    assert wrong["cone"]["useful"] > wrong["global restore"]["useful"]
    assert wrong["cone"]["useful"] > wrong["restart"]["useful"]
    assert 0 < wrong["cone"]["kept"] <= 1


def test_faults_of_one_seed_are_the_same_twice() -> None:
    assert faults.play("cone", 0.1, 3, 0.3) == faults.play("cone", 0.1, 3, 0.3)


def test_density_measures_agents_and_coroutines() -> None:
    rows = run("density")["agents"]
    assert [(row["agents"], row["what"]) for row in rows] == [(5, "agents"), (5, "coroutines")]
    assert rows[0]["ratio"] in (1, None)


def test_the_price_is_measured_down_to_bare_handlers() -> None:
    rows = run("price")["steps"]
    assert len(rows) == 4
    assert rows[-1]["share"] == 1


# -- the form, the commands and the page -------------------------------------------------------------------------------

TOY = Benchmark(
    "toy",
    "How much?",
    "nothing",
    {"one": Table("One", {"what": "what", "count": "how many"}, "It says so.", Plot("count", ("count",)))},
    lambda setting: [
        Job("first", "one", lambda: [{"what": "tea", "count": 1200}]),
        Job("broken", "one", lambda: (_ for _ in ()).throw(RuntimeError("spilt"))),
        Job("last", "one", lambda: [{"what": "milk", "count": 2}]),
    ],
)


def found_of(benchmark: Benchmark, out: Path) -> dict[str, Any]:
    done: list[int] = []
    found = running.measure(benchmark, TINY, benchmark.plan(TINY), lambda about: None, lambda: done.append(1))
    assert len(done) == len(benchmark.plan(TINY))
    running.keep(found, out)
    return found


def test_a_job_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    found = found_of(TOY, tmp_path)
    assert found["failed"] == ["broken: RuntimeError: spilt"]
    assert [row["what"] for row in found["rows"]["one"]] == ["tea", "milk"]
    assert found["machine"]["cores"] > 0
    assert len(found["load"]["before"]) == 3


def test_the_page_has_the_tables_of_the_json(tmp_path: Path) -> None:
    found_of(TOY, tmp_path)
    (tmp_path / "toy.svg").write_text("<svg/>")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- toy: begin -->\nold\n<!-- toy: end -->\nafter\n")
    other = Benchmark("other", "?", "", {}, lambda setting: [])
    assert report.write({"toy": TOY, "other": other}, tmp_path, page) == (["toy"], ["other"])
    text = page.read_text()
    assert text.startswith("before\n<!-- toy: begin -->\n")
    assert text.endswith("\n<!-- toy: end -->\nafter\n")
    assert "old" not in text
    rows = json.loads((tmp_path / "toy.json").read_text())["rows"]["one"]
    assert "| what | how many |\n| --- | ---: |\n| tea | 1,200 |\n| milk | 2 |" in text
    assert [f"| {' | '.join(line)} |" in text for line in cells(TOY.tables["one"], rows)] == [True, True]
    assert "Failed: broken: RuntimeError: spilt" in text
    assert "(page/toy.svg)" in text
    assert (tmp_path / "page" / "toy.svg").exists()
    assert report.write({"toy": TOY}, tmp_path, page) == (["toy"], [])
    assert page.read_text() == text


def test_a_page_without_a_place_is_left_as_it_was(tmp_path: Path) -> None:
    found_of(TOY, tmp_path)
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    with pytest.raises(CallerError, match="no lines <!-- toy: begin -->"):
        report.write({"toy": TOY}, tmp_path, page)
    assert page.read_text() == "nothing here\n"


def test_a_file_that_no_run_has_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "toy.json").write_text("[]")
    with pytest.raises(CallerError, match=r"toy\.json is not what"):
        report.load(TOY, tmp_path)


def test_an_unknown_benchmark_is_told_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CallerError, match="There are: rollback, checkpoints"):
        find("zzz")
    with pytest.raises(SystemExit) as ended:
        main(["bench", "run", "rolback", "--no-plots"])
    assert ended.value.code == 2
    assert "no benchmark 'rolback'. Nothing was run. Did you mean 'rollback'?" in " ".join(
        capsys.readouterr().err.split()
    )


def test_the_list_shows_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "list", "--json"])
    assert ended.value.code == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["benchmark"] for each in told] == list(BENCHMARKS)
    assert all(each["question"] and each["beside"] for each in told)


def test_a_run_writes_json_and_a_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BENCHMARKS, "toy", TOY)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "run", "toy", "--out", str(tmp_path)])
    assert ended.value.code == 1, "a job has failed"
    assert (tmp_path / "toy.json").exists()
    assert (tmp_path / "toy.svg").read_text().startswith("<?xml")
    assert "spilt" in capsys.readouterr().out


def test_an_address_is_that_of_ray(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "run", "clocks", "--address", "auto", "--backend", "local"])
    assert ended.value.code == 2
    assert "an address is that of a Ray cluster" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_the_page_of_the_house_has_a_place_for_each_benchmark() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name in BENCHMARKS:
        assert text.count(f"<!-- {name}: begin -->") == text.count(f"<!-- {name}: end -->") == 1


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (1234567, "1,234,567"), (0.12345, "0.123"), (150.4, "150"), (2.0, "2"), ("a", "a")]
)
def test_cells_are_what_people_read(value: object, text: str) -> None:
    assert shown(value) == text
