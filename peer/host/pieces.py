"""Frames that are too large for the wire, in pieces: what is allowed singly fits together, too (CL-6)."""

from collections import OrderedDict
from collections.abc import Iterator

from peer.errors import PayloadTooLarge
from protocol.errors import WireInvalid
from protocol.ids import HostId
from protocol.limits import PIECE_BYTES, WHOLE_BYTES_MAX
from protocol.wire import Piece

WHOLES_MAX = 4
"""Frames of one sender that are put together at once: the oldest goes, and comes again as all that is lost does."""


class Pieces:
    """What is cut here, and put together of what others have cut.

    Args:
        first: above every number of an earlier life: a time in microseconds will do.
    """

    def __init__(self, first: int) -> None:
        self._number = first
        self._coming: dict[HostId, OrderedDict[int, _Whole]] = {}

    def cut(self, body: bytes) -> Iterator[Piece]:
        """Yield a frame's pieces.

        Raises: PayloadTooLarge, before anything is cut.
        """
        if len(body) > WHOLE_BYTES_MAX:
            raise PayloadTooLarge(
                f"{len(body):,} bytes are to be sent at once; the limit is {WHOLE_BYTES_MAX:,}. Nothing was sent."
                " Send less."
            )
        self._number += 1
        count = -(-len(body) // PIECE_BYTES)
        for at in range(count):
            yield Piece(self._number, at, count, body[at * PIECE_BYTES : (at + 1) * PIECE_BYTES])

    def take(self, sender: HostId, piece: Piece, most: int) -> bytes | None:
        """Take in a piece; return the frame if it is whole now.

        Args:
            most: bytes of a whole, and of all that the sender has under way.

        Raises: WireInvalid, for what is no piece, or of too much.
        """
        if not 0 <= piece.at < piece.count <= most // PIECE_BYTES + 1 or len(piece.data) > PIECE_BYTES:
            raise WireInvalid(f"piece {piece.at} of {piece.count}, of {len(piece.data)} bytes")
        coming = self._coming.setdefault(sender, OrderedDict())
        whole = coming.get(piece.number)
        if whole is None:
            whole = coming[piece.number] = _Whole(piece.count)
            while len(coming) > WHOLES_MAX:
                coming.popitem(last=False)
        if piece.count != whole.count:
            raise WireInvalid(f"piece {piece.at} of {piece.count}, which were {whole.count} before")
        whole.parts[piece.at] = piece.data
        if len(whole.parts) < whole.count:
            while len(coming) > 1 and sum(one.size() for one in coming.values()) > most:
                coming.popitem(last=False)
            return None
        del coming[piece.number]
        if not coming:
            del self._coming[sender]
        return b"".join(whole.parts[at] for at in range(whole.count))


class _Whole:
    def __init__(self, count: int) -> None:
        self.count = count
        self.parts: dict[int, bytes] = {}

    def size(self) -> int:
        """Return about how many bytes are here."""
        return len(self.parts) * PIECE_BYTES
