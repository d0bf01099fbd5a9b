"""A man in the middle: hands on what a member sends to a host, and keeps it."""

import asyncio
from collections.abc import Awaitable, Callable

from peer.transport.place import Place

Carry = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Relay:
    """Listens in the place of a host.

    Args:
        address: the host's.
    """

    def __init__(self, address: str) -> None:
        self._place = Place.of(address)
        self._servers: list[asyncio.Server] = []
        self.streams: list[bytearray] = []
        """What members have sent, by connection; those to the door are not among them."""

    async def open(self) -> str:
        """Begin; return the address by which a member comes through here: only the host, which has the key, answers."""
        ends = []
        for there, keeps in ((self._place.members, True), (self._place.door, False)):
            server = await asyncio.start_server(self._between(there, keeps), "127.0.0.1", 0)
            self._servers.append(server)
            ends.append(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        return str(Place(ends[0], ends[1], self._place.key))

    def close(self) -> None:
        """Stop."""
        for server in self._servers:
            server.close()

    def _between(self, there: str, keeps: bool) -> Carry:
        machine, _, port = there.removeprefix("tcp://").rpartition(":")

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner, outer = await asyncio.open_connection(machine, int(port))
            kept = bytearray()
            if keeps:
                self.streams.append(kept)
            await asyncio.gather(_carry(reader, outer, kept), _carry(inner, writer, None))

        return carry


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None) -> None:
    try:
        while data := await reader.read(65_536):
            if kept is not None:
                kept += data
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # one end has gone: so does the other
    finally:
        writer.close()
