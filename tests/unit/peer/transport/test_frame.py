import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.errors import ConfigInvalid, FrameInvalid, PayloadTooLarge
from peer.keys import HostKeys
from peer.transport.frame import BODY_BYTES_MAX, HEADER_BYTES, seal, unseal

A, B = HostKeys.generate(), HostKeys.generate()


@given(st.binary(max_size=200))
def test_a_sealed_body_comes_out_with_its_sender(body):
    assert unseal(seal(A, B.host_id, body), B.host_id) == (A.host_id, body)


def test_a_frame_for_anyone_is_read_by_anyone():
    assert unseal(seal(A, None, b"hello"), B.host_id) == (A.host_id, b"hello")


def test_the_layout_is_as_documented():
    frame = seal(A, B.host_id, b"body")
    assert frame[0] == 1
    assert frame[1:33] == A.public_key
    assert frame[33:41].hex() == B.host_id
    assert frame[HEADER_BYTES:] == b"body"
    assert HEADER_BYTES == 1 + 32 + 8 + 64


def test_a_frame_for_another_host_is_refused():
    with pytest.raises(FrameInvalid, match="not for"):
        unseal(seal(A, A.host_id, b"body"), B.host_id)


def test_every_altered_byte_is_refused():
    frame = seal(A, B.host_id, b"body")
    for at in range(len(frame)):
        altered = frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]
        with pytest.raises(FrameInvalid):
            unseal(altered, B.host_id)


@given(st.binary(max_size=HEADER_BYTES + 50))
def test_noise_is_refused(noise):
    with pytest.raises(FrameInvalid):
        unseal(noise, B.host_id)


def test_a_readdressed_frame_is_refused():
    frame = seal(A, A.host_id, b"body")
    for receiver in (bytes(8), bytes.fromhex(B.host_id)):
        with pytest.raises(FrameInvalid, match="not signed"):
            unseal(frame[:33] + receiver + frame[41:], B.host_id)


def test_a_bare_signature_of_the_body_is_no_frame():
    head = b"\x01" + A.public_key + bytes(8)
    with pytest.raises(FrameInvalid, match="not signed"):
        unseal(head + A.sign(head + b"body") + b"body", B.host_id)


def test_a_body_over_the_limit_is_neither_sealed_nor_read():
    assert unseal(seal(A, B.host_id, bytes(BODY_BYTES_MAX)), B.host_id)[1] == bytes(BODY_BYTES_MAX)
    with pytest.raises(PayloadTooLarge):
        seal(A, B.host_id, bytes(BODY_BYTES_MAX + 1))
    with pytest.raises(FrameInvalid, match="over"):
        unseal(b"\x01" + bytes(HEADER_BYTES + BODY_BYTES_MAX), B.host_id)


@pytest.mark.parametrize("host", ["", "zz", "00" * 7, "AB" * 8, " " + "00" * 8])
def test_what_is_no_host_id_is_refused(host):
    with pytest.raises(ConfigInvalid):
        seal(A, host, b"body")
