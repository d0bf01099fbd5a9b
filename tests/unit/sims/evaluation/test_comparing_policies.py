"""Policies are compared by the same faults over the same seeds, and what is said of them is what was measured."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from peer.errors import CallerError
from peer.evaluation import Linear, Measures
from sims.detection.injection import Injection
from sims.evaluation import comparing
from sims.evaluation.comparing import Comparison, Run, compare
from sims.evaluation.contenders import STANDARD, Checking, contender_of, detectors_of
from sims.evaluation.intervals import Interval, interval, paired
from sims.evaluation.playing import normal_steps, played
from sims.evaluation.settings import Payments
from sims.evaluation.telling import BEGIN, END, check_page, table, write_page

SMALL = Payments(payments=120)
MADE_UP = replace(SMALL.faults["hallucination"], rate=0.3, seed=3)


@cache
def detectors() -> tuple[Any, ...]:
    return detectors_of(SMALL.features, normal_steps(SMALL, 1001))


@cache
def measured(name: str, delay_s: float = 0.02, error: float = 0.0) -> Measures:
    checking = Checking(delay_s, error)
    return played(SMALL, 3, MADE_UP, contender_of(name), detectors(), checking, 5.0)


def test_intervals_are_students_and_one_value_has_none() -> None:
    # By hand: a mean of 3, a deviation of 2, so 4.303 times 2 over the root of 3.
    assert interval([1, 3, 5]) == Interval(3, pytest.approx(4.969, abs=0.001), 3)
    assert interval([7]) == Interval(7, None, 1)
    assert interval([2.0] * 200).half == 0.0


def test_differences_are_paired_so_that_what_seeds_have_in_common_goes_out() -> None:
    found = paired([101, 202, 303], [100, 201, 302])
    assert (found.mean, found.half) == (1, 0)


def test_nobody_watches_and_every_wrong_step_is_missed() -> None:
    found = measured("none")
    assert found.wrong is not None
    assert found.wrong > 5
    assert (found.missed, found.standing, found.rollbacks) == (found.wrong, found.wrong, 0)
    assert (found.work_kept, found.uptime, found.innocent) == (1.0, 1.0, 0)


def test_a_watcher_that_revises_leaves_fewer_wrong_steps_and_fewer_inputs_unhandled_than_one_that_undoes() -> None:
    none, revise, undo = measured("none"), measured("revise"), measured("undo")
    assert none.standing is not None
    assert revise.standing is not None
    assert undo.standing is not None
    assert revise.standing < none.standing
    assert undo.standing < none.standing
    assert revise.rollbacks > 0
    assert revise.unhandled < undo.unhandled


def test_an_agent_that_looks_again_and_never_errs_saves_the_innocent() -> None:
    found = measured("confirm")
    assert found.rollbacks > 0
    assert found.innocent == 0


def test_one_that_always_errs_has_only_the_innocent_undone() -> None:
    found = measured("confirm", error=1.0)
    assert found.standing == found.wrong


def test_an_operator_who_goes_back_undoes_the_innocent_too_and_is_asked_for_minutes() -> None:
    found, none = measured("restore"), measured("none")
    assert found.restores > 0
    assert found.rollbacks == 0
    assert found.human_minutes == 5.0 * found.restores
    assert found.innocent is not None
    assert found.innocent > 50
    # What was undone has run again, rightly: the fault strikes an input once.
    assert found.wrong == none.wrong


def test_the_same_seed_gives_the_same_measures() -> None:
    again = played(SMALL, 3, MADE_UP, contender_of("revise"), detectors(), Checking(0.02, 0.0), 5.0)
    assert again == measured("revise")


def test_a_fault_that_strikes_nothing_is_refused() -> None:
    never = Injection("threshold", "slack", first=10_000)
    with pytest.raises(CallerError, match="has struck no step with seed 3"):
        played(SMALL, 3, never, contender_of("none"), detectors(), Checking(), 5.0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("revize", "there is no policy 'revize': it is one of none, revise"),
        ("no.such.module:Policy", "no module 'no.such.module'"),
        ("sims.evaluation.settings:Payments", "has no method rule"),
    ],
)
def test_what_is_no_policy_is_named(name: str, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        contender_of(name)


def test_a_policy_of_ones_own_is_taken_by_its_place() -> None:
    found = contender_of("peer.watching:ConfirmFirst")
    assert found.name == "ConfirmFirst"
    assert found.policy is not None


@pytest.mark.parametrize(("delay_s", "error"), [(-1, 0.1), (1, 1.5)])
def test_an_agent_that_looks_again_has_a_chance_and_a_time(delay_s: float, error: float) -> None:
    with pytest.raises(CallerError, match="errs with a chance from 0 to 1"):
        Checking(delay_s, error)


def _compared(contenders: str, seeds: list[int], kinds: list[str]) -> Comparison:
    chosen = [contender_of(name) for name in contenders.split()]
    return compare(SMALL, chosen, seeds, kinds, Linear(), Checking(), 5.0, train_seeds=(1001,))


@pytest.mark.parametrize(
    ("contenders", "seeds", "kinds", "said"),
    [
        ("none", [1], ["flood"], "payments has no fault 'flood', but: threshold"),
        ("none none", [1], [], "policies .*: name each once"),
        ("none", [1001], [], "seeds .*: name each once"),
        ("none", [1], ["drift", "drift"], "kinds .*: name each once"),
    ],
)
def test_what_cannot_be_compared_is_refused(contenders: str, seeds: list[int], kinds: list[str], said: str) -> None:
    with pytest.raises(CallerError, match=said):
        _compared(contenders, seeds, kinds)


def _made_up(monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """Compare without playing: the measures are those of one run, with another count of wrong steps that stand."""
    one = measured("none")
    standing = iter([4, 6, 1, 1])

    def play(*_: Any) -> Measures:
        stand = next(standing)
        return Measures(**{name: getattr(one, name) for name in Measures.__struct_fields__} | {"standing": stand})

    monkeypatch.setattr(comparing, "played", play)
    monkeypatch.setattr(comparing, "normal_steps", lambda *_: [])
    monkeypatch.setattr(comparing, "detectors_of", lambda *_: detectors())
    found = _compared("none revise", [1, 2], ["drift"])
    # Seeds come before contenders: 4 and 6 are of seed 1.
    assert [run.measures.standing for run in found.runs] == [4, 6, 1, 1]
    return found


def test_the_table_has_means_intervals_and_differences_of_the_same_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _made_up(monkeypatch)
    assert found.difference("drift", "revise", "standing") == Interval(1, pytest.approx(12.706), 2)
    told = table(found)
    assert "| wrong steps that stand | 2.50 ± 19.06 | 3.50 ± 31.76 |" in told
    assert "drift: differences to `none`, of the same seeds" in told
    assert "| `revise` |" in told
    assert "| time to decide, ms | – | – |" in told


def test_a_measure_that_is_known_of_some_runs_only_says_of_how_many() -> None:
    one = measured("none")
    known = Measures(**{name: getattr(one, name) for name in Measures.__struct_fields__} | {"decide_s": 0.5})
    runs = (Run("drift", "none", 1, one, None), Run("drift", "none", 2, known, -1.0))
    found = Comparison("payments", ("none",), ("drift",), (1, 2), (), "mine", runs)
    assert "| time to decide, ms | 500.0 (1) |" in table(found)
    assert "| utility | −1.00 (1) |" in table(found)


def test_tables_are_put_between_the_marks_and_a_page_without_them_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    check_page(page)
    write_page(_made_up(monkeypatch), page, "ebbtide evaluate", "so it was")
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n\n`ebbtide evaluate`: so it was\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    page.write_text(END + BEGIN, encoding="utf-8")
    with pytest.raises(CallerError, match="Add them"):
        check_page(page)
    with pytest.raises(CallerError, match="can't be read"):
        check_page(tmp_path / "none.md")


def test_every_standard_contender_can_be_made() -> None:
    assert [contender_of(name).name for name in STANDARD] == list(STANDARD)
