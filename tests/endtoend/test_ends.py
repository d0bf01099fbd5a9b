"""Programs that are told to end do so in order: the exit code names the signal, and nothing acknowledged is lost."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peer import Agent, CallerError, Cluster

HERE = Path(__file__).parent / "ends"
EBBTIDE = Path(sys.executable).with_name("ebbtide")
BACKENDS = ["local", pytest.param("ray", marks=pytest.mark.ray)]
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


@contextmanager
def running(*command: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a session of its own, so that a signal can go to all of its processes."""
    program = subprocess.Popen(
        list(map(str, command)), cwd=HERE, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield program
    finally:
        if program.poll() is None:
            program.kill()
            program.communicate()


def rest_of(program: subprocess.Popen[str]) -> tuple[str, str]:
    """Return what a program still prints, and its errors, once it has ended.

    `communicate` would miss lines that have been read ahead.
    """
    assert program.stdout is not None
    assert program.stderr is not None
    rest, errors = program.stdout.read(), program.stderr.read()
    program.wait(timeout=60)
    return rest, errors


def keep(backend: str, folder: Path, *how: str) -> tuple[object, ...]:
    return (sys.executable, "keep.py", backend, folder, *how)


OF_RAY = re.compile(r"\[\d{4}-\d\d-\d\d .*\] \w+\.cc:\d+: ")
"""A line that Ray's core writes."""


def said(text: str) -> list[str]:
    """Return what a program has said on stderr, less what Ray says of its own settings and processes."""
    return [line for line in text.splitlines() if "Token authentication" not in line and not OF_RAY.match(line)]


@pytest.mark.parametrize("to_all", [False, True])
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_that_is_told_to_end_ends_in_order_and_keeps_what_it_has_acknowledged(
    backend: str, number: signal.Signals, to_all: bool, tmp_path: Path
) -> None:
    with running(*keep(backend, tmp_path, "go")) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if int(line) == 5:
                break
        (os.killpg if to_all else os.kill)(program.pid, number)
        rest, errors = rest_of(program)
    assert (program.returncode, said(errors)) == (CODES[number], [])
    acknowledged = max([5, *map(int, rest.split())])
    with running(*keep(backend, tmp_path, "look")) as again:
        kept, errors = again.communicate(timeout=60)
    assert (again.returncode, said(errors)) == (0, [])
    seen = list(map(int, kept.split()))
    # The next one may have been taken, and not acknowledged any more.
    assert seen in (list(range(acknowledged + 1)), list(range(acknowledged + 2)))


def test_whoever_catches_ctrl_c_still_does(tmp_path: Path) -> None:
    with running(*keep("local", tmp_path, "go", "catch")) as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.send_signal(signal.SIGINT)
        rest, errors = rest_of(program)
    assert (program.returncode, rest.split()[-1], errors) == (0, "caught", "")


@pytest.mark.parametrize("stage", ["starting agents", "settling payments"])
@pytest.mark.parametrize("number", CODES)
def test_the_demo_ends_when_it_is_told_to_and_leaves_nothing_behind(
    number: signal.Signals, stage: str, tmp_path: Path
) -> None:
    command = (EBBTIDE, "demo", "--backend", "local", "--report", tmp_path / "report.html")
    with running("env", f"TMPDIR={tmp_path}", *command) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if stage in line:
                break
        program.send_signal(number)
        _, errors = rest_of(program)
    assert (program.returncode, errors) == (CODES[number], "")
    assert not list(tmp_path.glob("ebbtide-*"))


async def test_a_block_that_goes_on_after_the_signal_ends_with_it_and_its_own_error_is_not_hidden() -> None:
    reached: list[str] = []

    async def program(fails: bool) -> None:
        async with Cluster("local"):
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                reached.append("after")
                if fails:
                    raise ValueError("while ending") from None

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"):
        await program(False)
    with pytest.raises(ValueError, match="while ending"):
        await program(True)
    assert reached == ["after", "after"]
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_signal_ends_every_cluster_of_the_program_and_a_handler_of_the_programs_own_is_left_alone() -> None:
    outer, inner = Cluster("local"), Cluster("local")

    async def program() -> None:
        async with outer, inner:
            await inner.spawn("a", Agent)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    with pytest.raises(SystemExit, match="143"):
        await program()
    for cluster in (outer, inner):
        with pytest.raises(CallerError, match="has ended"):
            await cluster.quiet()
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        async with Cluster("local"):
            os.kill(os.getpid(), signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
