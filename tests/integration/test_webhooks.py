"""What comes to wait for people is posted to each address, once it takes it, over restarts, with an id that stays."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from peer import Agent, Cluster, ConfigInvalid, Context, Overseer, Person, Result, handles
from peer.serving.webhooks import checked_urls, shown
from tests.integration.test_people_over_http import served


class Desk(Agent):
    overseers = (Overseer("boss", steps=1),)

    @handles(str)
    async def ask(self, message: str, ctx: Context) -> None:
        ctx.ask_person(message, then=self.told, to="ann", escalate={0.3: "director"}, options=["yes", "no"])

    async def told(self, result: Result, ctx: Context) -> None:
        self.state["told"] = result.value


class Receiver:
    """A real server; each post is answered as `says` has it."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.keys: set[str] = set()
        """Of all tries."""
        self.says: Callable[[int], int] = lambda count: 204
        self.count = 0

    def ids(self) -> list[str]:
        return [post["id"] for _, post in self.posts]


@contextmanager
def receiving(receiver: Receiver) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            receiver.count += 1
            status = receiver.says(receiver.count)
            receiver.keys.add(self.headers["idempotency-key"])
            if status < 300:
                receiver.posts.append((self.headers["idempotency-key"], body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?token=hidden"
    finally:
        server.shutdown()
        server.server_close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not holds():
            await asyncio.sleep(0.01)


async def test_what_waits_is_posted_once_over_restarts_and_a_dead_receiver_holds_up_nobody(tmp_path: Path) -> None:
    folder, receiver = tmp_path / "run", Receiver()
    receiver.says = lambda count: 503 if count == 1 else 204
    with receiving(receiver) as url:
        async with Cluster("local", folder=folder, listen=True) as cluster:
            await cluster.spawn("desk", Desk)
            async with served(folder, ("http://127.0.0.1:9/dead", url)):
                await cluster.submit("desk", "ship it?")
                await until(lambda: len(receiver.posts) == 2)
            (key, post), (_, reminder) = receiver.posts
            if post["is_reminder"]:
                (_, reminder), (key, post) = receiver.posts
            (box,) = await cluster.inbox()
            assert key == post["id"] != reminder["id"]
            assert (post["kind"], post["agent"], post["request"]) == ("question", "desk", box.name)
            assert (post["asked"], post["question"], post["options"]) == (["ann"], "ship it?", ["yes", "no"])
            assert (post["since_us"], post["until_us"]) == (box.since_us, None)
            assert (reminder["asked"], reminder["is_reminder"]) == (["director"], True)

            async with served(folder, (url,)):
                wanted = asyncio.create_task(cluster.rollback("desk/1/1", inputs="discard"))
                await until(lambda: receiver.posts[-1][1]["kind"] == "rollback")
            asked = receiver.posts[-1][1]
            assert (asked["asked"], asked["agent"]) == (["boss"], "desk")
            # A post that was taken just when the server ended may come again, by the same id.
            assert len(set(receiver.ids())) == 3
            boss = Person.enrol(folder, "zoe", "boss", key=tmp_path / "zoe.key")
            await cluster.approve("desk", asked["request"], as_=boss)
            assert (await wanted).committed


async def test_what_was_asked_while_nobody_served_is_posted_and_what_is_answered_is_posted_no_more(
    tmp_path: Path,
) -> None:
    folder, receiver = tmp_path / "run", Receiver()
    receiver.says = lambda count: 500
    with receiving(receiver) as url:
        async with Cluster("local", folder=folder, listen=True) as cluster:
            await cluster.spawn("desk", Desk)
            await cluster.submit("desk", "one?", "two?")
            await cluster.quiet()
            async with served(folder, (url,)):
                await until(lambda: len(receiver.keys) == 4)
            async with served(folder, (url,)):
                before = receiver.count
                await until(lambda: receiver.count >= before + 4)
                assert len(receiver.keys) == 4, "two questions, and a reminder of each"
            one = next(each for each in await cluster.inbox() if each.question == "one?")
            await one.reject("no", as_=Person.enrol(folder, "ann", key=tmp_path / "ann.key"))
            receiver.says = lambda count: 200
            async with served(folder, (url,)):
                await until(lambda: len(receiver.posts) == 2)
            assert [post["question"] for _, post in receiver.posts] == ["two?", "two?"]


def test_what_is_no_address_is_refused_and_secrets_in_one_are_not_shown() -> None:
    assert checked_urls(["https://a.b/c", "https://a.b/c"]) == ["https://a.b/c"]
    with pytest.raises(ConfigInvalid, match="no http"):
        checked_urls(["ftp://a.b"])
    assert shown("https://u:p@a.b:8/c?token=x") == "https://a.b:8/c"
