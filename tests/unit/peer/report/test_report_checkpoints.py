"""Checkpoints and restores in the report: what is read, what is told apart, what is drawn."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from exports import START, page_of, proposal, step, write_lines

from peer.report import ReportError, write_svg
from peer.report.model import RESTORED, SURVIVED, UNDONE, read_export


def checkpoint(epoch: int, **cuts: int) -> dict[str, Any]:
    line = {"kind": "checkpoint", "epoch": epoch, "begun": START + min(cuts.values()), "committed": None}
    return line | {"cuts": {agent: {"last": None, "era": 0, "time": START + at} for agent, at in cuts.items()}}


def restore(number: int, epoch: int, decided: int) -> dict[str, Any]:
    line = {"kind": "restore", "number": number, "epoch": epoch, "inputs": "discard", "reason": ""}
    return line | {"decided": START + decided, "done": START + decided + 3}


def write_checkpoints(folder: Path, *lines: dict[str, Any]) -> Path:
    (folder / "checkpoints.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def restored_export(folder: Path) -> Path:
    lines = [
        step("a/1/1", 1),
        step("b/1/1", 2, producer="a/1/1"),
        step("a/1/2", 5, retracted_by="p"),
        step("a/1/3", 9, retracted_by="restore/1"),
        step("b/1/2", 10, producer="a/1/3", retracted_by="restore/1"),
        step("a/1/4", 20),
    ]
    lines[3]["input"] = lines[2]["input"]
    lines = [*lines, step("c/1/1", 30)]
    folder = write_lines(folder, lines, [proposal("p", ["a/1/2"], began=START + 6, decided=START + 7)])
    return write_checkpoints(
        folder, checkpoint(1, a=3, b=4), checkpoint(2, a=7, b=8), restore(1, 1, 12), {"kind": "of another day", "x": 1}
    )


def test_steps_that_a_restore_took_back_are_told_apart(tmp_path: Path) -> None:
    run = read_export(restored_export(tmp_path))
    assert run.kinds == (SURVIVED, SURVIVED, UNDONE, RESTORED, RESTORED, SURVIVED, SURVIVED)
    assert run.replacements == {2: 3}  # it had taken the wrong step's place, until the restore
    assert "1 step took their place, and the other 5 steps stood." in run.story()
    assert run.story().endswith("back to checkpoint 1: 2 steps at 2 agents no longer stand.")


def test_checkpoints_and_restores_are_on_the_page_and_in_the_picture(tmp_path: Path) -> None:
    folder = restored_export(tmp_path / "e")
    model = json.loads(page_of(folder, tmp_path / "report.html")[1].scripts[0])
    names = [[model["agents"][row], model["began"] - START + at] for row, at in model["checkpoints"][0]["cuts"]]
    assert names == [["a", 3], ["b", 4]]
    assert [(r["number"], r["epoch"], r["decided"], r["done"]) for r in model["restores"]] == [(1, 1, 11, 14)]
    write_svg(folder, tmp_path / "picture.svg", focus="p")
    ElementTree.parse(tmp_path / "picture.svg")
    assert "checkpoint 2<" in (tmp_path / "picture.svg").read_text(encoding="utf-8")


def test_names_of_checkpoints_do_not_run_into_each_other(tmp_path: Path) -> None:
    folder = write_lines(tmp_path / "e", [step(f"a/1/{n}", 10 * n) for n in range(1, 100)], [])
    write_checkpoints(folder, *(checkpoint(n, a=10 * n + 5) for n in range(1, 90)))
    write_svg(folder, tmp_path / "picture.svg")
    text = (tmp_path / "picture.svg").read_text(encoding="utf-8")
    texts = re.findall(r'<text x="([\d.]+)" y="\d+" fill="#0d9aa3"[^>]*>([^<]+)<', text)
    assert len(texts) > 5
    ends = [(float(x) - 3.5 * len(text), float(x) + 3.5 * len(text)) for x, text in texts]
    assert all(end < begin for (_, end), (begin, _) in pairwise(ends))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{not json", "malformed"),
        (json.dumps(checkpoint(2, a=1) | {"cuts": {"a": {"last": 3, "time": 1}}}), r"\$\.cuts\[\.\.\.\]\.last"),
        (json.dumps({"kind": "restore", "number": 1}), "epoch"),
    ],
)
def test_errors_in_checkpoints_name_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    folder = restored_export(tmp_path)
    with (folder / "checkpoints.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ReportError, match=rf"checkpoints\.jsonl, line 5: .*{says}"):
        read_export(folder)
