"""One step acts on a database, a folder, a service and a queue; a rollback takes all of it back, over a kill too."""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as redis_client

from peer import Agent, Cluster, Context, handles
from peer.adapters import files, http, queues, sql
from peer.adapters.files import Folder
from peer.adapters.redis_queue import RedisQueue
from peer.adapters.sqlite import SQLite
from tests.adapters.servers import Shop, shop

PLACE: dict[str, Any] = {}


def open_base() -> SQLite:
    return SQLite(PLACE["folder"] / "books.db")


def open_folder() -> Folder:
    return Folder(PLACE["folder"])


def open_queue() -> RedisQueue:
    return RedisQueue(PLACE["redis"], PLACE["stream"])


@asynccontextmanager
async def open_client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=PLACE["shop"], timeout=60) as client:
        yield client


note = sql.change(
    "note",
    open_base,
    "INSERT INTO notes (item) VALUES (:item) RETURNING id",
    "DELETE FROM notes WHERE id = :id",
    rows=1,
)
write = files.write("write", open_folder)
order = http.request("order", open_client, "POST", "/orders", undo=http.Undo("DELETE", "/orders/{answer[id]}"))
publish = queues.publish("publish", open_queue)


class Buyer(Agent):
    @handles(str)
    async def buy(self, item: str, ctx: Context) -> None:
        await ctx.call(note, item=item)
        await ctx.call(write, "last.txt", item)
        await ctx.call(order, {"item": item})
        self.state["entry"] = await ctx.call(publish, item)


@pytest.fixture
def place(tmp_path: Path, redis: str) -> Iterator[Shop]:
    with shop() as (url, own):
        PLACE.update(folder=tmp_path, redis=redis, stream=f"s{uuid.uuid4()}", shop=url)
        with open_base() as base, base.transaction() as cursor:
            cursor.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, item TEXT)")
        yield own


def world(own: Shop) -> list[Any]:
    """Return the items that stand in the database, the file, the shop and the queue."""
    with open_base() as base, base.transaction(is_read=True) as cursor:
        cursor.execute("SELECT item FROM notes ORDER BY id")
        rows = [row["item"] for row in cursor.fetchall()]
    file = PLACE["folder"] / "last.txt"
    orders = [each["item"] for each in own.orders.values() if each["state"] == "open"]
    with redis_client.Redis.from_url(PLACE["redis"]) as client:
        entries: Any = client.xrange(PLACE["stream"])
    return [rows, file.read_text() if file.exists() else None, orders, [fields[b"body"] for _, fields in entries]]


@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_rollback_takes_back_the_row_the_file_the_order_and_the_entry(
    place: Shop, tmp_path: Path, is_killed: bool
) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.submit("buyer", "tea", "jam")
        await cluster.quiet()
        assert world(place) == [["tea", "jam"], "jam", ["tea", "jam"], [b"tea", b"jam"]]
        if is_killed:
            await cluster.kill("buyer")
        outcome = await cluster.rollback("buyer/1/2", inputs="discard")
        await cluster.quiet()
        assert outcome.committed
        assert world(place) == [["tea"], "tea", ["tea"], [b"tea"]]
        await cluster.rollback("buyer/1/1", inputs="discard")
        await cluster.quiet()
        assert world(place) == [[], None, [], []]
        assert await cluster.effects() == []
