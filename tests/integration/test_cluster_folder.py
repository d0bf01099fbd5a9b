"""What a cluster's folder holds beside the logs: the authority, which lasts, and where its hosts are."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from peer import Agent, Cluster, ConfigInvalid, LogBusy
from peer.audit.verifying import verified
from peer.backends import admission
from peer.backends.admission import addresses_in, places_of
from peer.trust import authority

BACKENDS = ["local", pytest.param("ray", marks=pytest.mark.ray)]


def options(backend: str) -> dict[str, object]:
    return {"listen": True} if backend == "local" else {}


async def run(folder: Path, backend: str = "local") -> dict[str, str]:
    """Start a cluster, and end it; return where its hosts were."""
    async with Cluster(backend, folder=folder, **options(backend)) as cluster:
        await cluster.spawn("a", Agent)
        await cluster.spawn("b", Agent)
        hosts = {(await cluster.status(name)).host for name in ("a", "b")}
        found = addresses_in(folder)
        assert {each.host for each in found.values()} == hosts
        assert verified(folder, lambda at, of: None).all_findings == []
        return {name: each.address for name, each in found.items()}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_authority_lasts_and_addresses_are_those_of_the_present_life(backend: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = await run(folder, backend)
    root = authority.load(folder).public_key
    assert (folder / authority.FILE).stat().st_mode & 0o777 == 0o600
    assert addresses_in(folder) == {}
    second = await run(folder, backend)
    assert authority.load(folder).public_key == root
    assert list(first) == list(second) == ["host-1", "host-2"]
    # The kernel may give one of them a port again that another life had; not all of them.
    assert first != second
    assert verified(folder, lambda at, of: None).all_findings == []


async def test_an_authority_that_others_may_read_or_that_is_none_starts_nothing(tmp_path: Path) -> None:
    await run(tmp_path)
    os.chmod(tmp_path / authority.FILE, 0o640)
    with pytest.raises(ConfigInvalid, match=r"mode 0640.*chmod 600"):
        await run(tmp_path)
    os.chmod(tmp_path / authority.FILE, 0o600)
    (tmp_path / authority.FILE).write_bytes(b"short")
    with pytest.raises(ConfigInvalid, match=r"5 bytes, not the 32"):
        await run(tmp_path)


async def test_where_values_are_kept_outside_is_noted_for_whoever_comes_later(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run", blobs=tmp_path / "elsewhere"):
        found = places_of(tmp_path / "run")
    assert found.blobs == str(tmp_path / "elsewhere")
    (tmp_path / "run").rename(tmp_path / "moved")
    assert places_of(tmp_path / "moved").vault == str(tmp_path / "moved" / "vault")


async def test_a_folder_in_which_others_can_attach_is_held_by_one_process(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, listen=True):
        with pytest.raises(LogBusy, match=str(os.getpid())):
            await run(tmp_path)
    await run(tmp_path)


async def test_a_host_that_is_killed_writes_its_new_address(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, listen=True) as cluster:
        await cluster.spawn("a", Agent)
        before = addresses_in(tmp_path)["host-1"]
        await cluster.kill("a")
        after = addresses_in(tmp_path)["host-1"]
        assert (before.host, before.pid) == (after.host, after.pid)
        assert before.address != after.address


def test_what_is_no_address_is_named(tmp_path: Path) -> None:
    (tmp_path / "host-1").mkdir()
    (tmp_path / "host-1" / admission.ADDRESS).write_bytes(msgspec.json.encode({"host": 1}))
    with pytest.raises(ConfigInvalid, match=r"host-1/address.json is no address"):
        addresses_in(tmp_path)


def test_a_disk_without_room_does_not_keep_a_host_from_coming_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone"
    admission.came(gone, admission.Address("a", "tcp://127.0.0.1:1", 1))
    assert "its address can't be noted" in caplog.text
    admission.went(gone)
    assert asyncio.run(run(tmp_path / "run"))
