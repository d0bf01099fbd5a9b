"""Declared keys on a cluster with real logs: what is in the log, and what comes back after a restart or an undo."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from peer import Agent, AskTimeout, BlobLost, Call, Cluster, Context, Hidden, bulky, derived, handles, secret, tool
from peer.store.reading import open_logs

OUTSIDE: dict[str, Any] = {}
"""Where secrets come from, by key."""
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    OUTSIDE.clear()
    SEEN.clear()


def back(call: Call) -> None: ...


@tool(undo=back)
def post(text: str, *, intent: str) -> None: ...


def total(key: Any, sources: Any) -> Any:
    if isinstance(key, tuple):
        return sources["orders", key[1]] * 2
    return sum(sources[each] for each in sources)


@dataclass
class Put:
    key: Any
    value: Any


@dataclass
class Get:
    key: Any
    how: str = "get"
    at: str = ""


@dataclass
class Look:
    do: str = ""


class Till(Agent):
    keys: ClassVar[dict[str, Any]] = {
        "sum": derived(total, of=("orders",)),
        "more": derived(lambda key, sources: sources["sum"] + 1, of=("sum",)),
        "wrong": derived(lambda key, sources: sources["token"], of=("orders",)),
        "token": secret(load=lambda key: OUTSIDE[str(key)]),
        "scan": bulky(),
    }
    spaces: ClassVar[tuple[str, ...]] = ("room",)

    @handles(Put)
    def put(self, message: Put, ctx: Context) -> None:
        key = tuple(message.key) if isinstance(message.key, list) else message.key
        if message.value is None:
            del self.state[key]
        else:
            self.state[key] = OUTSIDE[message.value[1:]] if str(message.value).startswith("$") else message.value

    @handles(Get)
    async def get(self, message: Get, ctx: Context) -> None:
        key = tuple(message.key) if isinstance(message.key, list) else message.key
        where = self.state.at(message.at) if message.at else self.state
        value = await self.state.fetch(key) if message.how == "fetch" else getattr(where, message.how)(key)
        SEEN.append(value)
        self.state["seen"] = len(SEEN)

    @handles(Look, read_only=True)
    async def look(self, message: Look, ctx: Context) -> None:
        SEEN.append(dict(self.state))
        SEEN.append(self.state.observe("sum"))
        ctx.space("room").counter("n").value_within(5)
        ctx.report(confidence=0.5)
        match message.do:
            case "write":
                self.state["x"] = 1
            case "remove":
                del self.state["orders", 1]
            case "send":
                ctx.send("b", "hello")
            case "call":
                await ctx.call(post, "hello")
            case "share":
                ctx.space("room").counter("n").add(1)
            case "propose":
                ctx.rollback("a/1/1")
            case _:
                pass


async def started(cluster: Cluster, *messages: Any) -> None:
    await cluster.spawn("a", Till)
    await cluster.submit("a", *messages)
    await cluster.quiet()


async def logged(cluster: Cluster, key: str) -> list[bytes]:
    """Return what the log has for a key."""
    pages = await cluster.steps("a")
    writes = [write for page in pages for record in page.records for write in record.writes]
    return [write.value for write in writes if write.key == key and write.value is not None]


# -- derived --------------------------------------------------------------------------------------------------------


async def test_a_derived_key_is_built_when_read_and_reads_its_sources() -> None:
    async with Cluster(backend="local") as cluster:
        await started(
            cluster, Put(["orders", 1], 3), Put("other", 9), Put(["orders", 2], 4), Get("sum"), Get("more"),
            Get(["sum", 2]), Get("sum", at="a/1/1"), Get("sum", "observe"), Get("sum", "fetch"),
            Get("sum", "__contains__"), Get(["sum", 7], "__contains__"),
        )  # fmt: skip
        assert SEEN == [7, 8, 8, 3, 7, 7, True, False]
        records = [record for page in await cluster.steps("a") for record in page.records]
        reads = {str(record.step): {read.key for read in record.reads} for record in records}
        assert reads["a/1/4"] == {'["orders",1]', '["orders",2]'}
        assert reads["a/1/6"] == {'["orders",2]'}
        assert reads["a/1/8"] == set()
        assert await cluster.state("a") == {("orders", 1): 3, ("orders", 2): 4, "other": 9, "seen": 8}
        assert {str(step) for step in (await cluster.preview("a/1/3")).steps} >= {"a/1/4", "a/1/5", "a/1/6"}
        assert "a/1/7" not in map(str, (await cluster.preview("a/1/3")).steps)


async def test_a_derived_key_can_not_be_written_and_builds_from_what_it_names() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Put("sum", 3), Put(["sum", 1], None), Get("wrong"))
        whys = [why for _, why in await cluster.dead_letters("a")]
        assert sum("is derived of orders: it is built whenever it is read" in why for why in whys) == 2
        assert sum("build looks at key 'token', and what it builds is derived of orders" in why for why in whys) == 1


# -- secrets --------------------------------------------------------------------------------------------------------


async def test_a_secret_is_nowhere_in_the_log_and_comes_back_by_load(tmp_path: Path) -> None:
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await started(cluster, Put("x", 1))
        OUTSIDE["token"] = "hunter2"
        await cluster.submit("a", Put("token", "$token"), Put("token", "$token"), Get("token"))
        await cluster.quiet()
        first, second = await logged(cluster, "token")
        assert first != second
        shown = (await cluster.state("a"))["token"]
        assert isinstance(shown, Hidden)
        assert shown.digest in second.hex()
        await cluster.kill("a")
        await cluster.submit("a", Get("token"))
        await cluster.quiet()
        assert SEEN == ["hunter2", "hunter2"]
    # Decoded: compression might hide both.
    kept = [stored.body for stored in open_logs(tmp_path / "host-1").read("a")]
    assert any(first in content for content in kept)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hunter2" in content for content in (*kept, *files))


async def test_a_secret_is_loaded_after_an_undo() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Put("token", "old"), *(Put("token", f"new {n}") for n in range(5)))
        OUTSIDE["token"] = "old"
        await cluster.rollback_to("a", "a/1/1")
        await cluster.submit("a", Get("token"), Get("token", at="a/1/1"))
        await cluster.quiet()
        assert SEEN == ["old", "old"]


async def test_a_secret_that_has_changed_is_told_and_its_input_waits() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Put("token", "hunter2"))
        OUTSIDE["token"] = "changed"
        await cluster.kill("a")
        await cluster.submit("a", Get("token"), Get("x"))
        with pytest.raises(AskTimeout):
            await cluster.quiet(timeout_s=0.5)
        assert SEEN == [None]
        told = " ".join(notice.detail for notice in await cluster.notices("a"))
        assert "what its load returns is not what was written: the secret has changed" in told
        assert "hunter2" not in told
        del OUTSIDE["token"]
        with pytest.raises(AskTimeout):
            await cluster.quiet(timeout_s=0.5)
        assert any("its load failed (KeyError)" in notice.detail for notice in await cluster.notices("a"))
        OUTSIDE["token"] = "hunter2"
        await cluster.quiet()
        assert SEEN == [None, "hunter2"]
        assert await cluster.dead_letters("a") == []


# -- bulky ----------------------------------------------------------------------------------------------------------

SCAN = np.arange(300_000, dtype="i8")


@pytest.mark.parametrize("kind", ["beside", "file", "memory"])
async def test_a_bulky_value_is_kept_outside_the_log_and_comes_back(tmp_path: Path, kind: str) -> None:
    blobs = {"beside": None, "file": f"file://{tmp_path}/elsewhere", "memory": f"memory://{tmp_path}/blobs"}[kind]
    async with Cluster(backend="local", folder=tmp_path / "logs", blobs=blobs) as cluster:
        await started(cluster, Put("scan", SCAN), Put(["scan", 2], b"x"), Get("scan"), Get(["scan", 2], "fetch"))
        (value,) = await logged(cluster, "scan")
        assert len(value) < 50
        assert np.array_equal(SEEN[0], SCAN)
        await cluster.kill("a")
        await cluster.submit("a", Get("scan"), Get(["scan", 2], "fetch"), Get("scan", at="a/1/1"))
        await cluster.quiet()
        assert np.array_equal((await cluster.state("a"))["scan"], SCAN)
        assert np.array_equal(SEEN[2], SCAN)
        assert np.array_equal(SEEN[4], SCAN)
        assert (SEEN[1], SEEN[3]) == (b"x", b"x")
    there = {path.parts[len(tmp_path.parts)] for path in tmp_path.rglob("*") if path.stat().st_size > 2_000_000}
    # The input stands in the log, in pieces that are compressed: it is below that size there.
    assert there == {"beside": {"logs"}, "file": {"elsewhere"}, "memory": set()}[kind]


async def test_a_bulky_value_is_durable_before_its_step_is(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file where the folder belongs")
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Till)
        await cluster.submit("a", Put("scan", b"x"))
        with pytest.raises(AskTimeout):
            await cluster.quiet(timeout_s=0.5)
        assert await cluster.steps("a") == []
        (tmp_path / "blobs").unlink()
        await cluster.quiet()
        assert await cluster.state("a") == {"scan": b"x"}


async def test_a_missing_blob_is_named_and_the_input_waits_until_it_is_back(tmp_path: Path) -> None:
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await started(cluster, Put("scan", b"x" * 100))
        (blob,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        blob.rename(tmp_path / "moved")
        await cluster.kill("a")
        with pytest.raises(BlobLost, match=rf"blob {blob.parent.name}{blob.name} at {tmp_path}/blobs is missing"):
            await cluster.state("a")
        await cluster.submit("a", Get("scan"))
        with pytest.raises(AskTimeout):
            await cluster.quiet(timeout_s=0.5)
        blob.write_bytes(b"x" * 99)
        with pytest.raises(BlobLost, match="its hash does not fit"):
            await cluster.state("a")
        (tmp_path / "moved").rename(blob)
        await cluster.quiet()
        assert SEEN == [b"x" * 100]


# -- handlers that may only read ----------------------------------------------------------------------------------


async def test_what_a_reading_handler_reads_is_not_logged_and_it_stays() -> None:
    async with Cluster(backend="local") as cluster:
        await started(cluster, Put(["orders", 1], 3), Put(["orders", 2], 4), Look())
        assert SEEN == [{("orders", 1): 3, ("orders", 2): 4}, 7]
        record = (await cluster.steps("a"))[-1].records[-1]
        assert (record.reads, record.observed, record.tolerated) == ((), (), ())
        assert (record.read_only, record.confidence) == (True, 0.5)
        assert list(map(str, (await cluster.preview("a/1/1")).steps)) == ["a/1/1"]


async def test_a_reading_handler_that_wants_more_is_refused_at_once() -> None:
    wants = {
        "write": "write key 'x'", "remove": "write key ('orders', 1)", "send": "send to b", "call": "call a tool",
        "share": "write to a space", "propose": "propose a rollback",
    }  # fmt: skip
    async with Cluster(backend="local") as cluster:
        await started(cluster, Put(["orders", 1], 3), *map(Look, wants))
        whys = [why for _, why in await cluster.dead_letters("a")]
        assert whys == [
            f"ReadOnly: a read_only handler wanted to {want}. Nothing changed. Leave out read_only, or that."
            for want in wants.values()
        ]
        assert len(SEEN) == 2 * len(wants)
