"""The effects benchmark: its oracle, its plan, and that Ebbtide's part runs, is killed, and goes on."""

from pathlib import Path

import pytest

from benchmarks.effects.accounting import cone, judge_chatter, judge_orders
from benchmarks.effects.chatter import OUTSIDE, Entry, Mind, Word, names_of
from benchmarks.effects.ledger import Books, Ledger, Provider
from benchmarks.effects.orders import BETWEEN, POINTS, Fault, Plan, Trial, as_json, plan_orders, read_plan
from benchmarks.effects.systems import ALL, Bench
from benchmarks.effects.tables import COLUMNS, as_markdown, as_page, tables, write_into

MEMOS = ("Payment of order o, take 1", "For your order o, take 2")


def paid(order: str, number: int) -> dict[str, object]:
    return {"paid": f"payment-{number}", "order": order}


def entry(agent: str, at: int, word: str, by: str, order: str = "", sent: tuple[str, ...] = ()) -> Entry:
    return Entry(agent, at, word, by, f"{word}#0", order, sent)


def test_a_provider_takes_a_key_once_and_gives_back_once(tmp_path: Path) -> None:
    books = Books(tmp_path / "ledger.jsonl")
    told = {"order": "o", "amount": 5, "memo": "m", "idempotency_key": "k"}
    assert books.handle("pay", told) == books.handle("pay", told | {"memo": "other words"})
    assert books.handle("pay", told | {"idempotency_key": None}) != books.handle("lookup", {"idempotency_key": "k"})
    give_back = {"payment": None, "idempotency_key": "k"}
    assert [books.handle("refund", give_back), books.handle("refund", give_back)] == [True, False]
    assert books.handle("lookup", {"idempotency_key": "k"}) is None
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 3


def test_the_providers_books_outlive_it(tmp_path: Path) -> None:
    provider = Provider(tmp_path / "ledger.jsonl")
    try:
        ledger = Ledger(provider.port)
        payment = ledger.pay("o", 5, "m")
        assert ledger.refund(payment)
        with pytest.raises(ValueError, match="no_such"):
            ledger._ask("pay", {"no_such": 1})
    finally:
        provider.close()
    assert [sorted(each) for each in provider.entries()] == [
        ["amount", "key", "memo", "order", "paid"],
        ["order", "refunded"],
    ]


def test_payments_are_judged_by_the_plan() -> None:
    trials = [
        Trial("twice", 1, MEMOS), Trial("never", 1, MEMOS), Trial("anew", 1, MEMOS, is_wrong=True),
        Trial("left", 1, MEMOS, is_wrong=True, is_withdrawn=True),
    ]  # fmt: skip
    books = [paid("twice", 1), paid("twice", 2), paid("anew", 3), {"refunded": "payment-3", "order": "anew"}]
    books += [paid("anew", 4), paid("left", 5), paid("of nobody", 6)]
    found = judge_orders(trials, books)
    assert (found["duplicates"], found["lost"], found["uncompensated"]) == (1, 1, 2)
    assert (found["twice_at_once"], found["paid"], found["refunded"]) == (1, 6, 1)


def test_what_hangs_on_a_run_that_is_gone_is_an_orphan() -> None:
    before = [
        entry("a", 0, "in", OUTSIDE, sent=("x",)), entry("b", 0, "x", "in#0", "pay-x", ("y",)),
        entry("c", 0, "y", "x#0", "pay-y"), entry("c", 1, "z", OUTSIDE), entry("d", 0, "far", OUTSIDE),
    ]  # fmt: skip
    assert cone(before, "x#0") == {"x#0", "y#0", "z#0"}
    books = [paid("pay-x", 1), paid("pay-y", 2)]
    good = judge_chatter(["in", "z", "far"], before, before, None, books)
    assert {name for name, count in good.items() if count} == {"steps"}
    # The agent b has gone back and forgotten, c has not, and d was taken along.
    after = [each for each in before if each.agent not in ("b", "d")]
    bad = judge_chatter(["in", "z", "far"], before, after, "x#0", books)
    assert (bad["orphan_messages"], bad["orphan_payments"], bad["lost_messages"], bad["needless"]) == (1, 2, 2, 1)
    assert bad["still_there"] == 0
    twice = judge_chatter(["in", "z", "far"], before, before, "x#0", [*books, paid("pay-x", 3)])
    assert (twice["duplicates"], twice["still_there"]) == (1, 1)
    assert judge_chatter(["in", "z", "far"], before, before, None, books[:1])["lost_payments"] == 1


@pytest.mark.parametrize("goes_back", [False, True])
def test_a_rate_strikes_that_share_and_a_plan_is_the_same_for_all(goes_back: bool) -> None:
    plan = plan_orders("seed", 200, 0.3, 50, goes_back)
    assert plan == plan_orders("seed", 200, 0.3, 50, goes_back) == read_plan(as_json(plan))
    trials = [trial for batch in plan.batches for trial in batch]
    assert sum(trial.is_wrong for trial in trials) == (60 if goes_back else 0)
    if not goes_back:
        assert len(plan.faults) == 60
        assert [sum(fault.point == point for fault in plan.faults.values()) for point in POINTS] == [20, 20, 20]
    assert plan_orders("seed", 200, 0.0, 50, goes_back).faults == {}


def test_a_second_thought_is_another_run() -> None:
    word = Word("t0-1", OUTSIDE, 1)
    mind = Mind("seed")
    first, second = (mind.think(word, names_of(0), "t0-a0") for _ in range(2))
    assert first.run != second.run
    assert not {sent.id for _, sent in first.sends} & {sent.id for _, sent in second.sends}
    assert Mind("seed").think(word, names_of(0), "t0-a0") == first


def test_ebbtide_pays_once_through_kills_and_going_back(tmp_path: Path) -> None:
    trials = (
        Trial("killed", 1, MEMOS), Trial("plain", 2, MEMOS), Trial("reworded", 3, MEMOS, is_wrong=True),
        Trial("withdrawn", 4, MEMOS, is_wrong=True, is_withdrawn=True),
    )  # fmt: skip
    ended: list[None] = []
    plan = Plan((trials,), {"killed": Fault(1, BETWEEN), "reworded": Fault(2, BETWEEN)})
    found = Bench(None, tmp_path).orders(ALL["ebbtide"], plan, "seed", lambda: ended.append(None))
    assert (found["kills"], found["struck_between"], len(ended)) == (1, 2, 4)
    assert [found[name] for name in ("duplicates", "lost", "uncompensated", "twice_at_once")] == [0, 0, 0, 0]


def test_ebbtide_leaves_no_orphans_and_the_results_become_a_page(tmp_path: Path) -> None:
    bench = Bench(None, tmp_path)
    found = bench.chatter(ALL["ebbtide"], "seed", 2, [1], 2, lambda: None)
    assert found["rolled_back"] == 1
    wrong = ("orphan_messages", "orphan_payments", "duplicates", "lost_payments", "lost_messages", "needless")
    assert [found[name] for name in (*wrong, "handled_twice", "still_there")] == [0] * 8
    assert [each.name for each in bench.contenders("chatter")] == ["ebbtide"]
    row = {field: 1234 for columns in COLUMNS.values() for field, _ in columns} | found
    results = {
        "machine": {"cores": 2, "system": "a", "python": "b"}, "load": [0.1], "versions": bench.versions, "trials": 2,
        "rates": [0.0, 0.3], "seed": "seed", "minutes": 1.0,
        "experiments": {kind: {"ebbtide": [row, row], "dbos-key": [{"failed": "so"}, row]} for kind in COLUMNS},
    }  # fmt: skip
    for table in tables(results):
        assert len(as_markdown(table).splitlines()) == 4 + table.row_count == 6
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- written by the benchmark: begin -->\nold\n<!-- written by the benchmark: end -->\nafter\n"
    )
    write_into(page, as_page(results))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| failed / 1,234 |" in text
    page.write_text("no place")
    with pytest.raises(ValueError, match="no lines"):
        write_into(page, "x")
