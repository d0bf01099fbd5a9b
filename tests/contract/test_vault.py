"""The port `KeyVault`: every vault keeps these promises, in a folder and in memory."""

import subprocess
import sys
import uuid
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from peer.errors import VaultFailed
from peer.ports import KeyVault
from peer.store.outside.vault import FsspecVault


@pytest.fixture(params=["folder", "file", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {
        "folder": str(tmp_path / "vault"),
        "file": f"file://{tmp_path}/vault",
        "memory": f"memory://{uuid.uuid4()}/vault",
    }[request.param]


@pytest.fixture
def vault(address: str) -> KeyVault:
    return FsspecVault(address)


def test_a_name_has_one_key_which_is_no_other_name_s(vault: KeyVault, address: str) -> None:
    keys = [vault.key(name) for name in ("a", "b", "", "of/another", "é" * 1000)]
    assert all(key is not None and len(key) == 32 for key in keys)
    assert len(set(keys)) == 5
    assert [FsspecVault(address).key(name) for name in ("a", "b")] == keys[:2]


def test_an_erased_key_is_gone_for_all_and_none_is_made_again(vault: KeyVault, address: str) -> None:
    other = FsspecVault(address)
    assert other.key("a") is not None
    kept = other.key("b")
    vault.erase("a")
    assert (other.key("a"), vault.key("a"), FsspecVault(address).key("a")) == (None, None, None)
    assert other.key("b") == kept
    vault.erase("a")
    vault.erase("never there")
    assert other.key("never there") is None


# -- a folder only ----------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_keys_and_names_are_not_told(tmp_path: Path) -> None:
    FsspecVault(str(tmp_path / "vault")).key("customer-17")
    assert (tmp_path / "vault").stat().st_mode & 0o777 == 0o700
    (file,) = (tmp_path / "vault").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "customer" not in file.name


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    vault = FsspecVault(str(tmp_path))
    vault.key("a")
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"short")
    with pytest.raises(VaultFailed, match=r"key of 'a' in the vault at .* is damaged"):
        vault.key("a")


def test_an_unreachable_vault_is_named(tmp_path: Path) -> None:
    (tmp_path / "vault").write_bytes(b"a file where the folder belongs")
    for use in (FsspecVault(str(tmp_path / "vault")).key, FsspecVault(str(tmp_path / "vault")).erase):
        with pytest.raises(VaultFailed, match=r"key of 'a' in the vault at .* could not be"):
            use("a")


MANY = """
import sys
from peer.store.outside.vault import FsspecVault
vault = FsspecVault(sys.argv[1])
sys.stdin.read(1)
print("".join(vault.key(f"subject-{n}").hex() for n in range(200)))
"""


def test_processes_at_the_same_time_make_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MANY, str(tmp_path / "vault")]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("x")
        child.stdin.flush()
    told = {child.communicate()[0] for child in children}
    assert len(told) == 1
    assert len(told.pop()) == 200 * 64 + 1


class Careless(MemoryFileSystem):
    """A store that takes a write of a new file for one that may replace an old one, as some do that speak S3."""

    protocol = "careless"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        super().pipe_file(path, value)


def test_a_store_that_lets_two_make_the_same_key_is_refused_before_there_is_one() -> None:
    fsspec.register_implementation("careless", Careless, clobber=True)
    vault = FsspecVault("careless://keys")
    for use in (lambda: vault.key("a"), lambda: vault.erase("a")):
        with pytest.raises(VaultFailed, match=r"careless://keys .*replaced by one that must be new"):
            use()
    assert not [file for file in Careless.store if file.startswith("/keys/")]
