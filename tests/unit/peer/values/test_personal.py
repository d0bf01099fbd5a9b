"""Personal data: what is stored and sent is ciphertext, alike each time, and gone with its key."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

from peer import CallerError, Erased, Personal, VaultFailed, hashed
from peer.errors import PayloadInvalid, PayloadUnsupported
from peer.store.outside.vault import FsspecVault
from peer.values.payload import decode, decode_message, encode, encode_message
from peer.values.personal import key_name, using


@pytest.fixture
def vault(tmp_path: Path) -> FsspecVault:
    return FsspecVault(str(tmp_path / "vault"))


@dataclass
class Order:
    item: str
    name: Personal[str]
    more: list[Personal[Any]] | None = None


class Pay(msgspec.Struct):
    name: Personal
    amount: int = 0


def test_a_value_comes_back_and_its_bytes_do_not_show_it(vault: FsspecVault) -> None:
    with using(vault):
        for value in ("Ada Lovelace", None, 7, {"street": ["St James's Square", 12]}, b"", Personal("inner", "other")):
            data = encode(Personal(value, "customer-17"))
            assert b"Lovelace" not in data
            assert b"customer-17" in data
            found: Any = decode(data)
            assert isinstance(found, Personal)
            assert (found.value, found.subject) == (value, "customer-17")


def test_messages_hold_it_in_their_fields(vault: FsspecVault) -> None:
    with using(vault):
        order = Order("tea", Personal("Ada", "c-1"), [Personal(1, "c-1"), Personal(2, "c-2")])
        assert decode_message(encode_message(order), {"Order": Order}) == order
        assert decode_message(encode_message(Pay(Personal("Ada", "c-1"))), {"Pay": Pay}) == Pay(Personal("Ada", "c-1"))
        with pytest.raises(PayloadInvalid, match="wrong fields: Expected `Personal`"):
            decode_message(encode(["Pay", {"name": "Ada"}]), {"Pay": Pay})


def test_equal_values_become_equal_bytes_for_one_subject_and_differ_else(vault: FsspecVault) -> None:
    with using(vault):
        pairs = (("Ada", "a"), ("Ada", "a"), ("Ada", "b"), ("Eve", "a"))
        one, again, *others = (encode(Personal(value, subject)) for value, subject in pairs)
    assert one == again
    assert len({one, *others}) == 3
    # The nonces differ, too: one that served two plaintexts would give both away.
    nonces = {msgpack.unpackb(data, ext_hook=lambda _, raw: msgpack.unpackb(raw)[1]) for data in (one, *others)}
    assert len(nonces) == 3


def test_once_its_key_is_destroyed_it_reads_as_erased_everywhere(vault: FsspecVault) -> None:
    with using(vault):
        data = encode({"name": Personal("Ada", "c-1"), "of": Personal("Eve", "c-2")})
        held: Any = decode(data)
        assert held["name"].value == "Ada"
        vault.erase(key_name("c-1"))
        assert held["name"].value == Erased("c-1")
        found: Any = decode(data)
        assert (found["name"].value, str(found["name"].value)) == (Erased("c-1"), "(erased)")
        assert found["of"].value == "Eve"
        assert encode(found) == data


def test_what_comes_of_an_erased_subject_later_is_erased_at_once_and_nothing_fails(vault: FsspecVault) -> None:
    with using(vault):
        vault.erase(key_name("c-1"))
        for value in ("Ada", Erased("c-1"), Erased("other")):
            found: Any = decode(encode(Personal(value, "c-1")))
            assert found.value == Erased("c-1")
        # A value that was taken out of Personal, and is written as it is.
        assert decode(encode([Erased("c-2")])) == [Personal(Erased("c-2"), "c-2")]


def test_it_is_passed_on_without_a_vault_and_opened_with_one(vault: FsspecVault) -> None:
    with pytest.raises(PayloadUnsupported, match=r"Personal\(subject='c-1'\) can't be encrypted here: there is no"):
        encode(Personal("Ada", "c-1"))
    with using(vault):
        data = encode(Personal("Ada", "c-1"))
    found: Any = decode(data)
    assert encode(found) == data
    with pytest.raises(CallerError, match="can't be read here: there is no vault"):
        _ = found.value
    with using(vault):
        assert found.value == "Ada"


def test_a_vault_that_never_had_the_key_or_has_another_is_no_erasure(vault: FsspecVault, tmp_path: Path) -> None:
    with using(vault):
        data = encode(Personal("Ada", "c-1"))
    other = FsspecVault(str(tmp_path / "other"))
    with using(other):
        found: Any = decode(data)
        with pytest.raises(VaultFailed, match="is not there, and was not erased"):
            _ = found.value
        assert not (tmp_path / "other").exists()
        encode(Personal("Eve", "c-1"))
        with pytest.raises(VaultFailed, match="does not fit what was encrypted"):
            _ = found.value


def test_altered_ciphertext_is_found(vault: FsspecVault) -> None:
    with using(vault):
        data = bytearray(encode(Personal("Ada", "c-1")))
        data[-1] ^= 1
        found: Any = decode(bytes(data))
        with pytest.raises(VaultFailed, match="was altered"):
            _ = found.value


def test_bytes_that_are_no_personal_data_are_refused() -> None:
    for inside in (b"", b"\x90", msgpack.packb(["", b"", b""]), msgpack.packb(["a", b"short", b""]), b"\x93"):
        with pytest.raises(PayloadInvalid):
            decode(msgpack.packb(msgpack.ExtType(12, inside)))


def test_it_tells_nothing_of_its_value_where_it_is_printed() -> None:
    assert repr(Order("tea", Personal("Ada", "c-1"))) == "Order(item='tea', name=Personal(subject='c-1'), more=None)"


@pytest.mark.parametrize("subject", ["", "x" * 257, 7, None])
def test_a_subject_is_a_short_text(subject: Any) -> None:
    with pytest.raises(CallerError, match="it is a str of 1 to 256 characters"):
        Personal("Ada", subject)


def test_a_hash_stands_for_a_value_and_needs_a_salt_that_can_not_be_tried() -> None:
    salt = "a salt of the shop, kept secret"
    assert hashed("Ada", salt) == hashed("Ada", salt.encode())
    assert len({hashed("Ada", salt), hashed("Eve", salt), hashed(["Ada"], salt), hashed("Ada", salt + "!")}) == 4
    with pytest.raises(CallerError, match="a salt of 3 bytes: at least 16"):
        hashed("Ada", "abc")


SEAL = """
import sys
from peer import Personal
from peer.values.payload import encode
from peer.values.personal import using
from peer.store.outside.vault import FsspecVault
with using(FsspecVault(sys.argv[1])):
    print(encode(Personal("Ada", "c-1")).hex())
"""


def test_two_processes_encrypt_alike(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SEAL, str(tmp_path / "vault")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert len({child.communicate()[0] for child in children}) == 1
