"""The port `Blobs`: every store of blobs keeps these promises, in a folder and in memory."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from peer.errors import BlobLost, ConfigInvalid
from peer.ports import Blobs, blob_digest
from peer.store.outside.blobs import FsspecBlobs

Damage = Callable[[bytes, bytes | None], None]


@pytest.fixture(params=["folder", "file", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {
        "folder": str(tmp_path / "a b" / "blobs"),
        "file": f"file://{tmp_path}/blobs",
        "memory": f"memory://{uuid.uuid4()}/blobs",
    }[request.param]


@pytest.fixture
def blobs(address: str) -> Blobs:
    return FsspecBlobs(address)


@pytest.fixture
def damage(address: str) -> Damage:
    """Put other content in place of a blob's; None: remove it."""
    files, root = fsspec.core.url_to_fs(address)

    def do(digest: bytes, content: bytes | None) -> None:
        (path,) = [path for path in files.find(root) if path.replace("/", "").endswith(digest.hex())]
        if content is None:
            files.rm_file(path)
        else:
            files.pipe_file(path, content)

    return do


def test_what_was_put_is_got_by_its_hash(blobs: Blobs) -> None:
    for data in (b"", b"x", os.urandom(3 << 20)):
        digest = blobs.put(data)
        assert digest == blob_digest(data)
        assert blobs.get(digest) == data


def test_the_same_bytes_are_kept_once(blobs: Blobs, address: str) -> None:
    assert blobs.put(b"same") == blobs.put(b"same")
    files, root = fsspec.core.url_to_fs(address)
    assert len(files.find(root)) == 1


def test_another_store_of_the_address_has_them(blobs: Blobs, address: str) -> None:
    digest = blobs.put(b"for all hosts")
    assert FsspecBlobs(address).get(digest) == b"for all hosts"


def test_a_missing_blob_is_named_with_its_address(blobs: Blobs, address: str, damage: Damage) -> None:
    digest = blobs.put(b"gone")
    damage(digest, None)
    for wanted in (digest, blob_digest(b"never there")):
        with pytest.raises(BlobLost, match="is missing") as caught:
            blobs.get(wanted)
        assert address in str(caught.value)
        assert wanted.hex() in str(caught.value)


def test_an_altered_blob_is_refused_and_made_whole_by_putting_it_again(
    blobs: Blobs, address: str, damage: Damage
) -> None:
    digest = blobs.put(b"as written")
    damage(digest, b"as altered")
    with pytest.raises(BlobLost, match="is not what was written: its hash does not fit") as caught:
        blobs.get(digest)
    assert address in str(caught.value)
    assert digest.hex() in str(caught.value)
    assert blobs.put(b"as written") == digest
    assert blobs.get(digest) == b"as written"


def test_an_address_that_can_not_be_used_is_refused_at_once() -> None:
    with pytest.raises(ConfigInvalid, match=r"'nope://x' can't be used .*nope"):
        FsspecBlobs("nope://x")


# -- a folder only ----------------------------------------------------------------------------------------------------


def test_a_folder_syncs_file_and_folders_before_it_says_that_a_blob_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    name = FsspecBlobs(str(tmp_path / "new" / "blobs")).put(b"x").hex()
    folder = tmp_path / "new" / "blobs" / name[:2]
    assert {str(tmp_path), str(tmp_path / "new"), str(folder.parent), str(folder)} < set(synced)
    assert synced[-1] == str(folder)
    assert synced[-2].startswith(f"{folder}/.{name[2:]}.")
    assert (folder / name[2:]).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == [name[2:]]
    synced.clear()
    FsspecBlobs(str(tmp_path / "new" / "blobs")).put(b"x")
    assert synced == [str(folder)]


def test_a_folder_that_can_not_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file where the folder belongs")
    with pytest.raises(BlobLost, match="could not be written"):
        FsspecBlobs(str(tmp_path / "blobs")).put(b"x")
