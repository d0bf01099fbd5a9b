"""A cluster that is started, asked, changed and ended on the command line, as people and programs do it."""

import json
import os
import re
import selectors
import signal
import subprocess
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from peer.cli.main import GROUP
from tests.endtoend.commands import EBBTIDE, HERE, LOCAL, Run


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path / "run", capsys, monkeypatch)


def test_every_command_answers_people_and_programs(run: Run) -> None:
    with run.up() as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "the shop is open\n"
        assert [(row["host"], row["state"], row["agents"], row["process"]) for row in run.told("ps")] == [
            ("host-1", "up", ["buyer"], program.pid), ("host-2", "up", ["cashier"], program.pid),
        ]  # fmt: skip
        taken = run.one("submit", "buyer", "--as", "Order", '{"item": "milk", "price": 5}', "--key", "k")
        assert (taken["inputs"], taken["repeated"]) == (["ext:key:k#1"], 0)
        assert "1 of them before" in run.do(
            "submit", "buyer", "--as", "Order", '{"item": "milk", "price": 5}', "--key", "k"
        )
        run.do("submit", "cashier", "--", "7", "-1")
        run.rest()
        assert {row["agent"]: (row["host"], row["steps"]) for row in run.told("agents")} == {
            "buyer": ("host-1", 2), "cashier": ("host-2", 3),
        }  # fmt: skip
        assert run.told("state", "buyer") == [
            {"key": "spent", "value": 9}, {"key": ["last", "item"], "value": "milk"},
        ]  # fmt: skip
        assert run.told("state", "buyer", "--at", "buyer/1/1")[0] == {"key": "spent", "value": 4}
        assert run.one("state", "cashier") == {"key": "paid", "value": 19}
        assert [line["step"] for line in run.told("steps", "buyer")] == ["buyer/1/1", "buyer/1/2"]
        assert [line["step"] for line in run.told("steps", "buyer", "--handled", "Order", "--last", 1)] == ["buyer/1/2"]
        assert (
            run.told("steps", "buyer", "--handled", "Pay") == run.told("steps", "buyer", "--confidence-below", 1) == []
        )
        (letter,) = run.told("dead", "cashier")
        assert "nobody is paid for buying" in letter["why"]
        _redrive(run, letter["name"])
        assert {notice["agent"] for notice in run.told("notices", "cashier")} == {"cashier"}
        for command in ("ps", "status", "agents", "steps buyer", "state cashier", "dead cashier", "notices cashier"):
            assert any(word in run.do(*command.split()) for word in ("buyer", "cashier", "paid", "hosts"))
        assert run.one("checkpoint") == {"epoch": 1}
        _watch(run)
        _undo(run)
        _settle(run)
        _go_back(run)
        assert "has ended; its folder stays" in run.do("down")
        assert program.wait(60) == 143
    assert "nothing runs in" in run.do("down")
    subprocess.run([EBBTIDE, "log", "verify", run.folder], check=True, capture_output=True)


def _redrive(run: Run, name: str) -> None:
    """Have a dead letter handled again, in vain; then drop it."""
    assert "no dead letter 'other'" in run.do("redrive", "cashier", "other", code=2)
    assert "say --all" in run.do("redrive", "cashier", code=2)
    assert run.one("redrive", "cashier", name, "--yes") == {"name": name, "again": f"{name}/again", "error": ""}
    run.rest()
    assert [letter["name"] for letter in run.told("dead", "cashier")] == [f"{name}/again"]
    assert run.one("cancel", "cashier", f"{name}/again") == {"name": f"{name}/again", "error": ""}
    handled = name.replace("#2", "#1")
    assert "has become step cashier/" in run.do("cancel", "cashier", handled, "--why", "late", code=1)
    assert "no input 'other'" in run.do("cancel", "cashier", "other", code=1)
    assert "dropped" in run.do("redrive", "cashier", "--all", "--drop", answer="y\n")
    assert run.told("dead", "cashier") == []


def _watch(run: Run) -> None:
    """Look twice: rates are known from the second look on."""
    first, second = run.told("top", "--rounds", 2, "--every", 0.05)
    assert [row["steps_a_second"] for row in first["agents"]] == [None, None]
    assert [(row["agent"], row["steps"], row["steps_a_second"]) for row in second["agents"]] == [
        ("buyer", 2, 0.0), ("cashier", 3, 0.0),
    ]  # fmt: skip
    assert (second["undecided"], second["checkpoint"]) == (0, 1)
    shown = run.do("top", "--rounds", 1)
    assert "2 agents, 5 steps, 0.0 a second, 0 undecided, 0 effects pending, checkpoint 1" in shown


def _undo(run: Run) -> None:
    """Undo a step, asked first; its payment can't be paid back yet."""
    plan = run.one("preview", "buyer/1/2")
    assert plan["steps"][0] == "buyer/1/2"
    assert "would undo" in run.do("preview", "buyer/1/2")
    assert "would undo" in run.do("rollback", "buyer/1/2", answer="n\n", code=1)
    assert "Nobody has answered" in run.do("rollback", "buyer/1/2", code=2)
    assert run.one("preview", "buyer/1/2") == plan
    (run.bank / "closed").touch()
    outcome = run.one("rollback", "buyer/1/2", "--inputs", "discard", "--reason", "sour", "--yes")
    assert outcome["committed"]
    assert sorted(outcome["undone"]) == plan["steps"]
    assert run.told("state", "buyer")[0] == {"key": "spent", "value": 4}
    assert [line["step"] for line in run.told("steps", "buyer", "--undone")] == ["buyer/1/2"]
    assert [line["step"] for line in run.told("steps", "buyer", "--standing")] == ["buyer/1/1"]
    amended = run.one(
        "rollback", "buyer/1/1", "--inputs", "amend", "--as", "Order", "--amend", '{"item": "tea", "price": 3}', "--yes"
    )
    assert amended["committed"]
    assert "no step" in run.do("preview", "buyer/1/99", code=2)


def _settle(run: Run) -> None:
    """Look at the effects that wait for the bank, try one again, and settle another."""
    found = run.told("effects")
    assert {effect["agent"] for effect in found} == {"cashier"}
    assert run.told("effects", "buyer") == []
    assert "the bank is closed" in run.do("effects", "cashier")
    first, *others = [effect["intent"] for effect in found]
    assert run.one("effects", "settle", first, "--gone", "--note", "paid back by hand") == {
        "intent": first, "state": "undone",
    }  # fmt: skip
    for intent in others:
        run.do("effects", "retry", intent)  # in vain as yet: once the bank is open it may be undone before it is asked
    (run.bank / "closed").unlink()
    run.rest()
    assert run.told("effects") == []
    assert first in {effect["intent"] for effect in run.told("effects", "--settled")}
    assert "say --happened or --gone" in run.do("effects", "settle", first, code=2)


def _go_back(run: Run) -> None:
    """Take all agents back to a checkpoint, asked first."""
    epoch = run.one("checkpoint")["epoch"]
    before = run.told("state", "buyer")
    run.do("submit", "buyer", "--as", "Order", '{"item": "ink", "price": 9}')
    run.rest()
    shown = run.do("restore", epoch, answer="n\n", code=1)
    assert re.search(r"buyer\W+1\b", shown)
    assert run.told("state", "buyer") != before
    done = run.one("restore", epoch, "--yes", "--reason", "no ink")
    assert (done["epoch"], done["restore"]) == (epoch, 1)
    assert run.told("state", "buyer") == before
    assert run.one("status")["restores"] == 1
    run.do("restore", epoch + 50, "--yes", code=1)


def test_what_cant_be_done_on_a_running_cluster_is_one_line(run: Run) -> None:
    with run.up():
        for command, named in (
            (("submit", "buyer", "3"), "'3' is of type int, and Buyer handles Order"),
            (("submit", "buyer", "3", "--as", "Pay"), "buyer handles no 'Pay', only Order"),
            (("submit", "buyer", "{}", "--as", "Order"), "'{}' is no Order"),
            (("submit", "byer", "3"), "Did you mean 'buyer'?"),
            (("state", "buyer", "--at", "buyer/1/9"), "buyer/1/9"),
            (("rollback", "buyer/1/1", "--inputs", "amend"), "takes one step and its corrected message"),
            (("rollback", "buyer/1/1", "--inputs", "keep", "--yes"), "keep"),
            (("effects", "retry", "cashier/none/0"), "cashier/none/0"),
            (("up", HERE / "larger.py", *LOCAL), "in use by process"),
        ):
            said = run.do(*command, code=2)
            assert (named in said, len(said.splitlines())) == (True, 1), said


def test_notices_are_followed_until_interrupted(run: Run) -> None:
    with run.up():
        following = subprocess.Popen(
            [EBBTIDE, "notices", "cashier", "--follow"], text=True, stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        run.do("submit", "cashier", "--", "-1")
        assert following.stdout is not None
        assert any("nobody is paid for buying" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 130


def test_what_is_printed_and_logged_is_kept_and_followed_and_read_when_it_is_down(run: Run) -> None:
    assert "is no folder of a cluster" in run.do("logs", code=2)
    with run.up() as program:
        run.do("submit", "buyer", "--as", "Order", '{"item": "milk", "price": 5}')
        run.do("submit", "cashier", "--", "-1")
        run.rest()
        assert ("the shop is open", "", "stdout") in [
            (line["text"], line["agent"], line["stream"]) for line in run.told("logs")
        ]
        bought = run.told("logs", "--agent", "buyer", "--level", "INFO")
        assert [(line["text"], line["level"], line["logger"], line["step"]) for line in bought] == [
            ("bought tea", "INFO", "corner_shop", "buyer/1/1"), ("bought milk", "INFO", "corner_shop", "buyer/1/2"),
        ]  # fmt: skip
        failed = [line for line in run.told("logs", "--level", "warning") if line["agent"] == "cashier"]
        assert "ValueError: nobody is paid for buying" in failed[0]["text"]
        lines = run.told("logs", "--agent", "cashier")
        assert {line["stream"] for line in lines if line["text"] == "refusing -1"} == {"stdout"}
        charged = [line for line in lines if line["text"].startswith("charging")]
        assert [line["step"] for line in charged] == ["cashier/1/1", "cashier/1/2"]
        assert all(line["intent"].startswith(f"cashier/{line['lineage']}/") for line in charged)
        following = subprocess.Popen(
            [EBBTIDE, "logs", "--follow", "--agent", "buyer"], text=True, stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        assert following.stdout is not None
        assert "bought tea" in following.stdout.readline()
        run.do("submit", "buyer", "--as", "Order", '{"item": "ink", "price": 2}')
        assert any("buyer/1/3 INFO corner_shop: bought ink" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 130
        run.do("down")
        assert program.wait(60) == 143
        assert program.stderr is not None
        assert "bought" not in program.stderr.read()  # nobody has asked for that on the terminal
    assert "bought ink" in run.do("logs", "--last", 5, "--agent", "buyer")
    assert "none of" in run.do("logs", "--level", "LOUD", code=2)


def test_what_happens_is_told_as_it_happens(run: Run) -> None:
    with run.up():
        watching = subprocess.Popen(
            [EBBTIDE, "watch", "--kind", "steps", "--kind", "dead_letters", "--agent", "cashier", "--json"],
            text=True, stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        assert watching.stdout is not None
        # It says nothing when it begins, so something is done until it tells of that.
        step = json.loads(_first_line(watching, lambda: run.do("submit", "cashier", "1")))
        assert (step["kind"], step["event"], step["handled"]) == ("steps", "StepMade", "int")
        run.do("submit", "cashier", "--", "-1")
        letter = next(found for found in map(json.loads, watching.stdout) if found["kind"] == "dead_letters")
        assert (letter["agent"], "nobody is paid for buying" in letter["reason"]) == ("cashier", True)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
        assert "kinds names 'step'" in run.do("watch", "--kind", "step", code=2)


def _first_line(program: "subprocess.Popen[str]", do: Callable[[], object]) -> str:
    """Do something again and again until a program prints a line; return that."""
    assert program.stdout is not None
    with selectors.DefaultSelector() as ready:
        ready.register(program.stdout, selectors.EVENT_READ)
        while not ready.select(0.2):
            do()
    return program.stdout.readline()


def test_up_goes_on_after_a_kill_and_tells_who_is_not_named_any_more(run: Run) -> None:
    with run.up() as program:
        run.do("submit", "buyer", "--as", "Order", '{"item": "milk", "price": 5}')
        run.rest()
        state = run.told("state", "cashier")
        program.kill()
    said = run.do("ps", code=2)
    assert ("no cluster runs in" in said, len(said.splitlines())) == (True, 1)
    assert "nothing runs in" in run.do("down")
    with run.up():
        assert run.told("state", "cashier") == state
        run.do("down")
    with run.up("larger.py") as program:
        assert run.told("state", "buyer")[0]["value"] == 9
        assert run.told("state", "buyer-2") == []
        found = run.one("status", code=1)
        assert (found["hosts"], found["hosts_up"]) == (3, 2)
        assert {row["host"]: row["state"] for row in run.told("ps", code=1)}["host-2"] == "down"
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 130
        assert program.stderr is not None
        (note,) = program.stderr.read().splitlines()
        assert "cashier has lived in host-2, and larger.py does not name it" in note
    with run.up():
        assert run.told("state", "cashier") == state


def test_what_is_done_after_the_start_may_fail_and_is_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("async def main(cluster):\n    raise ValueError('no milk')\n")
    done = subprocess.run([EBBTIDE, "up", tmp_path / "app.py", *LOCAL], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: no milk"


def test_a_folder_without_a_cluster_is_named(run: Run) -> None:
    run.folder.mkdir()
    for command in ("ps", "status", "agents", "steps a", "submit a 1", "down", "effects", "checkpoint", "dead a"):
        said = run.do(*command.split(), code=2)
        assert (str(run.folder) in said, len(said.splitlines())) == (True, 1)


def test_a_shell_completes_commands() -> None:
    asked = {"_EBBTIDE_COMPLETE": "complete_bash", "COMP_WORDS": "ebbtide che", "COMP_CWORD": "1"}
    done = subprocess.run([EBBTIDE], env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["check", "checkpoint"]


def test_every_command_is_in_the_guide_and_teaches_by_an_example(run: Run) -> None:
    guide = (HERE.parents[2] / "docs" / "guide" / "commands.md").read_text(encoding="utf-8")
    commands = entry_points(group=GROUP)
    assert all(f"ebbtide {command.name}" in guide for command in commands)
    for name in (command.name for command in commands if command.value.startswith("peer.running.")):
        assert f"ebbtide {name}" in run.do(name, "--help").replace("Usage: ebbtide", ""), name


def test_a_drill_tries_the_undos_of_a_file_and_tells_by_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "drilled_shop.py").write_text(
        "from ebbtide import Agent, Call, Canary, Context, handles, tool\n"
        "ROWS: list[str] = []\nOTHERS: list[str] = []\n"
        "def drop(call: Call) -> None:\n    ROWS.clear()\n"
        "def keep(call: Call) -> None:\n    pass\n"
        "@tool(undo=drop, canary=Canary(('x',), look=lambda: list(ROWS)))\n"
        "def good(row: str) -> None:\n    ROWS.append(row)\n"
        "@tool(undo=keep, canary=Canary(('x',), look=lambda: list(OTHERS)))\n"
        "def bad(row: str) -> None:\n    OTHERS.append(row)\n"
        "class Shop(Agent):\n    @handles(str)\n    async def row(self, message: str, ctx: Context) -> None:\n"
        "        await ctx.call(good, message)\n        await ctx.call(bad, message)\n"
        "agents = {'shop': Shop}\n",
        encoding="utf-8",
    )
    asked = [EBBTIDE, "drill", "drilled_shop.py", "--json", "--log", "drills.jsonl"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    rows = {row["tool"].rpartition(":")[2]: row["outcome"] for row in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, rows) == (1, {"good": "holds", "bad": "fails"}), done.stderr
    asked = [EBBTIDE, "drill", "drilled_shop.py", "--tool", "good", "--log", "drills.jsonl"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "holds" in done.stdout
    assert len((tmp_path / "drills.jsonl").read_text(encoding="utf-8").splitlines()) == 3
