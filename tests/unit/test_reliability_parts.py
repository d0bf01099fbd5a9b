"""What `python -m tests.cluster.reliability` judges and writes, without its machines."""

from pathlib import Path

import pytest

from tests.cluster.reliability.__main__ import asked
from tests.cluster.reliability.measure import Measured, Strike, measured
from tests.cluster.reliability.oracle import Handed, Posting, cone_of, judge, posted
from tests.cluster.reliability.rows import ROWS
from tests.cluster.reliability.table import BEGIN, END, Played, rows_of, table, write
from tests.cluster.reliability.teller_app import UNDONE, post, unpost

PAID = Handed("r.1", "teller-2", 5, 1.0, 2.0)
SIDES = [("ledger-2", "debit"), ("ledger-0", "credit")]
POSTED = [Posting(ledger, "r.1", side, 5, 2.5, False) for ledger, side in SIDES]
STATES = {"teller-2": [["sent", "r.1", 5]], "ledger-2": [["debit", "r.1", 5]], "ledger-0": [["credit", "r.1", 5]]}


def amiss(**other: object) -> str:
    given: dict = {"handed": [PAID], "postings": POSTED, "states": STATES, "undone": frozenset()} | other
    return "; ".join(judge(**given))


def test_what_was_acknowledged_stands_once_on_each_side() -> None:
    assert amiss() == ""
    assert "the world lacks 1" in amiss(postings=POSTED[:1])
    assert "debits are 5, credits 0" in amiss(postings=POSTED[:1])
    assert "the world has twice 1" in amiss(postings=[*POSTED, POSTED[0]])
    assert "the world has, and should not 1" in amiss(postings=[*POSTED, POSTED[0]._replace(key="r.2")])
    assert "the agents' states lacks 1" in amiss(states=STATES | {"ledger-0": []})
    assert "the world lacks 1" in amiss(postings=[POSTED[0]._replace(undone=True), POSTED[1]])


def test_of_what_was_undone_nothing_stands() -> None:
    gone = [each._replace(undone=True) for each in POSTED]
    assert amiss(postings=gone, states={}, undone=frozenset({"r.1"})) == ""
    assert "has, and should not 2" in amiss(states={}, undone=frozenset({"r.1"}))


def test_what_was_never_acknowledged_is_told_and_may_stand_or_not() -> None:
    unheard = [PAID._replace(acked=0.0, why="AskTimeout")]
    told = "r.1 was never acknowledged: AskTimeout"
    assert amiss(handed=unheard) == amiss(handed=unheard, postings=[], states={}) == told


def test_a_cone_is_a_step_at_the_teller_and_one_at_each_of_its_ledgers() -> None:
    assert cone_of("teller-2", ["teller-2/1/1", "ledger-0/1/8", "ledger-2/2/3"]) == ""
    assert "ledger-1" in cone_of("teller-2", ["teller-2/1/1", "ledger-0/1/8", "ledger-1/2/3"])


def test_the_world_takes_an_intent_once_and_remembers_what_was_undone(tmp_path: Path) -> None:
    for _ in range(2):
        post.function(str(tmp_path), "ledger-0", "r.1", "credit", 5, intent="ledger-0/1/1")
    [one] = posted(tmp_path)
    assert (one.ledger, one.key, one.side, one.amount, one.undone) == ("ledger-0", "r.1", "credit", 5, False)
    (tmp_path / f"ledger-0+1+1{UNDONE}").touch()
    assert posted(tmp_path)[0].undone


def test_recovery_is_that_of_the_last_who_was_hit_and_others_are_compared_with_before() -> None:
    other = [Handed(f"o.{n}", "teller-1", 1, n / 2, n / 2) for n in range(1, 41)]
    hit = [Handed(f"h.{n}", "teller-2", 1, float(n), float(n)) for n in (*range(1, 11), 14, 15)]
    strike = Strike(10.1, frozenset({"teller-2"}))
    seen = measured([*other, *hit], [], [strike], 0.0, 12.0, 20.0)
    assert seen.recovery_s == pytest.approx(3.9)
    assert seen.during == pytest.approx(1.0, abs=0.2)
    assert seen.after == pytest.approx(1.0, abs=0.2)
    assert seen.pause_s == pytest.approx(0.5)
    silent = measured([*other, *hit[:10]], [], [strike], 0.0, 12.0, 20.0)
    assert (silent.recovery_s, silent.after) == (None, None)


def test_the_table_names_what_did_not_hold_and_keeps_what_was_not_played_now(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nstale\n| two | stale |\n| four | yes | 1.0 s |\n{END}\nafter\n")
    played = {
        "a": Played((), Measured(1.25, 0.9, None, 2.0, 1234), "a note"),
        "b": Played(("teller-1 | did\nnot serve",), None),
    }
    write(page, table({"a": "one", "b": "two", "c": "three", "d": "four"}, played, rows_of(page)))
    text = page.read_text()
    assert "| one | yes. a note | 1.2 s | 0.90 |  | 2.0 s | 1,234 |" in text
    assert "| two | **did not hold**: teller-1 / did not serve |" in text
    assert "| three | not played |" in text
    assert "| four | yes | 1.0 s |" in text
    assert "stale" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    (tmp_path / "bare.md").write_text("no marks")
    with pytest.raises(ValueError, match="no place for the table"):
        write(tmp_path / "bare.md", "")


def test_only_rows_that_there_are_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(["--only", "killed,lost"]).only == ["killed", "lost"]
    assert asked([]).only == []
    with pytest.raises(SystemExit) as end:
        asked(["--only", "flood"])
    assert end.value.code == 2
    assert "no row is called 'flood'" in capsys.readouterr().err
    assert {"killed", "hung-20", "unheard", "deaf", "lost", "head"} <= set(ROWS)


def test_an_undo_marks_its_intent(tmp_path: Path) -> None:
    class Told:
        intent = "ledger-0/1/1"
        args = (str(tmp_path),)

    unpost(Told())  # type: ignore[arg-type]
    assert (tmp_path / f"ledger-0+1+1{UNDONE}").exists()
