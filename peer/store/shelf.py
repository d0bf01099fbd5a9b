"""Messages that wait far behind others, in files beside the log that have no name, and that only this process can read.

The log has them too, so nothing here is synced, and nothing outlives the process. What the disk does not take stays in
memory, and people are told; what it does not give back is asked for again.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from peer.store.files import Files
from protocol.action import Tell
from protocol.ids import AgentId

PART_BYTES = 64 << 20
"""So large is a file before the next is begun: one goes when nothing in it is waited for."""
PARTS = 16
"""Of the files that are there, the next is a part like this: so few are open, however much waits."""
GUESS_BYTES = 1024
"""So much is read at first: mostly that is all."""
AGAIN = 1000
"""So many stay in memory after a failure, before the disk is tried again."""
OFFSET_BITS = 40
HEAD_BYTES = 4


class _Part:
    """One file."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.size = 0
        self.left = 0
        """How many there that somebody may ask for."""


class DiskShelves:
    """The shelves of a host's agents; implements `ports.Shelves`. They share the files."""

    def __init__(self, folder: Path, told: Callable[[Tell], None], files: Files | None = None) -> None:
        self._folder = folder
        self._told = told
        """Called when the disk does not take something or give it back, and when it does again."""
        self._files = files or Files()
        self._cipher = AESGCM(AESGCM.generate_key(256))
        self._salt = secrets.token_bytes(4)
        self._parts: dict[int, _Part] = {}
        self._last = 0
        self._agents: dict[AgentId, DiskShelf] = {}
        self._skips = 0
        self._is_failing = False

    def of(self, agent: AgentId) -> "DiskShelf":
        """Begin an agent's shelf anew."""
        self.end(agent)
        self._agents[agent] = DiskShelf(self)
        return self._agents[agent]

    def end(self, agent: AgentId) -> None:
        """An agent is gone from here: nobody asks for what it had."""
        shelf = self._agents.pop(agent, None)
        if shelf is not None:
            for part, count in shelf.counts.items():
                self.drop(part, count)
            shelf.counts = {}

    def write(self, data: bytes) -> int | None:
        """Write bytes to a file; return their place, None if that can't be."""
        if self._skips:
            self._skips -= 1
            return None
        try:
            number, part = self._part()
            place = number << OFFSET_BITS | part.size
            sealed = self._cipher.encrypt(self._nonce(place), data, None)
            self._files.write(part.handle, len(sealed).to_bytes(HEAD_BYTES, "big") + sealed, part.size)
        except OSError as error:
            self._skips = AGAIN
            self._failed(error)
            for number, part in list(self._parts.items()):
                if not part.left:
                    self.drop(number, 0)
            return None
        part.size += HEAD_BYTES + len(sealed)
        part.left += 1
        if self._is_failing:
            self._is_failing = False
            self._told(Tell("shelf-works", str(self._folder), ""))
        return place

    def read(self, place: int) -> bytes | None:
        """Return what stands at a place; None if it can't be read."""
        handle, at = self._parts[place >> OFFSET_BITS].handle, place & ((1 << OFFSET_BITS) - 1)
        try:
            data = self._files.read(handle, GUESS_BYTES, at)
            end = HEAD_BYTES + int.from_bytes(data[:HEAD_BYTES], "big")
            if end > len(data):
                data += self._files.read(handle, end - len(data), at + len(data))
            return self._cipher.decrypt(self._nonce(place), data[HEAD_BYTES:end], None)
        except (OSError, InvalidTag) as error:
            self._failed(error)
            return None

    def drop(self, number: int, count: int = 1) -> None:
        """Nobody asks for so many of a file any more; without any it goes."""
        part = self._parts[number]
        part.left -= count
        if not part.left:
            del self._parts[number]
            os.close(part.handle)

    def _part(self) -> tuple[int, _Part]:
        part = self._parts.get(self._last)
        most = max(PART_BYTES, sum(each.size for each in self._parts.values()) // PARTS)
        if part is None or part.size >= most:
            path = self._folder / f"shelf-{secrets.token_hex(8)}"
            handle = self._files.create(path)
            try:
                self._files.remove(path)
            except OSError:
                os.close(handle)
                raise
            self._last += 1
            part = self._parts[self._last] = _Part(handle)
        return self._last, part

    def _nonce(self, place: int) -> bytes:
        return self._salt + place.to_bytes(8, "big")

    def _failed(self, error: Exception) -> None:
        if not self._is_failing:
            self._is_failing = True
            text = f"{type(error).__name__}: {error}; what waits stays in memory, or is asked for again"
            self._told(Tell("shelf-failed", str(self._folder), text))


class DiskShelf:
    """One agent's; implements `protocol.agent.shelf.Shelf`."""

    def __init__(self, shelves: DiskShelves) -> None:
        self._shelves = shelves
        self._kept: dict[int, bytes] = {}
        """What the disk has not taken, by place: those of no file."""
        self._next = 0
        self.counts: dict[int, int] = {}
        """By file, how many there that are this agent's."""

    def put(self, data: bytes) -> int:
        """Keep bytes; return their place."""
        place = self._shelves.write(data)
        if place is None:
            place, self._next = self._next, self._next + 1
            self._kept[place] = data
        else:
            part = place >> OFFSET_BITS
            self.counts[part] = self.counts.get(part, 0) + 1
        return place

    def get(self, place: int) -> bytes | None:
        """Return what was put there; None if it can't be read for now."""
        return self._kept[place] if place >> OFFSET_BITS == 0 else self._shelves.read(place)

    def drop(self, place: int) -> None:
        """Nobody asks for what is there any more."""
        part = place >> OFFSET_BITS
        if not part:
            del self._kept[place]
            return
        self.counts[part] -= 1
        if not self.counts[part]:
            del self.counts[part]
        self._shelves.drop(part)
