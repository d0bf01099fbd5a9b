"""The exit codes of docs/guide/commands.md: an error that is foreseen is one line that names the value, and code 2."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peer.audit.console import console, errors
from peer.cli.main import main, tell

EBBTIDE = Path(sys.executable).with_name("ebbtide")
OLD = Path(__file__).parents[3] / "data" / "logs" / "0.1.0-sqlite"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(str(caught.value.code)), capsys.readouterr().err


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no log")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "log.db").write_text("no database")
    (tmp_path / "unreadable" / "log" / "00000001.seg").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("place", ["nowhere", "empty", "file", "junk", "unreadable"])
@pytest.mark.parametrize(
    "command", [("show",), ("why", "a/1/1"), ("cone", "a/1/1"), ("export",), ("compact",), ("sweep",), ("verify",)]
)
def test_what_is_no_log_is_one_line_that_names_it(
    places: Path, place: str, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    after = (places / "out", "--format", "csv") if command[0] == "export" else ()
    blobs = ("--blobs", places / "empty") if command[0] == "sweep" else ()
    code, said = run(capsys, "log", *command, places / place, *after, *blobs)
    if command[0] == "verify" and place in ("junk", "unreadable"):
        assert (code, said) == (1, "")
        return
    assert code == 2
    assert (said.startswith("error: "), len(said.splitlines())) == (True, 1)
    assert str(places) in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("log", "show", OLD, "nobody"), "no agent 'nobody', only buyer, cashier"),
        (("log", "why", "nobody/1/1", OLD), "no agent 'nobody', only buyer, cashier"),
        (("log", "why", "buyer", OLD), "not a step: 'buyer'"),
        (("log", "export", OLD, OLD / "host-1" / "host.key", "--format", "csv"), "nothing can be written to"),
        (("log", "new-key", OLD / "host-1" / "host.key"), "File exists"),
        (("log", "nothing"), "No such command 'nothing'"),
        (("log", "show", OLD, "--last", "x"), "'--last'"),
        (("nothing",), "No such command 'nothing'"),
        (("sim", "--seeds", "x"), "'x' is not FIRST:LAST"),
        (("demo", "--backend", "x"), "'x' is none of ray, local"),
    ],
)
def test_what_can_not_be_done_is_named(
    arguments: tuple[object, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, *arguments)
    assert code == 2
    assert named in " ".join(said.replace("│", " ").split())


def test_an_interrupted_command_exits_as_shells_expect(tmp_path: Path) -> None:
    following = subprocess.Popen(
        [EBBTIDE, "log", "follow", OLD, "--from-start"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A job of a shell's background would ignore it, and hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert following.stdout is not None
    assert following.stdout.readline().startswith(b"{")
    following.send_signal(signal.SIGINT)
    _, said = following.communicate(timeout=60)
    assert following.returncode == 130
    assert b"Traceback" not in said


def test_the_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ((), ("log",)):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        assert "130" in capsys.readouterr().out


def test_a_name_between_colons_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    tell(ValueError("no input ext:key:opening#1"))
    console().print("ext:key:opening#1")
    errors().print("ext:key:opening#1")
    shown = capsys.readouterr()
    assert [shown.out.count("ext:key:opening#1"), shown.err.count("ext:key:opening#1")] == [1, 2]
