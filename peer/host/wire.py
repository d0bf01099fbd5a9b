"""Frames as bytes, to and fro: what is too large goes in pieces, what is malformed or of nobody known is refused."""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from peer.host.pieces import Pieces
from peer.ports import Transport
from peer.trust.trust import Trust
from protocol.errors import WireInvalid
from protocol.ids import HostId
from protocol.limits import PIECE_BYTES, WHOLE_BYTES_MAX
from protocol.wire import Frame, decode_frame, encode_frame

logger = logging.getLogger("ebbtide")

STRANGERS_WHOLE_MAX = 16 << 20
"""Of what comes in pieces from a host that has not announced itself yet: an announcement of very many agents."""


class Post(Protocol):
    """The host."""

    transport: Transport

    def is_known(self, host: HostId) -> bool:
        """Tell whether a host has proven that it belongs to the cluster."""
        ...

    def stamp(self) -> tuple[int, int]:
        """Return this host's colour and era."""
        ...


class Wire:
    """One host's end of it.

    Args:
        post: the host.
        trust: who is out.
        read: takes in a frame.
        first: above every number of a piece of an earlier life.
    """

    def __init__(self, post: Post, trust: Trust, read: Callable[[HostId, Frame], None], first: int) -> None:
        self._post = post
        self._trust = trust
        self._read = read
        self._pieces = Pieces(first)

    def received(self, sender: HostId, body: bytes) -> None:
        """Take in what a transport brings."""
        if self._trust.why_out(sender):
            self._post.transport.counts.refused += 1
            return
        try:
            frame = decode_frame(body)
            if frame.piece is not None:
                most = WHOLE_BYTES_MAX if self._post.is_known(sender) else STRANGERS_WHOLE_MAX
                whole = self._pieces.take(sender, frame.piece, most)
                if whole is None:
                    return
                frame = decode_frame(whole, most)
        except WireInvalid as error:
            self._post.transport.counts.refused += 1
            logger.warning("refused a frame of %s: %s", sender, error)
            return
        self._read(sender, frame)

    def send(self, host: HostId, frame: Frame) -> None:
        """Send a frame, with this host's colour and era as they are now."""
        epoch, era = self._post.stamp()
        self.tell(host, msgspec.structs.replace(frame, epoch=epoch, era=era))

    def tell(self, host: HostId, frame: Frame) -> None:
        """Send a frame as it is."""
        for body in self._bodies(frame):
            self._post.transport.send(host, body)

    def introduce(self, address: str, frame: Frame) -> None:
        """Send a frame to whoever is at an address."""
        for body in self._bodies(frame):
            self._post.transport.introduce(address, body)

    def _bodies(self, frame: Frame) -> list[bytes]:
        body = encode_frame(frame)
        if len(body) <= 2 * PIECE_BYTES:
            return [body]
        return [encode_frame(Frame(piece=piece)) for piece in self._pieces.cut(body)]
