"""How values become bytes of the log: what stands for them, and how much of them stays in memory."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peer import SecretChanged, VaultFailed, bulky, secret
from peer.errors import PayloadInvalid, PayloadTooLarge
from peer.ports import blob_digest
from peer.store.outside.keeping import Keeping, Places
from peer.values import codec as values
from peer.values.codec import Values
from peer.values.declared import KeyKind, Schema
from peer.values.forms import Form, Packed, pack, unpack
from peer.values.payload import encode


class Counting:
    """A blob store in memory that counts."""

    address = "here"

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.calls: Counter[str] = Counter()

    def put(self, data: bytes) -> bytes:
        self.calls["put"] += 1
        self.held[blob_digest(data)] = data
        return blob_digest(data)

    def get(self, digest: bytes) -> bytes:
        self.calls["get"] += 1
        return self.held[digest]


def made(keys: dict[str, KeyKind], blobs: Any = None, version: int = 1, **migrations: Any) -> Values:
    keeping = Keeping.in_memory(b"test values")
    numbers = iter(range(1, 1000))
    steps = {int(name[1:]): step for name, step in migrations.items()}
    return Values(
        Schema("Till", keys, version, steps), Keeping(blobs or keeping.blobs, keeping.vault), numbers.__next__
    )


def test_bytes_of_a_payload_are_no_other_form_and_other_forms_no_payload() -> None:
    for value in (None, "x" * 70_000, b"\xc9" * 70_000, np.zeros(70_000), [1], 2**70):
        assert unpack(encode(value)) == Packed(1, Form.PLAIN, encode(value))
    for kept in (Packed(2, Form.PLAIN, b"x"), Packed(1, Form.BULKY, b"h"), Packed(9, Form.SECRET, b"s")):
        assert unpack(pack(kept)) == kept
    for body in (b"", b"\x93\x01\x07\xc4\x00", b"\x91\x01"):
        with pytest.raises(PayloadInvalid, match="stored value"):
            unpack(b"\xc9" + len(body).to_bytes(4, "big") + b"\x0b" + body)


async def test_a_bulky_value_may_be_larger_than_a_message_and_is_placed_once() -> None:
    blobs = Counting()
    kept = made({"scan": bulky()}, blobs)
    scan = np.arange(3 << 20)
    data = kept.encode("scan", scan)
    assert np.array_equal(kept.decode("scan", data), scan)
    assert not blobs.calls
    await kept.place([data, None])
    await kept.place([data])
    assert np.array_equal(kept.decode("scan", data), scan)
    assert blobs.calls == {"put": 1}
    with pytest.raises(PayloadTooLarge):
        made({}).encode("scan", scan)


async def test_what_a_run_left_unplaced_is_forgotten_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "CACHED_BYTES_MAX", 1000)
    blobs = Counting()
    kept = made({"scan": bulky()}, blobs)
    left = kept.encode("scan", b"left")
    kept.begin()
    with pytest.raises(KeyError):
        kept.decode("scan", left)
    blobs.calls.clear()
    datas = [kept.encode("scan", bytes([number]) * 600) for number in range(3)]
    await kept.place(datas)
    kept.begin()
    assert kept.decode("scan", datas[2]) == b"\x02" * 600
    assert blobs.calls["get"] == 0
    await kept.fetch(datas[0])
    assert kept.decode("scan", datas[0]) == b"\x00" * 600
    assert blobs.calls["get"] == 1


async def test_bulky_values_are_migrated_and_secrets_are_not() -> None:
    blobs = Counting()
    keys: dict[str, KeyKind] = {"scan": bulky(), "token": secret(load=lambda key: "hunter2")}
    first, second = made(keys, blobs), made(keys, blobs, version=2, v1=lambda key, value: value * 2)
    scan, token = first.encode("scan", b"ab"), first.encode("token", "hunter2")
    await first.place([scan, token])
    assert (second.decode("scan", scan), second.decode("token", token)) == (b"abab", "hunter2")


def test_a_key_may_be_declared_otherwise_in_the_next_release() -> None:
    plain, hidden = made({}), made({"token": secret(load=lambda key: "hunter2")})
    assert hidden.decode("token", plain.encode("token", "old")) == "old"
    with pytest.raises(SecretChanged, match="Till does not declare it as one any more"):
        plain.decode("token", hidden.encode("token", "hunter2"))


def test_a_secret_can_be_checked_by_whoever_has_the_vault_and_by_nobody_else(tmp_path: Path) -> None:
    declared = Schema("Till", {"token": secret(load=lambda key: "hunter2")})
    one, other = (Keeping.at(Places.beside(tmp_path / name, None, None)) for name in ("one", "other"))
    data = Values(declared, one, lambda: 7).encode("token", "hunter2")
    assert Values(declared, one, lambda: 8).decode("token", data) == "hunter2"
    with pytest.raises(VaultFailed, match="is not there, and was not erased"):
        Values(declared, other, lambda: 8).decode("token", data)
    assert other.vault.key("secrets") != one.vault.key("secrets")
    with pytest.raises(SecretChanged, match="not what was written"):
        Values(declared, other, lambda: 8).decode("token", data)


def test_equal_secrets_have_hashes_of_their_own() -> None:
    kept = made({"token": secret(load=lambda key: "hunter2")})
    assert kept.encode("token", "hunter2") != kept.encode("token", "hunter2")
