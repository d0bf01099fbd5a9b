"""The port `Queue`: every queue keeps these promises, in Redis and in memory."""

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis as client

from peer import NotHappened
from peer.adapters.queues import Entry, MemoryQueue, Queue
from peer.adapters.redis_queue import RedisQueue
from tests.adapters import servers


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with servers.redis() as url:
        yield url


class Given(NamedTuple):
    """A queue, and how its readers take what they have not had yet."""

    queue: Queue
    take: Callable[[], list[Entry]]


def entry_of(name: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(name.decode(), fields.get(b"body", b""), fields.get(b"cancels", b"").decode())


@pytest.fixture(params=["memory", "redis"])
def given(request: pytest.FixtureRequest) -> Iterator[Given]:
    if request.param == "memory":
        queue = MemoryQueue()
        yield Given(queue, queue.take)
        return
    url, stream = request.getfixturevalue("server"), f"orders-{uuid.uuid4()}"
    with client.Redis.from_url(url) as own, RedisQueue(url, stream) as queue:
        own.xgroup_create(stream, "readers", id="0", mkstream=True)

        def take() -> list[Entry]:
            found: Any = own.xreadgroup("readers", "one", {stream: ">"}, count=100)
            return [entry_of(*entry) for _, entries in found for entry in entries]

        yield Given(queue, take)


def test_a_key_is_appended_once_in_order(given: Given) -> None:
    names = [given.queue.append(key, key.encode()) for key in ("a", "b", "a")]
    assert names[0] == names[2] != names[1]
    assert [given.queue.find(key) for key in ("a", "b", "c")] == [*names[:2], None]
    assert given.take() == [Entry(names[0], b"a"), Entry(names[1], b"b")]
    assert given.queue.append("a", b"a") == names[0]
    assert given.take() == []


def test_what_nobody_has_got_is_removed(given: Given) -> None:
    for key in ("a", "b"):
        given.queue.append(key, key.encode())
    for _ in range(2):
        given.queue.cancel("a")
    assert given.queue.find("a") is None
    assert [entry.body for entry in given.take()] == [b"b"]


def test_whoever_has_got_it_is_told_once(given: Given) -> None:
    names = [given.queue.append(key, key.encode()) for key in ("a", "b")]
    given.take()
    for _ in range(2):
        given.queue.cancel("a")
    (told,) = given.take()
    assert (told.body, told.cancels) == (b"", names[0])
    assert [given.queue.find(key) for key in ("a", "b")] == [None, names[1]]


def test_what_was_cancelled_before_it_came_is_refused(given: Given) -> None:
    given.queue.cancel("a")
    with pytest.raises(NotHappened, match=r"a: .* too late"):
        given.queue.append("a", b"a")
    assert given.queue.find("a") is None
    assert given.take() == []


def test_bytes_arrive_as_they_are(given: Given) -> None:
    bodies = [b"", bytes(range(256)), "ä\0".encode(), b"x" * 100_000]
    for number, body in enumerate(bodies):
        given.queue.append(f"k/{number}:ä#{{}}", body)
    assert [entry.body for entry in given.take()] == bodies


def test_many_at_once_append_one(given: Given) -> None:
    begin, names = threading.Barrier(4), list[str]()

    def one() -> None:
        begin.wait()
        names.append(given.queue.append("a", b"a"))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 4
    assert len(set(names)) == len(given.take()) == 1


# -- Redis only -------------------------------------------------------------------------------------------------------


def test_plain_readers_are_always_told(server: str) -> None:
    with client.Redis.from_url(server) as own, RedisQueue(server, "plain", plain_readers=True) as queue:
        name = queue.append("a", b"a")
        queue.cancel("a")
        entries: Any = own.xrange("plain")
        assert [entry_of(*entry) for entry in entries][1].cancels == name
        assert len(entries) == 2


def test_keys_are_dropped_in_time_and_a_stream_that_is_gone_is_no_obstacle(server: str) -> None:
    with client.Redis.from_url(server) as own, RedisQueue(server, "short", keep_s=100) as queue:
        queue.append("a", b"a")
        queue.cancel("b")
        assert all(0 < own.ttl(f"{{short}}:key:{key}") <= 100 for key in ("a", "b"))  # type: ignore[operator]
        own.delete("short")
        queue.cancel("a")
        assert queue.find("a") is None


def test_one_group_that_has_it_is_enough_to_be_told(server: str) -> None:
    with client.Redis.from_url(server) as own, RedisQueue(server, "two") as queue:
        for group in ("slow", "quick"):
            own.xgroup_create("two", group, id="0", mkstream=True)
        queue.append("a", b"a")
        own.xreadgroup("quick", "one", {"two": ">"})
        queue.cancel("a")
        assert own.xlen("two") == 2
