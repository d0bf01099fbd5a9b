"""Sockets of ZeroMQ as hosts use them: bounded, patient, and dialled again where ZeroMQ would not."""

from collections.abc import Callable

import zmq

from peer.transport.frame import BODY_BYTES_MAX, HEADER_BYTES

Socket = zmq.Socket[bytes]

QUEUE_FRAMES_MAX = 8_192
"""Frames that wait for one host in each direction: the pieces of the largest whole; what does not fit is resent."""

MESSAGE_BYTES_MAX = HEADER_BYTES + BODY_BYTES_MAX + 1024
"""Above this ZeroMQ cuts the connection before it takes memory for the frame."""

REDIAL_S = 0.5
REDIAL_S_MAX = 30.0
"""How soon a host that has refused this one is dialled again: doubles from the first to the second."""
STUCK_S = 30.0
"""How long a full queue may take nothing before its connection is taken for dead."""

HANDSHAKE_MS = 10_000
"""How long a connection may take to prove its key; strangers that say nothing hold it as long."""
RECONNECT_MS = 25
RECONNECT_MS_MAX = 5_000
"""How long a lost connection waits before it is tried again: doubles from the first to the second."""

HEARTBEAT_MS = 5_000
HEARTBEAT_TIMEOUT_MS = 15_000
"""How soon a connection is known to be dead although nobody closed it (a pulled cable): it swallows frames."""


class Dealer:
    """The connection to one host.

    ZeroMQ does not try one again that was refused; nor does it tell: it takes nothing for it any more.
    """

    def __init__(self, socket: Socket, wait_s: float, now_s: Callable[[], float]) -> None:
        self.socket = socket
        self.wait_s = wait_s
        """How long after it was dialled it may be dialled again."""
        self._dialled_s = now_s()
        self._now_s = now_s
        self._taken = 0
        self._failing_s: float | None = None

    def sent(self) -> None:
        """It has taken a frame."""
        self._taken += 1
        self._failing_s = None

    def failed(self, now_s: float) -> None:
        """It takes no frame: it was refused, or is full."""
        if self._failing_s is None:
            self._failing_s = now_s

    def lasted(self) -> bool:
        """Tell whether it was there for long: what has refused it now is something new."""
        return self._now_s() - self._dialled_s > 2 * REDIAL_S_MAX

    def is_over(self) -> bool:
        """Tell whether it was refused, as far as can be told, and may be dialled again."""
        if self._failing_s is None:
            return False
        now_s = self._now_s()
        is_refused = self._taken < QUEUE_FRAMES_MAX or now_s - self._failing_s >= STUCK_S
        return is_refused and now_s - self._dialled_s >= self.wait_s


def configure(socket: Socket) -> None:
    """Set what all sockets of a host have in common: bounds, waits, and how soon a dead connection is known."""
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDHWM, QUEUE_FRAMES_MAX)
    socket.set(zmq.RCVHWM, QUEUE_FRAMES_MAX)
    socket.set(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
    socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
