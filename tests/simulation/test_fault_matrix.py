"""The fault matrix: each row reaches its point, the table stays clean, and a runtime that is broken shows in it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from protocol.agent.effects import Effects
from protocol.agent.intents import UNDONE, Intents
from protocol.agent.requesting import Requesting
from sims.cli.main import group
from sims.studies.matrix.cases import Case, cases
from sims.studies.matrix.judging import Verdict
from sims.studies.matrix.page import BEGIN, END, Row, summary
from sims.studies.matrix.playing import play

ROWS = {case.name: case for case in cases()}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("ebbtide")
    before, logger.level = logger.level, logging.CRITICAL + 1
    yield
    logger.setLevel(before)


def rows(text: str) -> list[Case]:
    found = [case for name, case in ROWS.items() if text in name]
    assert found, text
    return found


def counted(text: str, seeds: int = 2) -> Row:
    """Play the rows of a name, and count them together."""
    found = [Row(case) for case in rows(text)]
    for row in found:
        for seed in range(seeds):
            row.take(seed, play(row.case, seed))
    assert [text for row in found for text in row.failures] == []
    return found[0]


def test_each_row_has_a_name_of_its_own() -> None:
    assert len(ROWS) == len(cases()) > 100


@pytest.mark.parametrize("case", cases()[::6], ids=lambda case: case.name)
def test_a_row_reaches_its_point_and_nothing_is_done_twice_lost_or_left(case: Case) -> None:
    row = Row(case)
    row.take(7, play(case, 7))
    assert row.failures == []
    assert row.struck == 1


def test_one_seed_plays_the_same_twice() -> None:
    case = rows("calls: the agent's host: in the call, after it takes effect: no check")[0]
    assert [play(case, seed) for seed in range(4)] == [play(case, seed) for seed in range(4)]


def test_what_nobody_can_know_is_told_and_not_done_again() -> None:
    row = counted("calls: the agent's host: in the call, after it takes effect: no check", seeds=6)
    assert row.counts["doubts"] >= 6
    assert row.counts["twice"] == 0


def _played(text: str, seeds: int = 4) -> list[Verdict]:
    return [play(case, seed) for case in rows(text) for seed in range(seeds)]


def test_a_recovery_that_forgets_intents_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Intents.take

    def forgets(self: Intents, record: Any) -> Any:
        # Read from the log nothing is known of it; asked for live it is, as ever.
        effect = take(self, record)
        if not getattr(self, "is_live", False):
            self._by_lineage.pop(record.lineage, None)
        return effect

    wanted = Effects.wanted

    def live(self: Effects, *given: Any) -> None:
        self._core.intents.is_live = True  # type: ignore[attr-defined]
        wanted(self, *given)
        self._core.intents.is_live = False  # type: ignore[attr-defined]

    monkeypatch.setattr(Intents, "take", forgets)
    monkeypatch.setattr(Effects, "wanted", live)
    assert sum(verdict.twice for verdict in _played("calls: the agent's host: in the call, after it takes")) > 0


def test_undos_that_are_forgotten_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Effects, "_begin_undo", lambda self, effect: self._finish_undo(effect, UNDONE))
    assert sum(verdict.uncompensated for verdict in _played("before the vote is durable: check", 2)) > 0


def test_words_that_let_anything_go_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Requesting, "_waits_for_people", lambda self, *given: False)
    found = _played("approvals: the agent's host: before the rejection is durable", 2)
    assert any(verdict.uncompensated or verdict.stuck for verdict in found)


def test_a_letter_that_its_agent_would_take_back_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Requesting, "held", lambda self, *given: [])
    found = _played("requests: the agent's host: after the result is durable: check", 2)
    assert any(verdict.uncompensated or verdict.lost for verdict in found)


def test_the_command_writes_its_tables_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "effects.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    given = ["effects", "--seeds", "1", "--jobs", "1", "--only", "late_overseer", "--write", str(page)]
    done = CliRunner().invoke(group, given)
    assert done.exit_code == 0, done.output
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "`ebbtide sim effects --seeds 1 --only 'late_overseer'`" in text
    assert "| the person's tool | the overseer's word, after its deadline, said once | yes | 1 | 0 | 0 |" in text
    wrong = CliRunner().invoke(group, ["effects", "--only", "nothing such"])
    assert wrong.exit_code == 2


def test_a_page_without_marks_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n", encoding="utf-8")
    done = CliRunner().invoke(group, ["effects", "--write", str(page)])
    assert done.exit_code == 2
    assert page.read_text(encoding="utf-8") == "nothing\n"


def test_the_bottom_line_tells_doubts_of_tools_that_can_tell() -> None:
    row = Row(rows("calls: the agent's host: before the intent is durable: check")[0])
    row.take(0, Verdict(struck=1, doubts=1))
    assert len(row.failures) == 1
    assert "In doubt: 1, 1 of them where the tool could tell" in summary([row])
