"""Frames as bytes, to and fro: what is too large goes in pieces, what is malformed or of nobody known is refused."""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from peer.host.pieces import Pieces
from peer.host.versions import UNSPOKEN, Versions
from peer.ports import Transport
from peer.trust.trust import Trust
from protocol.action import Tell
from protocol.errors import VersionUnspoken, WireInvalid
from protocol.ids import HOST, AgentId, HostId
from protocol.limits import PIECE_BYTES, WHOLE_BYTES_MAX
from protocol.wire import Frame, decode_frame, encode_frame, is_empty, understood

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

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """Keep a line for whoever audits."""
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
        self.versions = Versions()
        """Which wire version each host speaks."""
        self._pieces = Pieces(first)

    def received(self, sender: HostId, body: bytes) -> None:
        """Take in what a transport brings."""
        if self._trust.why_out(sender):
            self._post.transport.counts.refused += 1
            return
        newest = self.versions.newest
        try:
            frame = decode_frame(body, newest=newest)
            if frame.piece is not None:
                most = WHOLE_BYTES_MAX if self._post.is_known(sender) else STRANGERS_WHOLE_MAX
                whole = self._pieces.take(sender, frame.piece, most)
                if whole is None:
                    return
                frame = decode_frame(whole, most, newest)
        except VersionUnspoken as error:
            self._unspoken(sender, error.version)
            return
        except WireInvalid as error:
            self._post.transport.counts.refused += 1
            logger.warning("refused a frame of %s: %s", sender, error)
            return
        self.versions.heard(sender, frame.speaks)
        self._read(sender, frame)

    def _unspoken(self, sender: HostId, version: int) -> None:
        self._post.transport.counts.refused += 1
        text = self.versions.refused(sender, version)
        if text:
            logger.error("%s", text)
            self._post.noticed(HOST, Tell(UNSPOKEN, str(sender), text))

    def send(self, host: HostId, frame: Frame) -> None:
        """Send a frame, with this host's colour and era as they are now."""
        epoch, era = self._post.stamp()
        self._tell(host, msgspec.structs.replace(frame, epoch=epoch, era=era, speaks=self.versions.newest))

    def tell(self, host: HostId, frame: Frame) -> None:
        """Send a frame as it is."""
        self._tell(host, msgspec.structs.replace(frame, speaks=self.versions.newest))

    def _tell(self, host: HostId, frame: Frame) -> None:
        version = self.versions.of(host)
        frame, left = understood(frame, version)
        if left:
            # Who resends until it is acknowledged, or compares, has it there once the host is replaced.
            self._post.transport.counts.withheld += 1
            for text in self.versions.withheld(host, left):
                logger.info("%s", text)
            if is_empty(frame):
                return
        for body in self._bodies(frame, version):
            self._post.transport.send(host, body)

    def introduce(self, address: str, frame: Frame) -> None:
        """Send a frame to whoever is at an address."""
        version = self.versions.knock(address)
        frame, _ = understood(msgspec.structs.replace(frame, speaks=self.versions.newest), version)
        for body in self._bodies(frame, version):
            self._post.transport.introduce(address, body)

    def _bodies(self, frame: Frame, version: int) -> list[bytes]:
        body = encode_frame(frame, version)
        if len(body) <= 2 * PIECE_BYTES:
            return [body]
        pieces = self._pieces.cut(body)
        return [encode_frame(Frame(piece=piece, speaks=frame.speaks), version) for piece in pieces]
