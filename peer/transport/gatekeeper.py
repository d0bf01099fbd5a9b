"""Who may connect: asked by ZeroMQ of each connection (ZAP, RFC 27), when its CURVE handshake has proven its key
(TR-1).

A key that nobody knows waits a moment: what its host shows at the door, or gossip, may be on the way. If nothing comes
it is refused. Nothing that it sends is read before.
"""

import asyncio
from asyncio import AbstractEventLoop, Future, Task
from typing import Any

import zmq
import zmq.auth
from zmq.auth.base import Authenticator
from zmq.utils import z85

from peer.ports import Gate
from protocol.ids import HostId

MEMBERS = b"members"
DOOR = b"door"
"""Domains of ZAP: the two sockets at which a host receives."""
STRANGER = "stranger"
"""Whoever is at the door: what it shows tells who it is."""
WAIT_S = 2.0
"""How long an unknown key may wait for its host to be let in."""
WAITING_MAX = 256
"""Unknown keys that wait at a time; with more the next is refused at once, and comes again if it is a member."""

_ZAP = "inproc://zeromq.zap.01"


class Gatekeeper(Authenticator):
    """Answers for the sockets of one context, on the event loop.

    Args:
        context: of the sockets.
        gate: knows the members.
        loop: on which it answers.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", gate: Gate, loop: AbstractEventLoop) -> None:
        super().__init__(context)
        self.refused = 0
        self._gate = gate
        self._loop = loop
        self._names: dict[bytes, HostId] = {}
        """By key of who is let in at this moment, its host."""
        self._waiting: dict[Future[None], None] = {}
        self._tasks: set[Task[None]] = set()
        self.configure_curve_callback(MEMBERS.decode(), self)
        self.configure_curve_callback(DOOR.decode(), self)

    def start(self) -> None:
        """Begin to answer; before any socket is bound."""
        # Not a REP, as the base class has it: who waits must not have others wait.
        self.zap_socket = self.context.socket(zmq.ROUTER, socket_class=zmq.Socket)
        self.zap_socket.linger = 0
        self.zap_socket.bind(_ZAP)
        self._loop.add_reader(self.zap_socket.fileno(), self.drain)
        self._loop.call_soon(self.drain)

    def stop(self) -> None:
        """Answer nothing any more."""
        if self.zap_socket:
            self._loop.remove_reader(self.zap_socket.fileno())
        for task in self._tasks:
            task.cancel()
        super().stop()

    def drain(self) -> None:
        """Take what is asked: the descriptor is edge-triggered and does not remind."""
        while self.zap_socket:
            try:
                asker, empty, version, request, *rest = self.zap_socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            task = self._loop.create_task(self.handle_zap_message([version, _Named(request, (asker, empty)), *rest]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def came(self) -> None:
        """Somebody was let in: whoever waits is looked at again."""
        for waits in list(self._waiting):
            if not waits.done():
                waits.set_result(None)

    async def callback(self, domain: str, key: bytes) -> bool:
        """Tell whether whoever has proven this key may connect; asked by `Authenticator`."""
        raw = z85.decode(key)
        if domain == DOOR.decode():
            self._names[raw] = STRANGER
            return True
        until_s = self._loop.time() + WAIT_S
        while (host := self._gate.host_at(raw)) is None:
            left_s = until_s - self._loop.time()
            if left_s <= 0 or len(self._waiting) >= WAITING_MAX:
                return False
            waits: Future[None] = self._loop.create_future()
            self._waiting[waits] = None
            try:
                await asyncio.wait((waits,), timeout=left_s)
            finally:
                del self._waiting[waits]
        self._names[raw] = host
        return True

    def curve_user_id(self, client_public_key: bytes) -> str:
        """Return whose the messages of this connection are; asked by `Authenticator` right after `callback`."""
        return self._names.pop(client_public_key)

    def _send_zap_reply(
        self, request_id: bytes, status_code: bytes, status_text: bytes, user_id: str = "anonymous"
    ) -> None:
        is_in = status_code == b"200"
        self.refused += not is_in
        if self.zap_socket and isinstance(request_id, _Named):
            said = user_id.encode() if is_in else b""
            self.zap_socket.send_multipart(
                [*request_id.to, b"1.0", bytes(request_id), status_code, status_text, said, b""]
            )
            # Sending takes in what has come meanwhile, and the descriptor does not tell of that any more.
            self.drain()


class _Named(bytes):
    """The number of a request, and who has asked it."""

    to: tuple[bytes, bytes]

    def __new__(cls, request: bytes, to: tuple[bytes, bytes]) -> "_Named":
        self = super().__new__(cls, request)
        self.to = to
        return self


def sender_of(frame: Any) -> HostId:
    """Return who has sent a frame, as the gatekeeper has said of its connection."""
    return frame.get("User-Id")
