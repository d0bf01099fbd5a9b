"""What travels between hosts: a body, sealed by its sender for one receiver.

    version 1 | sender's public key 32 | receiver's host id 8 | signature 64 | body

The signature covers everything else, after a prefix that no other signed thing has. A host id is the hash of a public
key, so a frame proves its sender's id by itself, with no directory to ask. A frame may come twice or late: whoever
reads bodies has to bear that.
"""

from peer.errors import ConfigInvalid, FrameInvalid, PayloadTooLarge
from peer.keys import HOST_ID_BYTES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, HostKeys, host_id_of, verify
from protocol.ids import HostId
from protocol.limits import FRAME_BYTES_MAX

VERSION = 1

BODY_BYTES_MAX = FRAME_BYTES_MAX
"""What the protocol puts into one frame at most; more is refused unread."""

_PREFIX = b"ebbtide frame\x00"
_ANYONE = bytes(HOST_ID_BYTES)
_KEY_END = 1 + PUBLIC_KEY_BYTES
_RECEIVER_END = _KEY_END + HOST_ID_BYTES

HEADER_BYTES = _RECEIVER_END + SIGNATURE_BYTES


def seal(keys: HostKeys, receiver: HostId | None, body: bytes) -> bytes:
    """Return the frame.

    Args:
        receiver: for whom; None for whoever is at the address that it is sent to.

    Raises: PayloadTooLarge; ConfigInvalid, if `receiver` is no host id.
    """
    check_size(body)
    head = bytes([VERSION]) + keys.public_key + (_ANYONE if receiver is None else _raw(receiver))
    return b"".join((head, keys.sign(_PREFIX + head + body), body))


def unseal(frame: bytes, me: HostId) -> tuple[HostId, bytes]:
    """Return who sealed the frame, and its body.

    Args:
        me: the host that it has to be addressed to, unless it is for anyone.

    Raises: FrameInvalid.
    """
    if len(frame) < HEADER_BYTES:
        raise FrameInvalid(
            f"A frame of {len(frame)} bytes is shorter than its header ({HEADER_BYTES}). It was dropped."
        )
    if len(frame) > HEADER_BYTES + BODY_BYTES_MAX:
        raise FrameInvalid(f"A frame of {len(frame)} bytes is over {HEADER_BYTES + BODY_BYTES_MAX}. It was dropped.")
    if frame[0] != VERSION:
        raise FrameInvalid(
            f"A frame has version {frame[0]}, not {VERSION}. It was dropped. Run one release everywhere."
        )
    receiver = frame[_KEY_END:_RECEIVER_END]
    if receiver not in (_ANYONE, _raw(me)):
        raise FrameInvalid(f"A frame is for host {receiver.hex()}, not for {me}. It was dropped.")
    public_key = frame[1:_KEY_END]
    sender = host_id_of(public_key)
    body = frame[HEADER_BYTES:]
    if not verify(public_key, frame[_RECEIVER_END:HEADER_BYTES], _PREFIX + frame[:_RECEIVER_END] + body):
        raise FrameInvalid(f"A frame that names host {sender} as its sender is not signed by it. It was dropped.")
    return sender, body


def check_size(body: bytes) -> None:
    """Raises: PayloadTooLarge, if no frame can hold the body."""
    if len(body) > BODY_BYTES_MAX:
        raise PayloadTooLarge(
            f"A frame's body of {len(body)} bytes is over the limit of {BODY_BYTES_MAX}. Nothing was sent. Send less."
        )


def _raw(host: HostId) -> bytes:
    try:
        raw = bytes.fromhex(host)
    except ValueError:
        raw = b""
    if len(raw) != HOST_ID_BYTES or raw.hex() != host:
        raise ConfigInvalid(
            f"{host!r} is no host id ({2 * HOST_ID_BYTES} hex digits). Nothing was sent. See HostKeys.host_id."
        )
    return raw
