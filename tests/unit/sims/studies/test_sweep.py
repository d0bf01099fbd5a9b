"""Sweeps: the same rows in the same order, on any number of processes, however often they are interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy
import pandas
import pytest

from peer import errors
from sims import Workload, World, sweep
from sims.studies.sweeping import SweepFailed


def product(seed, a=1, b=0):
    return {"product": seed * a + b}


def quick_world(seed, fan_out):
    world = World(seed, hosts=1, agents_per_host=3, checking="end")
    world.populate(Workload(inputs=3, fan_out=fan_out, failing=0.0))
    world.settle()
    return world


def test_there_is_a_row_for_every_combination_and_seed_in_the_order_given():
    rows = sweep(product, {"b": [20, 10], "a": 3}, seeds=[2, 1], progress=False)
    assert rows == [
        {"seed": 2, "b": 20, "a": 3, "product": 26},
        {"seed": 1, "b": 20, "a": 3, "product": 23},
        {"seed": 2, "b": 10, "a": 3, "product": 16},
        {"seed": 1, "b": 10, "a": 3, "product": 13},
    ]
    assert list(pandas.DataFrame(rows).columns) == ["seed", "b", "a", "product"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [(range(2), [0, 1]), ((0, 1), [0, 1]), (numpy.array([0, 1]), [0, 1]), ("ab", ["ab"]), ([[0, 1]], [[0, 1]])],
)
def test_lists_are_swept_and_single_values_are_not(given, taken):
    rows = sweep(lambda seed, x: {"text": repr(x)}, {"x": given}, progress=False)
    assert [row["text"] for row in rows] == [repr(value) for value in taken]


def test_rows_do_not_depend_on_processes():
    def build(seed, fan_out):
        # Not importable by name, and the first runs end last.
        with quick_world(seed, fan_out) as world:
            return [{"agent": agent, "steps": len(world.steps(agent))} for agent in world.agents]

    alone = sweep(build, {"fan_out": [3, 1]}, seeds=range(3), progress=False)
    assert len(alone) == 2 * 3 * 3
    assert sweep(build, {"fan_out": [3, 1]}, seeds=range(3), processes=2, progress=False) == alone


def test_of_a_world_the_metrics_are_taken(tmp_path):
    rows = sweep(quick_world, {"fan_out": 1}, journal=tmp_path / "j", progress=False)
    assert {row["kind"] for row in rows} == {"host", "agent"}
    assert all(row["steps"] is None for row in rows if row["kind"] == "host")
    assert sweep(quick_world, {"fan_out": 1}, journal=tmp_path / "j", progress=False) == rows


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_raises_is_named_and_the_others_are_kept(processes, tmp_path):
    def build(seed, a, b):
        if (seed, a) in fails:
            raise ValueError("as it must")
        return product(seed, a, b)

    fails = [(1, 2), (0, 3)]
    given = {"a": [1, 2, 3], "b": 5}
    with pytest.raises(
        SweepFailed, match="2 of 6 runs failed, first seed=1, a=2, b=5: ValueError: as it must"
    ) as caught:
        sweep(build, given, range(2), processes, journal=tmp_path / "j", progress=False)
    assert [(failure.seed, failure.parameters["a"]) for failure in caught.value.failures] == fails
    assert [row["product"] for row in caught.value.rows] == [5, 6, 5, 8]
    fails = []
    rows = sweep(build, given, range(2), processes, journal=tmp_path / "j", progress=False)
    assert [row["product"] for row in rows] == [5, 6, 5, 7, 5, 8]


def test_a_process_that_dies_ends_no_other_run_that_was_done(tmp_path):
    def build(seed):
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return product(seed)

    with pytest.raises(SweepFailed, match=r"a process of the sweep died") as caught:
        sweep(build, seeds=range(3), processes=2, journal=tmp_path / "j", progress=False)
    assert 1 in [failure.seed for failure in caught.value.failures]
    kept = len(caught.value.rows)
    assert len((tmp_path / "j").read_text().splitlines()) == 1 + kept


# -- going on ----------------------------------------------------------------------------------------------------------


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path):
    ran = []

    def build(seed, a):
        ran.append((a, seed))
        if len(ran) == 4:
            raise KeyboardInterrupt
        return product(seed, a)

    def go():
        return sweep(build, {"a": [1, 2]}, range(3), journal=tmp_path / "deep" / "j", progress=False)

    with pytest.raises(KeyboardInterrupt):
        go()
    rows = go()
    assert ran == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 0), (2, 1), (2, 2)]
    assert rows == sweep(product, {"a": [1, 2]}, range(3), progress=False)
    assert go() == rows
    assert len(ran) == 7


def test_a_sweep_whose_process_is_killed_goes_on_where_it_was(tmp_path):
    code = """
import os, signal, sys
from sims import sweep
def build(seed):
    if seed == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    print(seed, flush=True)
    return {"square": seed * seed}
print(sweep(build, seeds=range(4), journal=sys.argv[1], progress=False))
"""

    def go(killed_at):
        return subprocess.run(
            [sys.executable, "-c", code, tmp_path / "j", str(killed_at)], capture_output=True, text=True, timeout=60
        )

    assert go(2).returncode == -signal.SIGKILL
    second = go(9)
    assert second.stdout.splitlines()[:2] == ["2", "3"]
    assert "{'seed': 3, 'square': 9}" in second.stdout


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_a_torn_last_line_is_dropped_and_its_run_made_again(cut, tmp_path):
    path = tmp_path / "j"
    rows = sweep(product, {"a": [1, 2]}, range(2), journal=path, progress=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert sweep(product, {"a": [1, 2]}, range(2), journal=path, progress=False) == rows
    assert path.read_bytes() == whole


def test_a_torn_head_is_no_journal_yet(tmp_path):
    path = tmp_path / "j"
    path.write_bytes(b'{"sweep":1,')
    assert len(sweep(product, journal=path, progress=False)) == 1
    assert len(path.read_text().splitlines()) == 2


def test_seeds_may_be_added_and_only_they_are_run(tmp_path):
    ran = []

    def build(seed):
        ran.append(seed)
        return product(seed)

    sweep(build, seeds=[3, 1], journal=tmp_path / "j", progress=False)
    rows = sweep(build, seeds=[0, 1, 2, 3], journal=tmp_path / "j", progress=False)
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    assert ran == [3, 1, 0, 2]


def test_a_journal_of_other_parameters_is_refused_and_left(tmp_path):
    path = tmp_path / "j"
    sweep(product, {"a": [1, 2]}, journal=path, progress=False)
    before = path.read_bytes()
    for build, given in ((product, {"a": [1, 3]}), (product, {"b": [1, 2]}), (quick_world, {"a": [1, 2]})):
        with pytest.raises(errors.CallerError, match=r"journal of another sweep: its (parameters|build) is .*Nothing"):
            sweep(build, given, journal=path, progress=False)
    assert path.read_bytes() == before


def test_a_journal_that_a_sweep_writes_now_is_refused_to_another(tmp_path):
    path = tmp_path / "j"

    def build(seed):
        if seed == 1:
            with pytest.raises(errors.LogBusy, match="goes on"):
                sweep(product, seeds=[0], journal=path, progress=False)
        return product(seed)

    assert len(sweep(build, seeds=range(3), journal=path, progress=False)) == 3
    assert len(path.read_text().splitlines()) == 4
    assert len(sweep(build, seeds=range(4), journal=path, progress=False)) == 4


def test_a_damaged_journal_is_refused_by_its_line(tmp_path):
    path = tmp_path / "j"
    sweep(product, seeds=range(3), journal=path, progress=False)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:9] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(errors.LogCorrupt, match="line 3"):
        sweep(product, seeds=range(3), journal=path, progress=False)
    assert path.read_bytes() == b"".join(lines)


def test_rows_are_the_same_fresh_and_from_a_journal(tmp_path):
    def build(seed):
        return {"whole": numpy.int64(3), "part": numpy.float64(0.1), "nothing": None, "yes": True, "text": "é"}

    fresh = sweep(build, journal=tmp_path / "j", progress=False)
    assert sweep(build, journal=tmp_path / "j", progress=False) == fresh == sweep(build, progress=False)
    assert json.loads((tmp_path / "j").read_text().splitlines()[1])["rows"][0]["part"] == 0.1


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": 5}, r"seeds=5: several numbers, as range\(5\) is"),
        ({"processes": None}, "processes=None"),
        ({"processes": 0}, "processes=0"),
        ({"parameters": {"seed": 1}}, "'seed' is no parameter"),
        ({"parameters": {"a": []}}, "'a' has no values"),
        ({"parameters": {"a": object()}, "journal": "j"}, "looks different in every process"),
    ],
)
def test_what_cannot_be_swept_is_told_before_anything_runs(arguments, said, tmp_path):
    if "journal" in arguments:
        arguments = {**arguments, "journal": tmp_path / "j"}
    with pytest.raises(errors.CallerError, match=said):
        sweep(lambda **given: pytest.fail("it ran"), **arguments, progress=False)
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (3, "returned 3"),
        ("text", "returned 'text'"),
        ([3], "a row 3"),
        ({"seed": 1}, "column 'seed'"),
        ({"a": 1}, "column 'a'"),
        ({"x": [1]}, r"column 'x' has \[1\]"),
    ],
)
def test_what_is_no_row_fails_the_run(result, said):
    with pytest.raises(SweepFailed, match=f"seed=0, a=7: CallerError: .*{said}"):
        sweep(lambda seed, a: result, {"a": 7}, progress=False)


def test_the_package_brings_nothing_along_before_it_is_asked():
    code = "import sims, sys; print(sorted({'ray', 'pandas', 'numpy', 'networkx', 'peer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(ImportError, match="nothing_of_the_kind"):
        from sims import nothing_of_the_kind  # noqa: F401  # type: ignore[attr-defined]
