"""Whose frame is next: each sender waits in a line of its own, and has its share of this host's time (TR-8).

Whoever sends more, or what takes longer to read, waits longer itself. What does not fit into its line is dropped and
counted, as a network would drop it; the protocol sends again what it needs. Source: Goyal, Vin and Cheng 1996
(start-time fair queuing).
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from time import perf_counter

from protocol.ids import HostId

LINE_FRAMES_MAX = 8_192
LINE_BYTES_MAX = 128 << 20
"""Of what one sender has waiting here: the largest thing that is sent as a whole fits in, and no flood does."""
SENDERS_MAX = 4_096
"""Senders whose used time is remembered though they have nothing waiting."""


class _Line:
    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.size = 0
        self.used_s = 0.0


class Turns:
    """What has come and was not read yet.

    Args:
        read: takes a sender and its frame.
        seconds: the time, for what reading takes.
    """

    def __init__(self, read: Callable[[HostId, bytes], None], seconds: Callable[[], float] = perf_counter) -> None:
        self._read = read
        self._seconds = seconds
        self._lines: dict[HostId, _Line] = {}
        self._next: list[tuple[float, int, HostId]] = []
        self._count = 0
        self._time_s = 0.0
        """How much of its time whoever was next had used by then."""

    def __bool__(self) -> bool:
        return bool(self._next)

    @property
    def is_full(self) -> bool:
        """Somebody's line is full, and nobody else waits: the rest may as well wait at its sender."""
        if len(self._next) != 1:
            return False
        line = self._lines[self._next[0][2]]
        return line.size >= LINE_BYTES_MAX or len(line.frames) >= LINE_FRAMES_MAX

    def put(self, sender: HostId, frame: bytes) -> bool:
        """Put a frame in its sender's line; False if there is no room."""
        line = self._lines.get(sender)
        if line is None:
            line = self._lines[sender] = _Line()
            self._forget()
        if len(line.frames) >= LINE_FRAMES_MAX or line.size + len(frame) > LINE_BYTES_MAX:
            return False
        if not line.frames:
            # Whoever was away has no claim to the time that others have used meanwhile.
            line.used_s = max(line.used_s, self._time_s)
            self._push(sender, line)
        line.frames.append(frame)
        line.size += len(frame)
        return True

    def one(self) -> None:
        """Read the next frame; there has to be one."""
        self._time_s, _, sender = heappop(self._next)
        line = self._lines[sender]
        frame = line.frames.popleft()
        line.size -= len(frame)
        began = self._seconds()
        try:
            self._read(sender, frame)
        finally:
            line.used_s += max(self._seconds() - began, 0.0)
            if line.frames:
                self._push(sender, line)

    def clear(self) -> None:
        """Drop all that waits."""
        self._lines.clear()
        self._next.clear()

    def _push(self, sender: HostId, line: _Line) -> None:
        self._count += 1
        heappush(self._next, (line.used_s, self._count, sender))

    def _forget(self) -> None:
        if len(self._lines) > SENDERS_MAX:
            for sender in [sender for sender, line in self._lines.items() if not line.frames][: SENDERS_MAX // 2]:
                del self._lines[sender]
