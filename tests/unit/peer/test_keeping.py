"""Where blobs and keys are kept: addresses that hold for every process of a cluster, or are refused."""

from pathlib import Path

import pytest

from peer import Cluster
from peer.errors import ConfigInvalid
from peer.keeping import Places


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
