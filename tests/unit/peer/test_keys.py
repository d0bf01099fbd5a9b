import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import pytest

from peer.errors import ConfigInvalid
from peer.keys import HostKeys, host_id_of, verify


def test_host_id_is_the_first_8_bytes_of_blake2b_of_the_public_key():
    keys = HostKeys.generate()
    assert keys.host_id == blake2b(keys.public_key).hexdigest()[:16] == host_id_of(keys.public_key)
    assert len(keys.public_key) == 32


def test_a_signature_holds_for_its_key_and_its_data_only():
    keys, others = HostKeys.generate(), HostKeys.generate()
    signature = keys.sign(b"data")
    assert verify(keys.public_key, signature, b"data")
    assert not verify(keys.public_key, signature, b"Data")
    assert not verify(others.public_key, signature, b"data")
    assert not verify(keys.public_key, signature[:-1] + bytes([signature[-1] ^ 1]), b"data")
    assert not verify(keys.public_key, b"", b"data")
    assert not verify(b"short", signature, b"data")
    assert not verify(b"\xff" * 32, signature, b"data")


def test_a_created_key_is_loaded_again_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "new" / "host.key"
    made = HostKeys.load_or_create(path)
    assert HostKeys.load_or_create(path).host_id == made.host_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert [file.name for file in path.parent.iterdir()] == ["host.key"]


def test_all_who_create_at_once_get_the_same_key(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: HostKeys.load_or_create(tmp_path / "host.key").host_id, range(32))
    assert len(set(made)) == 1


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "host.key"
    HostKeys.load_or_create(path)
    path.chmod(0o640)
    with pytest.raises(ConfigInvalid, match="chmod 600"):
        HostKeys.load_or_create(path)


def test_a_key_file_of_another_length_is_refused(tmp_path):
    path = tmp_path / "host.key"
    path.write_bytes(b"half")
    path.chmod(0o600)
    with pytest.raises(ConfigInvalid, match="4 bytes"):
        HostKeys.load_or_create(path)
