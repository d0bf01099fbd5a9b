"""Resources of one host: opened once, by whoever needs them first; closed at the end, or left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest

from peer import Call, DeclarationRefused, ResourceFailed, tool
from peer.agents import resources
from peer.agents.resources import Resources, key_of

TOLD: list[str] = []
FAILS = {"times": 0}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    TOLD.clear()
    FAILS["times"] = 0


@asynccontextmanager
async def open_pool() -> AsyncIterator[object]:
    task = asyncio.current_task()
    TOLD.append("opening")
    await asyncio.sleep(0)
    if FAILS["times"]:
        FAILS["times"] -= 1
        raise ConnectionError("no database")
    yield object()
    assert asyncio.current_task() is task
    TOLD.append("closed")


@contextmanager
def open_file() -> Iterator[str]:
    TOLD.append("opening")
    yield "file"
    TOLD.append("closed")


async def ended(held: Resources) -> None:
    held.end(is_orderly=True)
    await held.close()


@pytest.mark.parametrize("opens", [open_pool, open_file])
async def test_a_resource_is_opened_once_however_many_ask_at_once_and_closed_at_the_end(opens: Any) -> None:
    held = Resources()
    found = await asyncio.gather(*(held.get(opens) for _ in range(10)))
    assert len({id(each) for each in found}) == 1
    assert TOLD == ["opening"]
    await ended(held)
    assert TOLD == ["opening", "closed"]
    with pytest.raises(ResourceFailed, match="its host ends"):
        await held.get(opens)


async def test_an_opening_that_fails_is_an_error_of_all_who_wait_and_is_tried_again_by_the_next() -> None:
    FAILS["times"] = 1
    held = Resources()
    found = await asyncio.gather(*(held.get(open_pool) for _ in range(3)), return_exceptions=True)
    assert {str(error) for error in found} == {"resource open_pool could not be opened: ConnectionError: no database."}
    assert all(isinstance(error, ResourceFailed) and isinstance(error.__cause__, ConnectionError) for error in found)
    await held.get(open_pool)
    assert TOLD == ["opening", "opening"]
    await ended(held)


async def test_who_waits_may_be_cancelled_and_others_get_what_is_opened() -> None:
    held = Resources()
    first = asyncio.create_task(held.get(open_pool))
    second = asyncio.create_task(held.get(open_pool))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is await held.get(open_pool)
    with pytest.raises(asyncio.CancelledError):
        await first
    assert TOLD == ["opening"]
    await ended(held)


async def test_a_close_that_hangs_is_left_after_its_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def open_mud() -> AsyncIterator[str]:
        yield "mud"
        await asyncio.Event().wait()

    monkeypatch.setattr(resources, "CLOSE_S", 0.05)
    held = Resources()
    await held.get(open_mud)
    async with asyncio.timeout(20):
        await ended(held)
    assert "open_mud has not closed within 0.05 s" in caplog.text


async def test_a_close_that_fails_and_one_that_is_under_way_hold_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    @contextmanager
    def open_trap() -> Iterator[str]:
        yield "trap"
        raise SystemExit("not like that")

    held = Resources()
    await held.get(open_trap)
    opening = asyncio.create_task(held.get(open_pool))
    await asyncio.sleep(0)
    await ended(held)
    await opening
    assert TOLD == ["opening", "closed"]
    assert "open_trap was not closed well: SystemExit: not like that" in caplog.text


async def test_a_host_that_stops_dead_drops_what_is_open() -> None:
    held = Resources()
    await held.get(open_file)
    held.end(is_orderly=False)
    await held.close()
    async with asyncio.timeout(20):
        while TOLD != ["opening", "closed"]:
            await asyncio.sleep(0.01)


async def test_what_opens_no_context_manager_is_told_with_the_remedy() -> None:
    held = Resources()
    with pytest.raises(ResourceFailed, match="gave int, which is no context manager"):
        await held.get(partial(int, "7"))

    class Both(contextlib.AsyncExitStack):
        pass

    assert isinstance(await held.get(Both), Both)
    await ended(held)


async def test_a_stand_in_is_opened_in_place_of_a_resource() -> None:
    held = Resources({key_of(open_pool): open_file})
    assert await held.get(open_pool) == "file"
    await ended(held)


def test_a_function_of_a_module_is_one_resource_however_it_came_here() -> None:
    assert key_of(open_pool) != key_of(open_file)
    assert key_of(contextmanager(open_file.__wrapped__)) == key_of(open_file)  # type: ignore[attr-defined]
    one, two = partial(open, "a"), partial(open, "a")
    assert key_of(one) == key_of(one) != key_of(two)


def takes(db: Any) -> None: ...


async def coroutine() -> None: ...


def undo(call: Call) -> None: ...


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: tool(kind="pure", resources=["db"])(takes), "resources=.*a dict"),
        (lambda: tool(kind="pure", resources={"bd": open_pool})(takes), "parameter 'bd'"),
        (lambda: tool(kind="pure", resources={"intent": open_pool})(takes), "'intent'"),
        (lambda: tool(kind="pure", resources={"db": "pool"})(takes), "resource db is 'pool', which is no function"),
        (lambda: tool(kind="pure", resources={"db": coroutine})(takes), "resource db gives no context manager"),
        (lambda: tool(kind="pure", resources={"db": undo})(takes), "called without arguments"),
        (lambda: tool(undo=lambda call, db, other: None, resources={"db": open_pool})(takes), "is to take one"),
        (
            lambda: tool(kind="pure", resources={"db": open_pool})(lambda db, cents: None),
            "resource db is a parameter by",
        ),
        (lambda: tool(kind="pure", resources={"db": open_pool})(lambda db, *cents: None), r"\*, db"),
        (lambda: tool(kind="pure", resources={"db": open_pool})(lambda db, /: None), "it has no name"),
    ],
)
def test_what_is_no_resource_is_refused_where_it_is_declared(declare: Callable[[], Any], said: str) -> None:
    with pytest.raises(DeclarationRefused, match=said):
        declare()


@pytest.mark.parametrize(
    "function", [lambda cents, db: None, lambda cents, *, db: None, lambda cents, db, **more: None]
)
def test_a_resource_may_be_the_last_by_place(function: Callable[..., Any]) -> None:
    assert tool(kind="pure", resources={"db": open_pool})(function)
