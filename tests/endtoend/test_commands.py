"""Every command on one live cluster, the same on both backends: what it tells programs, and what it tells people."""

import json
import os
import re
import selectors
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from peer.cli.main import GROUP
from peer.trust.rights import OF_HOSTS
from peer.trust.token import Token
from tests.endtoend.commands import EBBTIDE, HERE, LOCAL, Run

BACKENDS = ["local", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.timeout(400)])]
MILK = '{"item": "milk", "price": 5}'

Told = list[Any]


class Live(NamedTuple):
    """A cluster that is up, and what the commands before have told."""

    backend: str
    folder: Path
    program: "subprocess.Popen[str] | None"
    told: dict[str, Any]


class Try(NamedTuple):
    """A command, and what there is to see of it."""

    command: str
    """`{letter}` is the dead letter, or the request, that a command before has told of; `{place}` is a folder."""
    is_right: Callable[[Told], object]
    """Of what it tells programs."""
    words: str = ""
    """Among what it tells people; empty for what can't be done twice."""
    code: int = 0
    keeps: Callable[[Told], dict[str, Any]] = lambda told: {}


CHECKS = {"keys", "disk", "room", "libzmq", "ray", "reached", "clocks", "versions", "ports", "dashboard"}

TABLE = [
    Try("ps", lambda rows: [(row["host"], row["state"], row["agents"]) for row in rows] == [
        ("host-1", "up", ["buyer"]), ("host-2", "up", ["cashier"])], "host-2"),
    Try("health", lambda rows: rows[0]["ok"] and [row["host"] for row in rows[0]["hosts"]] == ["host-1", "host-2"],
        "host-2: ok"),
    Try("health --live --host host-1", lambda rows: len(rows[0]["hosts"]) == 1, "host-1: ok"),
    Try("doctor", lambda rows: {row["verdict"] for row in rows} <= {"ok", "warn"} and {
        row["check"] for row in rows} >= CHECKS, "2 hosts answer"),
    Try("drain host-1", lambda rows: True, "nobody keeps copies of its logs", code=2),
    Try("drain host-1 --cancel", lambda rows: (rows[0]["host"], rows[0]["draining"]) == ("host-1", False),
        "host-1 takes inputs"),
    Try("health --host nobody", lambda rows: True, "no host 'nobody'", code=2),
    Try(f"submit buyer --as Order '{MILK}' --key k", lambda rows: rows[0]["inputs"] == ["ext:key:k#1"]),
    Try(f"submit buyer --as Order '{MILK}' --key k", lambda rows: rows[0]["repeated"] == 1, "1 of them before"),
    Try("submit cashier -- -1", lambda rows: rows[0]["agent"] == "cashier"),
    Try("status", lambda rows: (rows[0]["hosts_up"], rows[0]["silent"]) == (2, {}), "2 of 2 up"),
    Try("agents", lambda rows: {row["agent"]: row["steps"] for row in rows} == {"buyer": 2, "cashier": 2}, "buyer"),
    Try("steps buyer", lambda rows: [row["step"] for row in rows] == ["buyer/1/1", "buyer/1/2"], "buyer/1/2"),
    Try("steps buyer --handled Order --standing --last 1", lambda rows: [row["step"] for row in rows] == ["buyer/1/2"],
        "buyer/1/2"),
    Try("steps buyer --confidence-below 1", lambda rows: rows == [], "no steps"),
    Try("state cashier", lambda rows: rows == [{"key": "paid", "value": 11}], "paid"),
    Try("state buyer --at buyer/1/1", lambda rows: rows[0] == {"key": "spent", "value": 4}, "spent"),
    Try("dead cashier", lambda rows: "nobody is paid" in rows[0]["why"], "nobody is paid",
        keeps=lambda rows: {"letter": rows[0]["name"]}),
    Try("redrive cashier {letter} --yes", lambda rows: rows[0]["again"].endswith("/again")),
    Try("redrive cashier --all --drop --yes", lambda rows: rows[0]["error"] == ""),
    Try("dead cashier", lambda rows: rows == [], "no dead letters"),
    Try("notices cashier", lambda rows: "dead-letter" in {row["notice"] for row in rows}, "nobody is paid"),
    Try("logs --agent buyer --level INFO", lambda rows: [(row["step"], row["text"]) for row in rows] == [
        ("buyer/1/1", "bought tea"), ("buyer/1/2", "bought milk")], "INFO corner_shop: bought milk"),
    Try("logs --agent cashier", lambda rows: "stdout" in {row["stream"] for row in rows}, "refusing -1"),
    Try("traces", lambda rows: {row["name"] for row in rows} >= {"invoke_agent buyer", "invoke_agent cashier"},
        "invoke_agent buyer"),
    Try("top --rounds 1", lambda rows: [row["agent"] for row in rows[0]["agents"]] == ["buyer", "cashier"], "2 agents"),
    Try("checkpoint", lambda rows: rows[0]["epoch"] == 1),
    Try("check {shop}/invariants.py:PAID", lambda rows: rows == [], "1 invariant holds at checkpoint 1"),
    Try("check {shop}/invariants.py:WRONG", lambda rows: True, "nobody has paid 100", code=1),
    Try("check {shop}/invariants.py:WRONG --to buyer", lambda rows: True, "buyer is no watcher", code=2),
    Try("check {shop}/invariants.py:PAID --epoch 9", lambda rows: True, "those from 1 to 1 can be", code=2),
    Try("check {shop}/invariants.py:NONE", lambda rows: True, "no list of invariants", code=2),
    Try("preview buyer/1/2", lambda rows: rows[0]["steps"] == ["buyer/1/2", "cashier/1/2"], "would undo 2 steps"),
    Try("effects --settled", lambda rows: {row["state"] for row in rows} == {"done"}, "charge"),
    Try("rollback buyer/1/2 --inputs discard --reason sour --yes",
        lambda rows: rows[0]["committed"] and rows[0]["undone"] == ["buyer/1/2", "cashier/1/2"]),
    Try("steps buyer --undone", lambda rows: [row["step"] for row in rows] == ["buyer/1/2"], "buyer/1/2"),
    Try("effects", lambda rows: rows == [], "no effects"),
    Try("restore 1 --yes --reason back", lambda rows: (rows[0]["epoch"], rows[0]["restore"]) == (1, 1)),
    Try("state cashier", lambda rows: rows == [{"key": "paid", "value": 5}], "paid"),
    Try("status", lambda rows: rows[0]["restores"] == 1, "restores"),
    Try("notices cashier", lambda rows: "restored" in {row["notice"] for row in rows}, "restored"),
    Try("submit buyer sale", lambda rows: rows[0]["agent"] == "buyer"),
    Try("requests buyer", lambda rows: [(row["tool"], row["args"]) for row in rows] == [
        ("corner_shop:announce", ["sale"])], "corner_shop:announce",
        keeps=lambda rows: {"letter": rows[0]["request"]}),
    Try("release buyer {letter} --note now", lambda rows: rows[0]["state"] == "released"),
    Try("requests", lambda rows: rows == [], "nothing waits to be let go"),
    Try("state buyer", lambda rows: {"key": "announced", "value": "sale"} in rows, "announced"),
    Try("release buyer nothing --note now", lambda rows: True, "has no request 'nothing'", code=2),
    Try("people add eve --role boss --key {place}/eve.key", lambda rows: rows[0]["roles"] == ["boss"], "eve signs"),
    Try("pause buyer --note lunch", lambda rows: rows[0]["state"] == "paused", "buyer is paused"),
    Try("submit buyer '[\"When do we close?\"]'", lambda rows: rows[0]["agent"] == "buyer"),
    Try("inbox", lambda rows: rows == [], "nobody is asked"),
    Try("agents", lambda rows: "lunch" in rows[0]["absence"], "lunch"),
    Try("resume buyer --as {place}/eve.key", lambda rows: rows[0]["state"] == "resumed", "buyer is resumed"),
    Try("inbox --for boss", lambda rows: rows[0]["question"] == "When do we close?", "When do we close?",
        keeps=lambda rows: {"letter": rows[0]["request"]}),
    Try("inbox --for clerk", lambda rows: rows == []),
    Try("approve buyer {letter} --as {place}/eve.key", lambda rows: True, "asks for an answer", code=2),
    Try("answer buyer {letter} early", lambda rows: True, "asks boss, and not whoever has not signed", code=2),
    Try("answer buyer {letter} never --as {place}/eve.key", lambda rows: True, "is none of the answers", code=2),
    Try("answer buyer {letter} early --as {place}/eve.key", lambda rows: rows[0]["state"] == "answered", "is answered"),
    Try("reject buyer {letter} --as {place}/eve.key", lambda rows: True, "is answered by eve already", code=2),
    Try("state buyer", lambda rows: {"key": "closes", "value": "early, says eve"} in rows, "early, says eve"),
    Try("inbox", lambda rows: rows == [], "nobody is asked"),
    Try("tier cashier", lambda rows: (rows[0]["tier"], rows[0]["tiers"]) == ("alone", ["alone", "barred"]), "barred"),
    Try("tier cashier barred", lambda rows: True, "say why: --note", code=2),
    Try("tier cashier free --note so", lambda rows: True, "but these: alone, barred", code=2),
    Try("tier cashier barred --note lunch --as {place}/eve.key",
        lambda rows: (rows[0]["tier"], rows[0]["by"], rows[0]["note"]) == ("barred", "eve", "lunch"), "is barred"),
    Try("agents", lambda rows: [row["tier"] for row in rows] == ["", "barred"], "barred"),
    Try("tier cashier alone --note back", lambda rows: rows[0]["tier"] == "alone", "cashier is alone"),
    Try("sagas", lambda rows: rows == [], "no sagas"),
    Try("sagas buyer --fail trip --why late", lambda rows: rows[0]["state"] == "fails", "saga trip of buyer fails"),
    Try("sagas --fail trip", lambda rows: True, "name the agent", code=2),
    Try("cancel buyer ext:key:k#1 --why late", lambda rows: True, "called off"),
    Try("cancel buyer ext:key:opening#1 --why late", lambda rows: True, "roll that step back", code=1),
    Try("compensate buyer/1/1 --reason sour --yes", lambda rows: len(rows[0]["countered"]) == 1, "nothing was to be"),
    Try("compensate buyer/1/99 --reason sour --yes", lambda rows: True, "no step", code=2),
    Try("preview buyer/1/99", lambda rows: True, "no step", code=2),
    Try("move buyer cashier", lambda rows: True, "'buyer' is the last one on its host", code=2),
    Try("even-out", lambda rows: rows == [], "nobody had to move"),
    Try("workflow graph {place}/run --reach buyer.Order",
        lambda rows: {"buyer.Order", "cashier.int"} <= {*rows[0]["asked"]["falls"]}, "a wrong step of buyer.Order"),
    Try("workflow check {place}/run", lambda rows: True, "announce", code=1),
    Try("workflow loops {place}/run", lambda rows: rows == [{"loops": []}], "no agents undo each other"),
    Try("suspect buyer/1/1 --to cashier --why odd", lambda rows: True, "cashier is no watcher", code=2),
    Try("suspicions cashier", lambda rows: rows == [], "has doubted nothing"),
    Try("overturn buyer/1/1 --why fine", lambda rows: rows[0]["reinstated"] == "stands", "buyer/1/1: stands"),
    Try("submit byer 1", lambda rows: True, "Did you mean 'buyer'?", code=2),
    Try("people add zed --may look:* --key {place}/zed.key", lambda rows: rows[0]["roles"] == [], "zed signs"),
    Try("people add zed --may look --key {place}/zed.key", lambda rows: True, "'look'", code=2),
    Try("access members", lambda rows: [(row["agents"], row["may"], row["out"]) for row in rows if row["agents"]] == [
        (1, [*OF_HOSTS], "")] * 2, ", ".join(OF_HOSTS)),
    Try("access token desk --may look:*", lambda rows: Token.of(rows[0]["token"]).chain[-1].may == ("look:*",),
        "ebbtide-token-", keeps=lambda rows: {"letter": Token.of(rows[0]["token"]).chain[-1].id}),
    Try("access revoke {letter} --why lost --yes", lambda rows: rows[0]["hosts"] >= 1, "hosts have it"),
    Try("access revoke desk --why lost --yes", lambda rows: True, "`ebbtide access members` lists them", code=2),
    Try("notices cashier", lambda rows: "grant-revoke" in {row["notice"] for row in rows}, "lost"),
    Try("access rotate --yes", lambda rows: rows[0]["hosts"] >= 2, "hosts have new grants"),
    Try("resume buyer --as {place}/eve.key", lambda rows: True, "grant", code=2),
]  # fmt: skip
"""In this order: what is done shows in what comes after."""

GROUPS = ("access", "people", "workflow")
"""Commands that have commands of their own."""

FOLLOWED = {
    "notices cashier --follow --json": ("dead-letter", "notice"),
    "logs --follow --agent cashier --json": ("refusing -3", "text"),
    "watch --kind dead_letters --json": ("DeadLettered", "event"),
    "top --every 0.05 --json": (1, "checkpoint"),
}
"""Commands that go on: what they come to tell, and in which field."""


@pytest.fixture(scope="module", params=BACKENDS)
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    place = tmp_path_factory.mktemp("live")
    folder, bank = place / "run", place / "bank"
    bank.mkdir()
    env = os.environ | {"EBBTIDE_FOLDER": str(folder), "BANK": str(bank)}
    up = [EBBTIDE, "up", HERE / "corner_shop.py"]
    with ExitStack() as ends:
        program = None
        if request.param == "local":
            program = subprocess.Popen([*up, *LOCAL], env=env, text=True, stdout=subprocess.PIPE)
            ends.callback(program.kill)
            assert program.stdout is not None
            assert any(line == "the shop is open\n" for line in program.stdout)
        else:
            ends.callback(subprocess.run, [EBBTIDE, "down"], env=env, capture_output=True, check=False)
            subprocess.run(up, env=env, check=True, capture_output=True)
        yield Live(request.param, folder, program, {"place": place, "shop": HERE})


@pytest.fixture
def run(live: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(live.folder, capsys, monkeypatch)


@pytest.mark.parametrize("tried", TABLE, ids=lambda tried: tried.command)
def test_a_command_of_the_table(live: Live, run: Run, tried: Try) -> None:
    command = [
        word.format(**live.told) if re.match(r"\{[a-z]+\}", word) else word for word in shlex.split(tried.command)
    ]
    if tried.code == 0:
        run.rest()
        name, rest = (command[:2], command[2:]) if command[0] in GROUPS else (command[:1], command[1:])
        told = [json.loads(line) for line in run.do(*name, "--json", *rest).splitlines()]
        assert tried.is_right(told), told
        live.told.update(tried.keeps(told))
    if tried.words:
        assert tried.words in " ".join(run.do(*command, code=tried.code).split())


def test_what_goes_on_tells_what_comes_until_interrupted(live: Live, run: Run) -> None:
    programs = {
        command: subprocess.Popen(
            [EBBTIDE, *command.split()], text=True, stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        for command in FOLLOWED
    }  # fmt: skip
    try:
        for command, (wanted, field) in FOLLOWED.items():
            program = programs[command]
            _poke_until_it_tells(run, program)
            assert program.stdout is not None
            assert any(json.loads(line)[field] == wanted for line in program.stdout), command
            program.send_signal(signal.SIGINT)
            assert program.wait(30) == 130
    finally:
        for program in programs.values():
            program.kill()
            program.wait()


def _poke_until_it_tells(run: Run, program: "subprocess.Popen[str]") -> None:
    """Do what all of them tell, until one does: it says nothing when it begins."""
    with selectors.DefaultSelector() as ready:
        assert program.stdout is not None
        ready.register(program.stdout, selectors.EVENT_READ)
        run.do("submit", "cashier", "--", "-3")
        while not ready.select(0.5):
            run.do("submit", "cashier", "--", "-3")


def test_people_act_over_http_until_who_serves_is_interrupted(live: Live, run: Run) -> None:
    key = live.told["place"] / "zoe.key"
    run.do("people", "add", "zoe", "--role", "boss", "--key", key)
    program = subprocess.Popen(
        [EBBTIDE, "people", "serve", "--listen", "127.0.0.1:0", "--json"], text=True, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert program.stdout is not None
        there = ("--url", json.loads(program.stdout.readline())["url"], "--as", key)
        assert "runs on" in run.do("people", "serve", "--listen", "127.0.0.1:0", code=2)
        assert json.loads(run.do("pause", "buyer", "--note", "lunch", "--json", *there))["state"] == "paused"
        assert "is resumed" in run.do("resume", "buyer", *there)
        assert json.loads(run.do("tier", "cashier", "barred", "--note", "so", "--json", *there))["by"] == "zoe"
        assert "cashier is alone" in run.do("tier", "cashier", "alone", "--note", "so", *there)
        assert "nobody is asked" in run.do("inbox", *there)
        assert "has no request 'nothing'" in run.do("approve", "buyer", "nothing", *there, code=2)
        assert "add --as KEY" in run.do("inbox", "--url", there[1], code=2)
        assert "cashier is no watcher" in run.do(
            "suspect", "buyer/1/1", "--to", "cashier", "--why", "x", *there, code=2
        )
        done = json.loads(run.do("overturn", "buyer/1/1", "--why", "fine", "--json", *there))
        assert (done["step"], done["reinstated"]) == ("buyer/1/1", "stands")
        assert "leave --by out" in run.do("overturn", "buyer/1/1", "--why", "x", "--by", "eve", *there, code=2)
        assert "--as goes with --url" in run.do("overturn", "buyer/1/1", "--why", "x", "--as", key, code=2)
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == 130
    finally:
        program.kill()
        program.wait()


def test_down_ends_it_and_what_was_printed_is_still_there(live: Live, run: Run) -> None:
    done = subprocess.run([EBBTIDE, "down"], capture_output=True, text=True, check=False)
    assert (done.returncode, "has ended; its folder stays" in done.stdout) == (0, True), done.stderr
    if live.program is not None:
        assert live.program.wait(60) == 143
    assert "no cluster runs in" in run.do("ps", code=2)
    assert "bought milk" in run.do("logs", "--agent", "buyer", "--last", 0)
    subprocess.run([EBBTIDE, "log", "verify", live.folder], check=True, capture_output=True)


def test_every_command_on_a_running_cluster_is_in_the_table() -> None:
    named = (
        {tried.command.split()[0] for tried in TABLE}
        | {command.split()[0] for command in FOLLOWED}
        | {"up", "down", "drill"}
    )
    rooms = ("peer.running.", "peer.workflows.")
    ours = {command.name for command in entry_points(group=GROUP) if command.value.startswith(rooms)}
    assert named == ours
