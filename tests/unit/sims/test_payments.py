"""The payments scenario: its data, its team, its fault, and checks that can fail."""

import copy
import json
from pathlib import Path

import pytest

from sims.oracle import LoggedStep, cone, dependents, orphans
from sims.scenarios.payments import accounts
from sims.scenarios.payments.agents import Team, policy
from sims.scenarios.payments.checks import Log, judge
from sims.scenarios.payments.data import ROWS, Payment, load
from sims.scenarios.payments.fault import draw
from sims.scenarios.payments.serial import World, play


def test_payments_are_real_rows_in_order_of_their_dates() -> None:
    payments = load(500, seed=1)
    assert [payment.number for payment in payments] == list(range(1, 501))
    assert [payment.date for payment in payments] == sorted(payment.date for payment in payments)
    assert load(500, seed=1) == payments
    assert load(500, seed=2) != payments


def test_all_rows_can_be_loaded_and_those_of_amount_0_are_there() -> None:
    payments = load(ROWS, seed=1)
    assert len(payments) == ROWS
    assert sum(1 for payment in payments if payment.cents == 0) == 80


@pytest.mark.parametrize("count", [0, -1, ROWS + 1])
def test_a_number_of_payments_that_the_file_has_not_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        load(count, seed=1)


@pytest.mark.parametrize("agents", [5, 6, 7, 12, 13, 40])
def test_a_team_has_as_many_agents_as_asked_for(agents: int) -> None:
    team = Team.of(agents)
    assert team.risk + team.compliance + team.ledgers + 2 == agents
    assert min(team.risk, team.compliance, team.ledgers) >= 1
    for customer in range(1, 500):
        assert 1 <= int(team.risk_of(customer).rsplit("-", 1)[1]) <= team.risk
        assert 1 <= int(team.compliance_of(customer).rsplit("-", 1)[1]) <= team.compliance
        assert 1 <= int(team.ledger_of(customer).rsplit("-", 1)[1]) <= team.ledgers


def test_a_team_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        Team.of(4)


@pytest.mark.parametrize("kind", ["lax", "strict"])
def test_a_fault_lies_inside_the_run_and_comes_back_from_its_seed(kind: str) -> None:
    payments = load(400, seed=3)
    drawn = draw(kind, 3, payments, 4)
    assert drawn is not None
    assert drawn == draw(kind, 3, payments, 4)
    scorer, fault = drawn
    assert 1 <= scorer <= 4
    assert 1 < fault.first <= fault.last <= 400
    assert not fault.strikes(fault.first - 1)
    assert fault.strikes(fault.last)
    assert (fault.corrupted(policy(0)) > policy(0)) == (kind == "lax")
    assert draw("none", 3, payments, 4) is None


def test_an_entry_is_reversed_once_however_often_it_is_undone(tmp_path: Path) -> None:
    books = tmp_path / "books.db"
    accounts.post_entry.function(str(books), "a", 500, 1, intent="i")
    call = accounts.Call("i", (str(books), "a", 500, 1), {})
    assert accounts.entry_stands(call) == accounts.Happened("i")
    accounts.reverse_entry(call)
    accounts.reverse_entry(call)
    assert isinstance(accounts.entry_stands(call), accounts.NotHappened)
    assert accounts.balances(books) == {}
    assert [entry[3] for entry in accounts.entries(books)] == [500, -500]


def test_undoing_what_was_never_posted_posts_nothing(tmp_path: Path) -> None:
    books = tmp_path / "books.db"
    accounts.open_books(str(books)).close()
    accounts.reverse_entry(accounts.Call("i", (str(books), "a", 500, 1), {}))
    assert accounts.entries(books) == []


def test_the_serial_oracle_settles_holds_and_notes_every_payment(tmp_path: Path) -> None:
    payments = load(1500, seed=4)
    world = play(payments, {}, Team.of(12), tmp_path / "oracle.db")
    assert set(world.ends) == {payment.number for payment in payments}
    assert set(world.ends.values()) == {"settled", "held by risk", "held by compliance", "nothing to settle"}
    assert world.ledgers == world.balances
    settled = sum(p.cents for p in payments if world.ends[p.number] == "settled")
    assert sum(world.balances.values()) == settled


def test_the_serial_oracle_takes_each_step_in_its_place_though_messages_overtake_each_other(tmp_path: Path) -> None:
    team = Team.of(12)
    first, second = Payment(1, 5, "1997-01-02", 1, 7_000), Payment(2, 5, "1997-01-03", 1, 7_100)
    limits, scorer = team.compliance_of(5), team.risk_of(5)
    in_order = play([first, second], {}, team, tmp_path / "in-order.db")
    assert in_order.ends == {1: "settled", 2: "held by compliance"}
    order = {(scorer, 1): 0, (scorer, 2): 1, (limits, 2): 2, (limits, 1): 3}
    overtaken = play([first, second], order, team, tmp_path / "overtaken.db")
    assert overtaken.ends == {1: "held by compliance", 2: "settled"}


# -- the graph oracle


def test_a_cone_follows_inputs_and_reads_and_nothing_else() -> None:
    steps = [
        LoggedStep("a/1/1", None, ()),
        LoggedStep("b/1/1", "a/1/1", ()),
        LoggedStep("b/1/2", None, ("b/1/1",)),
        LoggedStep("b/1/3", None, ()),
        LoggedStep("c/1/1", "b/1/3", ()),
    ]
    assert cone(["a/1/1"], dependents(steps)) == {"a/1/1", "b/1/1", "b/1/2"}
    assert orphans(steps, {"a/1/1"}) == ["b/1/1"]
    assert orphans(steps, {"a/1/1", "b/1/1", "b/1/2"}) == []


# -- the checks can fail


def _line(step: str, producer: str | None, *, input_id: str = "", undone: str | None = None, time: int = 0) -> dict:
    return {
        "step": step,
        "input": {"id": input_id or f"{producer}#0", "producer": producer, "lineage": input_id or f"of {step}"},
        "reads": [],
        "writes": [],
        "sends": [],
        "calls": [],
        "clock": {step.split("/")[0]: [1, int(step.rsplit("/", 1)[1])]},
        "time": time,
        "retracted_by": undone,
    }


def _run_of_one() -> tuple[list[dict], list[dict]]:
    lines = [
        _line("intake/1/1", None, input_id="ext:c#1", time=1),
        _line("risk-1/1/1", "intake/1/1", undone="p", time=2),
        _line("ledger-1/1/1", "risk-1/1/1", undone="p", time=3),
        _line("auditor/1/1", "ledger-1/1/1", undone="p", time=4),
        _line("risk-1/1/2", "intake/1/1", time=5),
        _line("auditor/1/2", "risk-1/1/2", time=6),
    ]
    for line in lines:
        at = line
        while at["input"]["producer"] is not None:
            at = next(other for other in lines if other["step"] == at["input"]["producer"])
            line["clock"].update(at["clock"])
    lines[2]["calls"] = [{"tool": "post", "intent": "i", "effect": "compensable", "state": "undone"}]
    proposals = [{"id": "p", "roots": ["risk-1/1/1"], "decision": "commit"}]
    return lines, proposals


BOOKS = [("i", 1, "a", 500, None), ("undo:i", 1, "a", -500, "i")]


def _failed(folder: Path, lines: list[dict], proposals: list[dict], books: list = BOOKS, dead: int = 0) -> list[str]:
    (folder / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "proposals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in proposals))
    payments = load(1, seed=1)
    checks = judge(Log(folder), payments, World(), World(), {"auditor": {}}, books, dead)
    return [check.name for check in checks if not check.passed]


def test_a_right_run_passes(tmp_path: Path) -> None:
    assert _failed(tmp_path, *_run_of_one()) == []


def test_an_undone_step_too_much_or_too_little_fails(tmp_path: Path) -> None:
    lines, proposals = _run_of_one()
    more = copy.deepcopy(lines)
    more[5]["retracted_by"] = "p"
    assert "undone is exactly the true cone" in _failed(tmp_path, more, proposals)
    less = copy.deepcopy(lines)
    less[3]["retracted_by"] = None
    failed = _failed(tmp_path, less, proposals)
    assert "undone is exactly the true cone" in failed
    assert "orphans: 0" in failed
    assert "lost inputs: 0, doubled inputs: 0" in failed


def test_an_entry_that_stands_without_a_step_fails(tmp_path: Path) -> None:
    assert _failed(tmp_path, *_run_of_one(), books=BOOKS[:1]) == ["duplicate effects: 0, stray effects: 0"]


def test_a_lost_payment_and_a_dead_letter_fail(tmp_path: Path) -> None:
    lines, proposals = _run_of_one()
    assert _failed(tmp_path, lines[:-1], proposals) == ["lost inputs: 0, doubled inputs: 0"]
    assert _failed(tmp_path, lines, proposals, dead=1) == ["lost inputs: 0, doubled inputs: 0"]


def test_a_blind_clock_fails(tmp_path: Path) -> None:
    lines, proposals = _run_of_one()
    del lines[5]["clock"]["risk-1"]
    assert _failed(tmp_path, lines, proposals) == ["vector clocks are sound"]


def test_a_wrong_balance_fails(tmp_path: Path) -> None:
    lines, proposals = _run_of_one()
    (tmp_path / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "proposals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in proposals))
    seen, truth = World(balances={"a": 1}), World(balances={"a": 2})
    checks = judge(Log(tmp_path), load(1, seed=1), seen, truth, {"auditor": {7: 1}}, BOOKS, 0)
    assert [check.name for check in checks if not check.passed] == [
        "accounts equal the oracle's",
        "the ledgers' own balances equal the books",
        "exposure equals the oracle's, at every replica",
    ]
