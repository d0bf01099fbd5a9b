"""An object store as archive, blob store and vault: S3 as moto plays it, where moto and s3fs are installed."""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peer import Agent, Cluster, Context, Personal, Storage, bulky, handles
from peer.audit.sweeping import sweep
from peer.errors import LogCorrupt
from peer.store import writing
from peer.store.offline import compact
from peer.store.outside.places import Place
from peer.store.reading import verify

pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")


@dataclass
class Scan:
    page: int
    text: str
    name: Personal[str]


class Clerk(Agent):
    keys: ClassVar[dict[str, Any]] = {"scan": bulky()}

    @handles(Scan)
    async def scan(self, message: Scan, ctx: Context) -> None:
        self.state["scan", message.page] = message.text * 1_000
        self.state["name"] = message.name


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import boto3

    # All servers of a process have the same buckets.
    bucket = f"b{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    yield f"s3://{bucket}"
    server.stop()


async def test_archive_blobs_and_vault_live_in_a_bucket(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 4_000)
    archive, blobs = f"{address}/audit", f"{address}/blobs"
    options: dict[str, Any] = {"storage": Storage(archive=archive), "blobs": blobs, "vault": f"{address}/vault"}
    async with Cluster("local", folder=tmp_path, checkpoints_kept=1, **options) as cluster:
        await cluster.spawn("a", Clerk)
        for turn in range(8):
            name = Personal("Ann", subject="customer-17")
            await cluster.submit("a", *(Scan(page, f"{turn}-{page}", name) for page in range(3)))
            await cluster.quiet()
            await cluster.checkpoint()
        await cluster.kill("a")
        state = await cluster.state("a")
        assert state["scan", 2] == "7-2" * 1_000
        assert state["name"].value == "Ann"
        await cluster.erase("customer-17")
        await cluster.kill("a")
        assert str((await cluster.state("a"))["name"].value) != "Ann"
    host = tmp_path / "host-1"
    assert (await asyncio.to_thread(compact, host, address=archive)).after_bytes < 20_000
    assert verify(host).findings == ()
    segments = Place(archive).files()
    assert segments
    assert sweep([tmp_path], blobs, 0).loose == (0, 0)
    Place(blobs).write(f"ab/{'c' * 62}", b"loose")
    await asyncio.sleep(1.1)  # S3 tells times to the second
    assert sweep([tmp_path], blobs, 0, removes=True).removed == (1, 5)
    assert not Place(blobs).holds(f"ab/{'c' * 62}")
    Place(archive).remove(segments[0].name)
    with pytest.raises(LogCorrupt, match=rf"is missing from the archive {archive}"):
        sweep([tmp_path], blobs, 0, removes=True)


def test_of_two_who_make_a_file_one_does(address: str) -> None:
    assert Place(address).create("key", b"1")
    assert not Place(address).create("key", b"2")
    assert Place(address).read("key") == b"1"
    assert [file.name for file in Place(address).files()] == ["key"]
