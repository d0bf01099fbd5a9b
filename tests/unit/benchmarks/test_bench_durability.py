"""The durability benchmark's arithmetic; and that Ebbtide's parts run, with tiny numbers."""

from pathlib import Path

import pytest

from benchmarks.durability.ebbtide import Ebbtide
from benchmarks.durability.plot import plot_durability
from benchmarks.durability.restoring import restore_task
from benchmarks.durability.summary import Spread, growth, is_capped, per_step, ratios
from benchmarks.durability.tables import as_markdown, bytes_table, restore_table, speed_table
from benchmarks.peers.harness import ITEM_BYTES, Task, changed, perform


def test_a_spread_is_the_median_and_the_range() -> None:
    spread = Spread.of([30.0, 10.0, 20.0])
    assert (spread.median, spread.least, spread.most) == (20.0, 10.0, 30.0)
    assert spread.text() == "20 (10 to 30)"


def test_ratios_are_taken_turn_by_turn_against_the_best() -> None:
    # The second turn was disturbed, for all alike: the ratio is not.
    best, spread = ratios([30.0, 15.0, 33.0], {"slow": [1.0, 0.5, 1.0], "fast": [10.0, 5.0, 11.0]})
    assert best == "fast"
    assert (spread.least, spread.median, spread.most) == (3.0, 3.0, 3.0)


def test_bytes_a_step_and_their_growth_use_the_steps_that_were_made() -> None:
    sizes = {"100": {"steps": 100, "bytes": 50_000}, "1000": {"steps": 500, "bytes": 500_000}}
    assert per_step(sizes["1000"]) == 1000
    assert growth(sizes) == 2.0
    assert is_capped(sizes["1000"], 1000)
    assert not is_capped(sizes["100"], 100)


def test_a_change_of_a_large_value_is_as_long_as_an_item() -> None:
    before = bytes(10_000)
    after = changed(before, 3)
    assert len(after) == len(before)
    assert 0 < sum(a != b for a, b in zip(before, after, strict=True)) <= ITEM_BYTES


@pytest.mark.parametrize("system", ["ebbtide", "ebbtide-replicated", "ebbtide-queued"])
def test_steps_of_ebbtide_are_counted(system: str, tmp_path: Path) -> None:
    task = Task("steps", system, agents=3, steps=4)
    ebbtide = Ebbtide(task, tmp_path)
    try:
        found = perform(ebbtide, task, tmp_path)
    finally:
        ebbtide.close()
    assert (found["steps"], found["wanted"]) == (12, 12)
    assert found["per_s"] > 0


def test_a_run_ends_when_its_time_is_over(tmp_path: Path) -> None:
    task = Task("steps", "ebbtide", agents=2, steps=1_000_000, cap_s=0.2)
    ebbtide = Ebbtide(task, tmp_path)
    try:
        found = perform(ebbtide, task, tmp_path)
    finally:
        ebbtide.close()
    assert 0 < found["steps"] < found["wanted"]


def test_all_of_ebbtide_is_measured_shown_and_drawn(tmp_path: Path) -> None:
    runs: dict[str, dict[str, object]] = {}
    for value, every in (("growing", 0), ("growing", 5), ("large", 0)):
        task = Task("bytes", "ebbtide", marks=(5, 10), value=value, every=every)
        folder = tmp_path / f"{value}-{every}"
        ebbtide = Ebbtide(task, folder)
        try:
            found = perform(ebbtide, task, folder)
        finally:
            ebbtide.close()
        # As JSON has it.
        found["sizes"] = {str(mark): size for mark, size in found["sizes"].items()}
        assert [size["steps"] for size in found["sizes"].values()] == [5, 10]
        runs[f"{value}-{every}"] = found
    assert runs["growing-0"]["sizes"]["10"]["bytes"] > 5 * ITEM_BYTES  # type: ignore[index]
    back = restore_task(Task("restore", "ebbtide-queued", agents=2, marks=(3, 6)), tmp_path / "back")
    assert [row["steps"] for row in back["rows"]] == [6, 12]
    speed = {
        "steps": 8, "wanted": 10, "per_s": 5.0, "syncs_per_step": None,
        "about": {"journal_mode": "wal", "synchronous": "FULL"},
    }  # fmt: skip
    found = {
        "speeds": {kind: {"ebbtide": [speed], "burr": [speed]} for kind in ("one", "many")},
        "volumes": {
            "growing": {"ebbtide": runs["growing-0"]},
            "checkpointed": {"ebbtide": runs["growing-5"]},
            "large": {"ebbtide": runs["large-0"]},
        },
        "restores": {"one": back["rows"], "many": back["rows"], "agents": 2},
    }
    for table in (*speed_table(found), bytes_table(found), restore_table(found)):
        assert table.row_count
        assert len(as_markdown(table).splitlines()) == 4 + table.row_count
    plot_durability(found, tmp_path / "durability.svg")
    assert (tmp_path / "durability.svg").stat().st_size > 1000
