"""Runs of user code that end the process: who is struck, who waits for whom, and who is refused."""

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from peer.agents import attempts as attempts_module
from peer.agents.attempts import Attempts
from peer.errors import ProcessEnded

_UNDER_WAY: list[AbstractAsyncContextManager[None]] = []
"""What has ended with its process: nothing of it ever runs again, not even as garbage."""


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts_module, "ENDS_MIN", 1)


def begin(path: Path) -> Attempts:
    return Attempts(path / "attempts")


def die(attempts: Attempts) -> None:
    """End the process, as far as its file can tell."""
    assert attempts._handle is not None
    os.close(attempts._handle)


async def enter(attempts: Attempts, name: str, tries: int = 3) -> AbstractAsyncContextManager[None]:
    run = attempts.noted(name, tries)
    await run.__aenter__()
    _UNDER_WAY.append(run)
    return run


async def leave(run: AbstractAsyncContextManager[None]) -> None:
    await run.__aexit__(None, None, None)


async def test_what_was_under_way_as_often_as_it_may_is_refused_until_it_is_pardoned(
    tmp_path: Path,
) -> None:
    for _ in range(3):
        attempts = begin(tmp_path)
        await leave(await enter(attempts, "other"))
        await enter(attempts, "pill")
        die(attempts)
    attempts = begin(tmp_path)
    with pytest.raises(ProcessEnded, match="has ended 3 times"):
        await enter(attempts, "pill")
    with pytest.raises(ProcessEnded):
        await enter(attempts, "pill")
    attempts.pardon("pill")
    await leave(await enter(attempts, "pill"))
    die(attempts)
    await leave(await enter(begin(tmp_path), "pill"))


async def test_a_refusal_lasts_over_lives_since_what_came_of_it_may_be_lost_unless_it_forgives(tmp_path: Path) -> None:
    for forgives in (False, True):
        name = f"pill {forgives}"
        attempts = begin(tmp_path)
        await enter(attempts, name, 1)
        die(attempts)
        attempts = begin(tmp_path)
        with pytest.raises(ProcessEnded):
            await attempts.noted(name, 1, forgives).__aenter__()
        die(attempts)
        attempts = begin(tmp_path)
        if forgives:
            await leave(await enter(attempts, name, 1))
        else:
            with pytest.raises(ProcessEnded):
                await enter(attempts, name, 1)
        die(attempts)


async def test_those_that_were_struck_run_one_after_the_other_and_the_innocent_are_acquitted(tmp_path: Path) -> None:
    attempts = begin(tmp_path)
    for name in ("slow", "pill", "slower"):
        await enter(attempts, name)
    die(attempts)
    attempts = begin(tmp_path)
    slow = await enter(attempts, "slow")
    waiting = [asyncio.ensure_future(enter(attempts, name)) for name in ("pill", "slower")]
    await leave(await enter(attempts, "new"))
    assert not any(task.done() for task in waiting), "those that were struck wait for each other, and nobody else does"
    await leave(slow)
    await waiting[0]
    die(attempts)
    for _ in range(2):
        attempts = begin(tmp_path)
        await leave(await enter(attempts, "slow", tries=1))
        if _ == 0:
            await enter(attempts, "pill")
            die(attempts)
    with pytest.raises(ProcessEnded):
        await enter(attempts, "pill")
    await leave(await enter(attempts, "slower"))
    waiting[1].cancel()


async def test_nobody_is_refused_who_was_never_alone_when_the_process_ended(tmp_path: Path) -> None:
    attempts = begin(tmp_path)
    await enter(attempts, "a", 1)
    await enter(attempts, "b", 1)
    die(attempts)
    attempts = begin(tmp_path)
    await enter(attempts, "a", 1)
    die(attempts)
    attempts = begin(tmp_path)
    with pytest.raises(ProcessEnded):
        await enter(attempts, "a", 1)
    await leave(await enter(attempts, "b", 1))


async def test_who_was_struck_does_not_wait_for_ever_behind_one_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.agents.attempts.TURN_S", 0.02)
    attempts = begin(tmp_path)
    for name in ("hangs", "other"):
        await enter(attempts, name)
    die(attempts)
    attempts = begin(tmp_path)
    await enter(attempts, "hangs")
    await leave(await enter(attempts, "other"))


@pytest.mark.parametrize("how", ["close", "excuse"])
async def test_what_runs_when_the_process_is_ended_on_purpose_is_not_struck(tmp_path: Path, how: str) -> None:
    for _ in range(3):
        attempts = begin(tmp_path)
        run = await enter(attempts, "long", 1)
        getattr(attempts, how)()
        await leave(run)
        await enter(attempts, "long", 1)
        if how == "excuse":
            die(attempts)
    await leave(await enter(begin(tmp_path), "long", 1))


def test_what_holds_the_loop_is_noted_as_well(tmp_path: Path) -> None:
    attempts = begin(tmp_path)
    with attempts.noted_now("__init__", 1):
        die(attempts)
        attempts._handle = None
    with pytest.raises(ProcessEnded), begin(tmp_path).noted_now("__init__", 1):
        pass


async def test_one_kill_from_outside_is_never_the_end_of_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "ENDS_MIN", 3)
    for _ in range(3):
        attempts = begin(tmp_path)
        await enter(attempts, "once", 1)
        die(attempts)
    with pytest.raises(ProcessEnded):
        await enter(begin(tmp_path), "once", 1)


async def test_a_second_process_with_the_same_folder_notes_nothing(tmp_path: Path) -> None:
    first, second = begin(tmp_path), begin(tmp_path)
    await enter(first, "mine", 1)
    await enter(second, "theirs", 1)
    die(first)
    attempts = begin(tmp_path)
    await leave(await enter(attempts, "theirs", 1))
    with pytest.raises(ProcessEnded):
        await enter(attempts, "mine", 1)


async def test_a_damaged_list_gives_all_their_tries_again_and_a_disk_that_fails_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "attempts.json").write_bytes(b"{")
    (tmp_path / "attempts").write_bytes(b"torn")
    attempts = begin(tmp_path)
    assert "is damaged, and ignored" in caplog.text

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(attempts._files, "write", full)
    for _ in range(2):
        await leave(await enter(attempts, "a"))
    assert caplog.text.count("runs can't be noted") == 1


async def test_places_are_used_again_and_many_at_once_have_places_of_their_own(tmp_path: Path) -> None:
    attempts = begin(tmp_path)
    runs = [await enter(attempts, f"{number}") for number in range(50)]
    for run in runs:
        await leave(run)
    for number in range(1000):
        await leave(await enter(attempts, f"again {number}"))
    assert (tmp_path / "attempts").stat().st_size == 50 * 16
