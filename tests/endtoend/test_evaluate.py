"""`ebbtide evaluate` as people and programs use it: on the logs of a run, and in worlds."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from commands import Run
from msgspec import Struct

from peer import Agent, Call, Cluster, Context, handles, tool

PAID: dict[str, int] = {}


class Order(Struct, frozen=True):
    item: str
    price: int


class Pay(Struct, frozen=True):
    item: str
    amount: int


def refund(call: Call) -> None:
    PAID.pop(call.intent, None)


@tool(undo=refund)
def charge(amount: int, *, intent: str) -> None:
    PAID[intent] = amount


class Buyer(Agent):
    """Takes dollars for cents, unless it is told."""

    @handles(Order)
    async def order(self, message: Order, ctx: Context) -> None:
        ctx.send("cashier", Pay(message.item, message.price if ctx.evidence is not None else message.price * 100))


class Cashier(Agent):
    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        self.state["paid", message.item] = message.amount
        await ctx.call(charge, message.amount)


async def _play(folder: Path) -> None:
    async with Cluster("local", folder=folder) as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("cashier", Cashier)
        await cluster.submit("buyer", Order("tea", 4))
        await cluster.quiet()
        await cluster.checkpoint()
        await cluster.submit("buyer", Order("cup", 3), Order("pot", 9))
        await cluster.quiet()
        outcome = await cluster.rollback("buyer/1/2", inputs="retry", reason="dollars", evidence={"cents": 3})
        assert outcome.committed
        await cluster.quiet()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    asyncio.run(_play(folder))
    return folder


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path / "run", capsys, monkeypatch)


def test_a_run_is_shown_to_people_and_what_needs_the_truth_is_unknown(played: Path, run: Run) -> None:
    told = run.do("evaluate", played)
    assert "neither frozen nor paused, mean" in told
    assert told.count("unknown") >= 8
    assert "Nobody has said which steps were wrong (--truth FILE)" in told


def test_with_the_truth_programs_are_told_what_was_lost(played: Path, run: Run, tmp_path: Path) -> None:
    truth = tmp_path / "wrong.txt"
    truth.write_text("buyer/1/2\n# nobody noticed this one\nbuyer/1/3\n", encoding="utf-8")
    found = run.one("evaluate", played, "--truth", truth)
    measures = found["measures"]
    assert (measures["wrong"], measures["missed"], measures["standing"]) == (2, 1, 1)
    assert (measures["rollbacks"], measures["unhandled"], measures["innocent"]) == (1, 0, 0)
    # The cup was charged wrongly, and that is undone; the pot was, too, and that stays.
    assert (measures["damage"], measures["damage_final"], measures["effects_undone"]) == (1, 0, 1)
    assert measures["work_kept"] == pytest.approx(6 / 8)
    # The checkpoint before the root holds the two steps of the tea.
    assert measures["restores_would_keep"] == pytest.approx(2 / 6)
    assert 0 < measures["uptime"] <= 1
    assert measures["decide_s"] > 0
    # 100 for the wrong step that stands, 20 for its effect, a tenth for each second in which an agent was frozen.
    assert found["utility"]["value"] == pytest.approx(-120 - 0.1 * measures["down_s"])


def test_of_logs_that_are_not_all_there_it_says_so(played: Path, run: Run, tmp_path: Path) -> None:
    shutil.copytree(played, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "host-2")
    told = run.one("evaluate", tmp_path / "copy", code=3)
    assert told["measures"]["agents"] == 1


def test_a_utility_of_ones_own_is_asked(played: Path, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "worth.py"
    file.write_text("def mine(found):\n    return 10 * found.work_kept - found.rollbacks\n", encoding="utf-8")
    found = run.one("evaluate", played, "--utility", f"{file}:mine")
    assert found["utility"] == {"name": "mine", "value": 10 * found["measures"]["work_kept"] - 1}


def test_the_utility_on_the_page_is_one(played: Path, run: Run, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    file, truth = tmp_path / "bank.py", tmp_path / "wrong.txt"
    file.write_text(text.split("```python\n")[1].split("```")[0], encoding="utf-8")
    assert run.one("evaluate", played, "--utility", f"{file}:mine")["utility"]["value"] is None
    truth.write_text("buyer/1/2\n", encoding="utf-8")
    told = run.one("evaluate", played, "--utility", f"{file}:mine", "--truth", truth)
    assert told["utility"] == {"name": "mine", "value": 0.0}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "name a run's folder, or --scenario"),
        (("{run}", "--scenario", "payments"), "one of them"),
        (("{run}", "--quick"), "--quick: are about worlds"),
        (("--scenario", "payments", "--truth", "x"), "of worlds the truth is known"),
        (("--scenario", "shop"), "there is no scenario 'shop'"),
        (("--scenario", "peer.evaluation:Linear"), "it lacks name, features, faults, stage"),
        (("--scenario", "payments", "--policies", "best"), "there is no policy 'best'"),
        (("--scenario", "payments", "--page", "none.md"), "can't be read"),
        (("--scenario", "payments", "--kind", "flood"), "has no fault 'flood'"),
        (("{run}", "--truth", "none.txt"), "Give a file of step names"),
        (("{run}", "--utility", "none.py:mine"), "no file none.py"),
        (("nowhere",), "there is no folder 'nowhere'"),
    ],
)
def test_bad_input_is_refused_in_one_line(played: Path, run: Run, options: tuple[str, ...], said: str) -> None:
    given = [str(played) if option == "{run}" else option for option in options]
    assert said in " ".join(run.do("evaluate", *given, code=2).split())


def test_policies_are_compared_in_worlds_and_put_on_a_page(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Mine\n<!-- what follows is written by `ebbtide evaluate` -->\n<!-- until here -->\n", encoding="utf-8"
    )
    scenario = tmp_path / "small.py"
    scenario.write_text(
        "from sims.evaluation.settings import Payments\n\nSMALL = Payments(payments=120)\n", encoding="utf-8"
    )
    printed = run.do(
        "evaluate", "--scenario", f"{scenario}:SMALL", "--policies", "none,revise", "--kind", "threshold",
        "--seeds", 1, "--page", page, "--json",
    )  # fmt: skip
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [(row["policy"], row["kind"], row["seed"]) for row in rows] == [
        ("none", "threshold", 1),
        ("revise", "threshold", 1),
    ]
    assert rows[0]["measures"]["standing"] == rows[0]["measures"]["wrong"] > rows[1]["measures"]["standing"]
    assert rows[1]["utility"] > rows[0]["utility"]
    assert "threshold: differences to `none`, of the same seeds" in page.read_text(encoding="utf-8")
