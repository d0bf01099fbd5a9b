"""Threads for user code: as many as are needed, up to a bound; what ends a function reaches whoever awaits it."""

import asyncio
import contextlib
import contextvars
import logging
import os
import threading

import pytest

from peer.threads import Threads, in_thread


async def test_one_thread_does_what_comes_one_after_the_other() -> None:
    pool = Threads("test")
    for number in range(200):
        assert await in_thread(pool, lambda number=number: number) == number
    assert pool.count == 1


async def test_what_comes_together_runs_together_up_to_a_bound_and_the_rest_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool, at_once, lock = Threads("test", 4), [0, 0], threading.Lock()
    go = threading.Event()

    def work() -> None:
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        go.wait(10)
        with lock:
            at_once[0] -= 1

    with caplog.at_level(logging.WARNING):
        calls = [asyncio.ensure_future(in_thread(pool, work)) for _ in range(10)]
        while at_once[0] < 4:
            await asyncio.sleep(0.001)
        go.set()
        await asyncio.gather(*calls)
    assert (pool.count, at_once) == (4, [0, 4])
    assert "all 4 threads of test are taken" in caplog.text


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), StopIteration(), GeneratorExit()])
async def test_whatever_ends_a_function_is_raised_where_it_is_awaited(error: BaseException) -> None:
    def fails() -> None:
        raise error

    # A coroutine can't raise a StopIteration: Python makes a RuntimeError of it.
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    pool = Threads("test")
    with pytest.raises(expected):
        await in_thread(pool, fails)
    assert await in_thread(pool, lambda: 7) == 7


async def test_a_thread_has_its_callers_context_variables() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    variable.set("mine")
    assert await in_thread(Threads("test"), variable.get) == "mine"


async def test_one_who_is_cancelled_leaves_the_pool_whole() -> None:
    pool, go = Threads("test", 1), threading.Event()
    first = asyncio.ensure_future(in_thread(pool, go.wait, 10))
    second = asyncio.ensure_future(in_thread(pool, int))
    await asyncio.sleep(0.05)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    go.set()
    assert await in_thread(pool, lambda: 7) == 7


def test_a_child_of_a_fork_has_threads_of_its_own() -> None:
    pool = Threads("forked")
    assert pool.submit(lambda: 1).result(5) == 1
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(Exception):
            os.write(writer, str(pool.submit(lambda: 2).result(5)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert said.read() == "2"
    os.waitpid(child, 0)


async def test_where_no_thread_can_be_begun_nothing_waits_for_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, go, done = Threads("test", 2), threading.Event(), list[int]()
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", fails)
        with pytest.raises(RuntimeError, match="no thread can be begun for test"):
            await in_thread(pool, lambda: done.append(1))
    first = asyncio.ensure_future(in_thread(pool, lambda: go.wait(10)))
    await asyncio.sleep(0)
    # Beside one that is taken another is begun, as before.
    assert await asyncio.wait_for(in_thread(pool, lambda: 7), 5) == 7
    go.set()
    assert await first
    assert (done, pool.count) == ([], 2), "what was refused is not called later"
