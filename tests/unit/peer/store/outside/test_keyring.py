"""Encryption at rest: nothing readable in the files, nothing lost by a change of keys, clear words without one."""

import asyncio

import pytest

from peer.errors import ConfigInvalid, LogCorrupt
from peer.keys import HostKeys
from peer.store.opening import open_folder
from peer.store.outside.keyring import KEY_FILE, Keyring, make_secret, read_secret, rotate
from peer.store.reading import open_logs, verify
from peer.store.segments import SegmentStore
from peer.store.storage import Storage

OLD, NEW = b"the first key of the host", b"the second key of the host"
KEYS = HostKeys.from_seed(b"a discreet host")


async def written(folder, secret, *records):
    store = SegmentStore(folder, asyncio.get_running_loop(), keys=KEYS, cipher=Keyring.open(folder, secret))
    for record in records:
        done = asyncio.Event()
        store.append("a", [record], done.set)
        await done.wait()
    found = list(store.read("a"))
    store.close()
    return found


async def test_records_are_unreadable_without_the_key_and_whole_with_it(tmp_path):
    patient = b"patient 4711 is ill" * 300
    assert await written(tmp_path, OLD, patient, b"short and secret") == [patient, b"short and secret"]
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for text in (b"4711", b"secret"):
        assert text not in files
    assert await written(tmp_path, OLD, b"later") == [patient, b"short and secret", b"later"]
    assert verify(tmp_path, Keyring.open(tmp_path, OLD)).records == 3


async def test_the_wrong_key_and_none_are_refused(tmp_path, monkeypatch):
    await written(tmp_path, OLD, b"x" * 100)
    with pytest.raises(ConfigInvalid, match="does not open with the key"):
        Keyring.open(tmp_path, NEW)
    with pytest.raises(ConfigInvalid, match="at least"):
        Keyring.open(tmp_path, b"short")
    monkeypatch.delenv(KEY_FILE, raising=False)
    with pytest.raises(ConfigInvalid, match="no key was given"):
        open_logs(tmp_path)
    KEYS.save(tmp_path / "host.key")
    with pytest.raises(ConfigInvalid, match="no key was given"):
        open_folder(tmp_path, asyncio.get_running_loop())


async def test_after_a_rotation_only_the_new_key_opens_and_old_records_are_read(tmp_path):
    await written(tmp_path, OLD, b"1" * 100)
    assert rotate(tmp_path, OLD, NEW) == 2
    with pytest.raises(ConfigInvalid, match="does not open"):
        Keyring.open(tmp_path, OLD)
    assert await written(tmp_path, NEW, b"2" * 100) == [b"1" * 100, b"2" * 100]
    assert verify(tmp_path, Keyring.open(tmp_path, NEW)).findings == ()


async def test_a_log_that_was_not_encrypted_goes_on_encrypted(tmp_path):
    store = SegmentStore(tmp_path, asyncio.get_running_loop(), keys=KEYS)
    done = asyncio.Event()
    store.append("a", [b"plain"], done.set)
    await done.wait()
    store.close()
    assert await written(tmp_path, OLD, b"not plain any more") == [b"plain", b"not plain any more"]


async def test_a_damaged_keyring_is_named(tmp_path):
    await written(tmp_path, OLD, b"x")
    (tmp_path / "keyring.json").write_bytes(b"{")
    with pytest.raises(ConfigInvalid, match=r"keyring\.json is no keyring"):
        Keyring.open(tmp_path, OLD)


async def test_a_flipped_bit_in_an_encrypted_record_is_found(tmp_path):
    await written(tmp_path, OLD, b"first", b"second " * 30, b"third")
    file = tmp_path / "log" / "00000001.seg"
    data = bytearray(file.read_bytes())
    data[-700] ^= 1
    file.write_bytes(data)
    assert verify(tmp_path, Keyring.open(tmp_path, OLD)).findings != ()
    with pytest.raises(LogCorrupt, match="agent a, record"):
        list(open_logs(tmp_path, Keyring.open(tmp_path, OLD)).read("a"))


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path):
    make_secret(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert len(read_secret(tmp_path / "key")) == 64
    with pytest.raises(ConfigInvalid, match="can't be made"):
        make_secret(tmp_path / "key")
    with pytest.raises(ConfigInvalid, match="can't be read"):
        Storage(key_file=str(tmp_path / "nosuch")).check()
