"""The checks of a restore see what they are for: each is shown a bank that is wrong in one way."""

from dataclasses import replace

import pytest

from sims.scenarios.payments.restore import Moment, Remembered, judge_restore

BEFORE = [("i1", 1, "a", 500, None)]
AFTER = [*BEFORE, ("i2", 2, "a", 700, None), ("undo:i2", 2, "a", -700, "i2")]
THEN = Moment({"ledger-1": {"balance": 500}}, {"ledger-1": {7: 50}}, BEFORE, {"intake": [], "ledger-1": []})
NOW = replace(THEN, books=AFTER, dead={"intake": ["ext:c#2"], "ledger-1": []})
CUTS = {"intake": {"last": "intake/1/1"}, "ledger-1": {"last": "ledger-1/1/1"}}


class Run:
    """What a check reads of an export: the steps, and which are undone."""

    def __init__(self, steps: list[str], undone: set[str]) -> None:
        self.lines = [{"step": step} for step in steps]
        self.by_step = {step: {} for step in steps}
        self.undone = undone


STEPS = ["intake/1/1", "ledger-1/1/1", "intake/1/2", "ledger-1/1/2"]
STOOD, BACK = Run(STEPS, set()), Run(STEPS, {"intake/1/2", "ledger-1/1/2"})


def failed(now: Moment = NOW, after: Run = BACK) -> list[str]:
    then = Remembered(3, THEN, {"intake": 1, "auditor": 0})
    checks = judge_restore(STOOD, after, CUTS, then, now, {"intake": 2, "auditor": 0})  # type: ignore[arg-type]
    assert len(checks) == 6
    return [check.name.removeprefix("restored: ") for check in checks if not check.passed]


def test_a_right_restore_passes() -> None:
    assert failed() == []


@pytest.mark.parametrize("state", [{"balance": 501}, {}, {"balance": 500, "more": None}])
def test_another_state_fails(state: dict[str, object]) -> None:
    assert failed(replace(NOW, states={"ledger-1": state})) == ["every agent's state is as it was"]


def test_another_counter_fails() -> None:
    assert failed(replace(NOW, exposure={"ledger-1": {7: 50, 8: 0}})) == ["the shared counters are as they were"]


@pytest.mark.parametrize(
    ("books", "names"),
    [
        (AFTER[:-1], ["the books stand as they did", "nothing done twice: each undone entry reversed once"]),
        ([*AFTER, ("twice", 2, "a", -700, "i2")], ["nothing done twice: each undone entry reversed once"]),
        ([*AFTER[:-1], ("undo:i2", 2, "a", -7, "i2")], ["nothing done twice: each undone entry reversed once"]),
        (
            [*AFTER, ("undo:i1", 1, "a", -500, "i1")],
            ["the books stand as they did", "nothing done twice: each undone entry reversed once"],
        ),
        (AFTER[1:], ["the books stand as they did", "nothing done twice: each undone entry reversed once"]),
    ],
    ids=["not reversed", "twice", "another amount", "one of before", "one of before is gone"],
)
def test_wrong_books_fail(books: list, names: list[str]) -> None:
    assert failed(replace(NOW, books=books)) == names


@pytest.mark.parametrize("dead", [[], ["ext:c#1", "ext:c#2"], ["ext:c#2", "ext:c#2"]])
def test_a_lost_an_early_and_a_doubled_dead_letter_fail(dead: list[str]) -> None:
    names = ["inputs taken on after the cut are dead letters"]
    assert failed(replace(NOW, dead={"intake": dead, "ledger-1": []})) == names


@pytest.mark.parametrize("undone", [{"intake/1/2"}, {"intake/1/2", "ledger-1/1/2", "ledger-1/1/1"}])
def test_too_little_and_too_much_undone_fail(undone: set[str]) -> None:
    assert failed(after=Run(STEPS, undone)) == ["undone is exactly what ran after the cut"]


def test_a_step_that_runs_after_the_restore_fails() -> None:
    steps = [*STEPS, "ledger-1/1/3"]
    assert failed(after=Run(steps, BACK.undone)) == ["undone is exactly what ran after the cut"]
