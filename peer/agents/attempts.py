"""User code that ends the process: noted before it begins, so that the next life of its host knows what was under way.

A crash, a kill for want of memory or `os._exit` leaves no exception to count. So every run has a place in a small file
while it lasts. What stands there when a host begins was under way when the process ended: it is struck, and so are
innocent neighbours. Who was struck runs again while no other that was struck does; whoever ends the process then, as
often as its agent allows, is refused from there on, and the others go on. Source: the receive count of a message queue
(Amazon SQS, dead-letter queues), counted before the handler as in write-ahead logging.

The file is not synced: it is there to outlast the process, not the machine.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec

from peer import errors
from peer.store.files import Files
from peer.store.lock import hold
from protocol.errors import UNREADABLE

logger = logging.getLogger("ebbtide")

NAME_BYTES = 16
"""Of the hash that stands for a run in the file; zeros are an empty place."""
TURN_S = 60.0
"""How long one that was struck waits for another that was: longer than most handlers take."""
ENDS_MIN = 3
"""So often the process may end in any case: who allows a handler one try does not mean a kill from outside by it."""
STRUCK_MAX = 1000
"""Of those that are remembered; at the bound the oldest is forgotten, and has all its tries again."""
EMPTY = bytes(NAME_BYTES)


class Struck(msgspec.Struct, array_like=True):
    """A run that was under way when the process ended."""

    times: int
    was_alone: bool = False
    """Nothing else that was under way the last time can have ended it, but for what was new then."""


class Attempts:
    """The runs of user code of one process.

    Args:
        path: the file; without one, or where another process has it, nothing is noted and nobody is struck.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._files = Files()
        self._handle: int | None = None
        self._struck: dict[str, Struck] = {}
        self._refused: dict[str, str] = {}
        """In this life, and why."""
        self._free: list[int] = []
        self._places = 0
        self._turn = asyncio.Lock()
        self._told = False
        if path is not None:
            self._list = path.with_name(f"{path.name}.json")
            self._excuse = path.with_name(f"{path.name}.excused")
            self._open(path)

    def _open(self, path: Path) -> None:
        handle = self._handle = hold(path)
        if handle is None:
            return
        self._struck = self._listed()
        left = path.read_bytes()
        names = [left[at : at + NAME_BYTES] for at in range(0, len(left), NAME_BYTES)]
        running = dict.fromkeys(name.hex() for name in names if len(name) == NAME_BYTES and name != EMPTY)
        if self._excuse.exists():
            self._excuse.unlink()
        elif running:
            for name in running:
                known = self._struck.get(name)
                self._struck[name] = Struck(1 + (known.times if known else 0), known is not None or len(running) == 1)
            self._keep()
        self._files.truncate(handle, 0)

    def _listed(self) -> dict[str, Struck]:
        try:
            return msgspec.json.decode(self._list.read_bytes(), type=dict[str, Struck])
        except FileNotFoundError:
            return {}
        except UNREADABLE as error:
            logger.warning("%s is damaged, and ignored: %s", self._list, error)
            return {}

    def _keep(self) -> None:
        while len(self._struck) > STRUCK_MAX:
            del self._struck[next(iter(self._struck))]
        self._files.put(self._list, msgspec.json.encode(self._struck))

    def excuse(self) -> None:
        """The process is about to be ended from outside: whatever is under way then has no part in it."""
        if self._handle is not None:
            self._excuse.touch()

    @asynccontextmanager
    async def noted(self, name: str, tries: int, forgives: bool = False) -> AsyncIterator[None]:
        """Note a run while it lasts; one that was struck waits for its turn.

        Raises: ProcessEnded, if it has ended the process as often as it may: in later lives too, until it is pardoned,
            unless it `forgives`.
        """
        key = self._key(name)
        if key not in self._struck and key not in self._refused:
            with self._placed(key):
                yield
            return
        self._judge(key, tries, forgives)
        has_turn = await self._has_turn()
        try:
            with self._placed(key):
                yield
        finally:
            if has_turn:
                self._turn.release()

    @contextmanager
    def noted_now(self, name: str, tries: int) -> Iterator[None]:
        """Note what holds the loop while it lasts, so that nothing else runs; raises as `noted`, and forgives."""
        key = self._key(name)
        self._judge(key, tries, forgives=True)
        with self._placed(key):
            yield

    @staticmethod
    def _key(name: str) -> str:
        return blake2b(name.encode(errors="surrogatepass"), digest_size=NAME_BYTES).hexdigest()

    def _judge(self, key: str, tries: int, forgives: bool) -> None:
        struck = self._struck.get(key)
        if struck is not None and struck.was_alone and struck.times >= max(tries, ENDS_MIN):
            self._refused[key] = (
                f"the process of its host has ended {struck.times} times while this ran: it is not tried again. Look"
                " for a crash in native code, for os._exit, or for more memory than there is."
            )
            if forgives:
                del self._struck[key]
                self._keep()
            # What came of the refusal may not be durable yet, when the next one ends the process: it stays struck.
        if key in self._refused:
            raise errors.ProcessEnded(self._refused[key])

    def pardon(self, name: str) -> None:
        """Somebody wants a run tried again, whatever it has done to the process."""
        key = self._key(name)
        self._refused.pop(key, None)
        if self._struck.pop(key, None) is not None:
            self._keep()

    async def _has_turn(self) -> bool:
        try:
            await asyncio.wait_for(self._turn.acquire(), TURN_S)
        except TimeoutError:
            return False
        return True

    @contextmanager
    def _placed(self, key: str) -> Iterator[None]:
        if self._handle is None:
            yield
            return
        if self._free:
            place = self._free.pop()
        else:
            place, self._places = self._places, self._places + 1
        self._write(place, bytes.fromhex(key))
        try:
            yield
        finally:
            self._write(place, EMPTY)
            self._free.append(place)
            if self._struck.pop(key, None) is not None:
                self._keep()

    def _write(self, place: int, name: bytes) -> None:
        if self._handle is None:
            return
        try:
            self._files.write(self._handle, name, place * NAME_BYTES)
        except OSError as error:
            if not self._told:
                self._told = True
                logger.warning("runs can't be noted, so one that ends the process is tried again for ever: %s", error)

    def close(self) -> None:
        """The process ends in order: nothing that still runs is to blame."""
        if self._handle is not None:
            self._files.truncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None
