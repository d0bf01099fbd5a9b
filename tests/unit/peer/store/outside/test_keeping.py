"""Where blobs and keys are kept: addresses that hold for every process of a cluster, or are refused."""

from pathlib import Path

import fsspec
import pytest

from peer import Cluster, Storage
from peer.errors import ConfigInvalid
from peer.store.outside.keeping import Places


def test_without_addresses_both_are_beside_the_logs(tmp_path: Path) -> None:
    assert Places.beside(tmp_path, None, None) == Places(f"{tmp_path}/blobs", f"{tmp_path}/vault")


def test_paths_become_absolute_and_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = Places.beside(Path("logs"), "s3://bucket/blobs", Path("keys"))
    assert places == Places("s3://bucket/blobs", f"{tmp_path}/keys")
    assert Places.beside(Path("logs"), None, None).vault == f"{tmp_path}/logs/vault"


def test_memory_is_refused_where_hosts_are_processes(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"vault='memory://x': each host is a process here"):
        Cluster(backend="ray", folder=tmp_path, vault="memory://x")


def test_an_address_that_is_not_known_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"'nope://x' can't be used"):
        Cluster(backend="local", folder=tmp_path, blobs="nope://x")


def test_an_address_whose_package_is_missing_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    known = fsspec.core.url_to_fs

    def missing(address: str, **options: object) -> object:
        if address.startswith("s3:"):
            raise ImportError("Install s3fs to access S3")
        return known(address, **options)

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    for options in ({"blobs": "s3://b/x"}, {"vault": "s3://b/x"}, {"storage": Storage(archive="s3://b/x")}):
        with pytest.raises(ConfigInvalid, match=r"'s3://b/x' can't be used .*s3fs for s3://"):
            Cluster(backend="local", folder=tmp_path, **options)
