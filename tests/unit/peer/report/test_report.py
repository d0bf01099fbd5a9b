"""The report: what the page embeds, how steps are classified, which exports are refused and how.

`make_export` below is a small seeded run of its own, so that nothing here leans on the runtime.
"""

import heapq
import json
import random
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from exports import START, page_of, proposal, step, write_lines

from peer.report import ReportError, write_report, write_svg
from peer.report.model import AGAIN, SURVIVED, UNDONE, Run, read_export
from peer.report.page import embedded

AGENTS = ["intake", *(f"risk-{n}" for n in range(1, 5)), *(f"compliance-{n}" for n in range(1, 4))]
AGENTS += [*(f"ledger-{n}" for n in range(1, 4)), "auditor"]


class Payments:
    """Payments from intake to auditor; risk-2 goes wrong a while; its cone is undone, inputs run again."""

    def __init__(self, payments: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.steps: list[dict[str, Any]] = []
        self.retracted: set[str] = set()
        self.seq = dict.fromkeys(AGENTS, 0)
        self.free = dict.fromkeys(AGENTS, 0)
        self.versions: dict[str, list[str]] = {}
        self.queue: list[tuple[int, int, str, dict[str, Any], int]] = []
        self.proposals: list[dict[str, Any]] = []
        at = 0
        for number in range(payments):
            at += self.random.choice([150, 700, 1500, 2600, 4800])
            outer = {"id": f"ext:payments#{number}", "producer": None, "lineage": f"ext:payments#{number}"}
            self.give("intake", outer, number, at)
        wrong = [0.42 * at, 0.42 * at + 120_000]
        self.run(wrong, undo_at=int(wrong[1] + 110_000))

    def give(self, agent: str, given: dict[str, Any], number: int, at: int) -> None:
        heapq.heappush(self.queue, (at, self.random.randrange(1 << 30), agent, given, number))

    def run(self, wrong: list[float], undo_at: int) -> None:
        pending = True
        while self.queue:
            at, _, agent, given, number = heapq.heappop(self.queue)
            if pending and at >= undo_at:
                pending = False
                self.undo([s["step"] for s in self.steps if s["wrong"]], undo_at)
            if given["producer"] not in self.retracted:
                self.step(agent, given, number, max(at, self.free[agent]), wrong)

    def step(self, agent: str, given: dict[str, Any], number: int, at: int, wrong: list[float]) -> None:
        at += self.random.randint(120, 420)
        self.free[agent] = at
        self.seq[agent] += 1
        me, bank = f"{agent}/1/{self.seq[agent]}", number * number * 31 % 211
        account = f"account/A{bank:03d}"
        family = agent.split("-")[0]
        keys = {"intake": [], "risk": [f"seen/{number % 97}"], "compliance": [f"space:flags/{account[8:]}"]}
        keys |= {"ledger": [account, f"space:flags/{account[8:]}"], "auditor": []}
        owned = [key if key.startswith("space:") else f"{agent}|{key}" for key in keys[family]]
        reads = [{"key": k.split("|")[-1], "writer": (self.versions.get(k) or [None])[-1]} for k in owned]
        writes = owned[:1]
        for key in writes:
            self.versions.setdefault(key, []).append(me)
        to = {"intake": f"risk-{number % 4 + 1}", "risk": f"compliance-{number % 3 + 1}"}
        to |= {"compliance": f"ledger-{bank % 3 + 1}", "ledger": "auditor"}
        effect = {"tool": "bank.transfer", "intent": f"{me}!0", "effect": "compensable", "state": "done"}
        self.steps.append(
            {
                "step": me,
                "input": given,
                "reads": reads,
                "writes": [{"key": key.split("|")[-1]} for key in writes],
                "sends": [{"id": f"{me}#0", "to": to[family]}] if family in to else [],
                "calls": [effect] if family == "ledger" else [],
                "clock": {agent: [1, self.seq[agent]]},
                "time": START + at,
                "retracted_by": None,
                "wrong": agent == "risk-2" and wrong[0] <= at <= wrong[1],
                "number": number,
            }
        )
        if family in to:
            message = {"id": f"{me}#0", "producer": me, "lineage": f"{number:04x}.{to[family]}"}
            self.give(to[family], message, number, at + self.random.randint(300, 1400))

    def undo(self, roots: list[str], at: int) -> None:
        cone = set(roots)
        for line in self.steps:
            if line["input"]["producer"] in cone or any(read["writer"] in cone for read in line["reads"]):
                cone.add(line["step"])
        self.retracted |= cone
        decided = at + 34_000
        for key, writers in self.versions.items():
            self.versions[key] = [w for w in writers if w not in cone]
        for line in self.steps:
            if line["step"] in cone:
                line["retracted_by"] = "rollback-1"
                for call in line["calls"]:
                    call["state"] = "undone"
                if line["input"]["producer"] not in cone:
                    self.give(line["step"].split("/")[0], line["input"], line["number"], decided)
        electors = sorted({step.split("/")[0] for step in cone})
        self.proposals.append(
            proposal("rollback-1", roots, electors=electors, began=START + at, decided=START + decided)
        )


def make_export(folder: Path, payments: int = 2000, seed: int = 7) -> Path:
    """Write an export of a run of about five steps per payment. Unknown extra fields stay in on purpose."""
    run = Payments(payments, seed)
    return write_lines(folder, sorted(run.steps, key=lambda line: (line["time"], line["step"])), run.proposals)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_export(tmp_path_factory.mktemp("run") / "export", payments=400)


@pytest.fixture(scope="module")
def run(export: Path) -> Run:
    return read_export(export)


def test_page_loads_nothing(export: Path, tmp_path: Path) -> None:
    page, loads = page_of(export, tmp_path / "report.html")
    assert loads.fetched == []
    assert len(loads.scripts) == 2
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|import\(", page)
    assert "{{" not in page.replace(loads.scripts[0], "").replace(loads.scripts[1], "")


def test_embedded_model_holds_every_step_once(export: Path, tmp_path: Path, run: Run) -> None:
    model = json.loads(page_of(export, tmp_path / "report.html")[1].scripts[0])
    columns = model["steps"]
    assert {len(column) for column in columns.values()} == {len(run.steps)}
    for i in range(0, len(run.steps), 17):
        name = f"{model['agents'][columns['agent'][i]]}/{columns['incarnation'][i]}/{columns['seq'][i]}"
        assert name == run.steps[i].step
        assert model["texts"][columns["lineage"][i]] == run.steps[i].input.lineage
        assert model["began"] + columns["time"][i] == run.steps[i].time
    assert json.dumps(model).count('"space:flags/') <= len(model["texts"])


def test_reads_come_back_from_their_differences(tmp_path: Path) -> None:
    reads = [{"key": "n", "writer": w} for w in ("b/1/2", "a/1/1", "gone/1/9")] + [{"key": "m", "writer": None}]
    lines = [step("a/1/1", 1), step("b/1/1", 2), step("b/1/2", 3), step("c/1/1", 4, reads=reads)]
    model = read_export(write_lines(tmp_path, lines, [])).drawing()
    (n, *differences), m = model["steps"]["reads"][3]
    assert (model["texts"][n], differences) == ("n", [0, 2, "gone/1/9"])
    assert [model["texts"][m[0]], *m[1:]] == ["m"]


def test_nothing_said_from_outside_is_read_as_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!-- {{model}} & \u2028\x00\x1b"
    lines = [
        step("a/1/1", 1, writes=[{"key": evil}], retracted_by=evil),
        step(f"{evil}/1/1", 2, producer="a/1/1"),
    ]
    folder = write_lines(tmp_path / "e", lines, [proposal(evil, ["a/1/1"], reason=evil, electors=[evil])])
    changes = {"summary": {evil: evil}, "checks": [(evil, False, evil)], "title": evil}
    page, loads = page_of(folder, tmp_path / "report.html", **changes)
    assert len(loads.scripts) == 2
    assert "<script>alert" not in page
    assert "\u2028" not in loads.scripts[0]
    assert "\x00" not in loads.scripts[0]
    assert evil in json.loads(loads.scripts[0])["texts"]
    assert json.loads(embedded([evil])) == [evil]
    write_svg(folder, tmp_path / "picture.svg")
    ElementTree.parse(tmp_path / "picture.svg")


def test_undone_steps_and_their_re_runs_are_told_apart(run: Run) -> None:
    undone = {i for i, s in enumerate(run.steps) if s.retracted_by}
    assert undone
    assert undone == {i for i, kind in enumerate(run.kinds) if kind == UNDONE}
    assert set(run.replacements) == undone  # every payment of the sample is run again
    for old, new in run.replacements.items():
        assert run.steps[new].input.lineage == run.steps[old].input.lineage
        assert run.places[new][0] == run.places[old][0]
        assert run.steps[new].time > run.steps[old].time
    assert {i for i, kind in enumerate(run.kinds) if kind == AGAIN} == set(run.replacements.values())
    assert run.roots == {run.index[root] for root in run.proposals[0].roots}


def test_a_re_run_stands_on_the_same_agent_and_later(tmp_path: Path) -> None:
    same = {"id": "ext:in#0", "producer": None, "lineage": "L"}
    lines = [
        step("a/1/1", 1, input=same),  # survived, before: no re-run
        step("a/1/2", 2, input=same, retracted_by="p"),
        step("a/1/3", 3, input=same, retracted_by="q"),  # the first attempt to run it again, undone too
        step("b/1/1", 4, input=same),  # another agent
        step("a/2/1", 5, input=same),
        step("c/1/1", 6, retracted_by="q"),  # not run again
    ]
    run = read_export(write_lines(tmp_path, lines, []))
    assert run.kinds == (SURVIVED, UNDONE, UNDONE, SURVIVED, AGAIN, UNDONE)
    assert run.replacements == {1: 4, 2: 4}


def test_agents_are_listed_as_work_flows(run: Run) -> None:
    assert list(run.agents) == AGENTS


def test_agents_only_heard_of_come_last_and_numbers_count_as_numbers(tmp_path: Path) -> None:
    lines = [
        step("w-10/1/1", 1),
        step("w-9/1/1", 2),
        step("a/1/1", 3, "w-9/1/1", sends=[{"id": "a/1/1#0", "to": "x"}]),
    ]
    assert read_export(write_lines(tmp_path, lines, [])).agents == ("w-9", "w-10", "a", "x")


def test_story_counts(run: Run, tmp_path: Path) -> None:
    undone = sum(kind == UNDONE for kind in run.kinds)
    assert f"{len(run.roots)} wrong steps at risk-2" in run.story()
    assert f"{undone} steps at" in run.story()
    assert "nothing was rolled back" in read_export(write_lines(tmp_path, [step("a/1/1", 1)], [])).story()


def test_order_of_the_lines_does_not_matter(tmp_path: Path) -> None:
    lines = [step("a/1/10", 2), step("a/1/9", 2), step("b/1/1", 1)]
    assert [s.step for s in read_export(write_lines(tmp_path, lines, [])).steps] == [
        "b/1/1",
        "a/1/9",
        "a/1/10",
    ]


@pytest.mark.parametrize("steps", [[], [step("a/1/1", 1)], [step("a/1/1", 1, retracted_by="lost")]])
def test_small_exports_are_drawn(tmp_path: Path, steps: list[Any]) -> None:
    folder = write_lines(tmp_path / "e", steps, [])
    page_of(folder, tmp_path / "report.html", summary={}, checks=[])
    write_svg(folder, tmp_path / "picture.svg")
    ElementTree.parse(tmp_path / "picture.svg")


def test_a_failed_check_fails_the_verdict(export: Path, tmp_path: Path) -> None:
    checks = [("one", True, ""), ("two", False, "3 left")]
    page, _ = page_of(export, tmp_path / "report.html", checks=checks)
    assert "1 of 2 checks failed" in page
    assert "3 left" in page


@pytest.mark.parametrize(
    ("name", "number", "line", "says"),
    [
        ("steps", 2, "{not json", "malformed"),
        ("steps", 2, json.dumps(step("a/1/2", 2) | {"time": "noon"}), r"\$\.time"),
        (
            "steps",
            2,
            json.dumps(step("a/1/2", 2) | {"reads": [{"key": 3, "writer": None}]}),
            r"\$\.reads\[0\]\.key",
        ),
        ("steps", 2, json.dumps({"step": "a/1/2"}), "input"),
        ("steps", 2, json.dumps(step("a/1/1", 2)), "twice"),
        ("steps", 2, json.dumps(step("a-1", 2)), "no step id"),
        ("steps", 2, '"\udcff"', "steps.jsonl"),
        ("proposals", 1, json.dumps(proposal("p", []) | {"mode": "perhaps"}), "perhaps"),
        ("proposals", 1, "[" * 100_000, "proposals.jsonl"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, name: str, number: int, line: str, says: str) -> None:
    folder = write_lines(tmp_path / "e", [step("a/1/1", 1)], [])
    with (folder / f"{name}.jsonl").open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(line + "\n")
    with pytest.raises(ReportError, match=rf"{name}\.jsonl, line {number}: "):
        read_export(folder)
    with pytest.raises(ReportError, match=says):
        write_report(folder, tmp_path / "report.html", {}, [], "A run")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", ["steps", "proposals"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_lines(tmp_path, [], [])
    (folder / f"{name}.jsonl").unlink()
    with pytest.raises(ReportError, match=rf"{name}\.jsonl: cannot be read"):
        read_export(folder)


def test_picture_is_well_formed_and_small(export: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "picture.svg"
    write_svg(export, out)
    root = ElementTree.parse(out).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = out.read_text(encoding="utf-8")
    assert not re.search(r"href|<image|<script|@import|url\(", text)
    drawn = set(re.findall(r"<title>([^<]+)</title>", text))
    assert 20 <= len(drawn) <= 120
    assert drawn <= set(run.index)
    assert any(run.index[name] in run.roots for name in drawn)
    agents, touched = (
        {name.split("/")[0] for name in drawn},
        {s.step.split("/")[0] for s in run.steps if s.retracted_by},
    )
    assert agents - touched, "a few agents that the rollback left alone are shown"


def test_picture_of_one_proposal(export: Path, tmp_path: Path) -> None:
    write_svg(export, tmp_path / "one.svg", focus="rollback-1")
    assert "rollback-1: commit in 34.0 ms" in (tmp_path / "one.svg").read_text(encoding="utf-8")
    with pytest.raises(ReportError, match="no proposal 'rollback-9'"):
        write_svg(export, tmp_path / "none.svg", focus="rollback-9")
    assert not (tmp_path / "none.svg").exists()


def test_the_search_in_the_documentation_finds_what_was_undone(run: Run, export: Path) -> None:
    text = (Path(__file__).parents[4] / "docs" / "export.md").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], found)
    lines = [json.loads(line) for line in (export / "steps.jsonl").read_text(encoding="utf-8").splitlines()]
    before = [line for line in lines if line["time"] < run.proposals[0].began or line["retracted_by"]]
    assert found["cone"](before, run.proposals[0].roots) == {s.step for s in run.steps if s.retracted_by}
