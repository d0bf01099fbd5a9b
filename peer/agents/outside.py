"""What a run reads and writes outside: agents that speak through a database hang on each other (SH-5).

The scopes that a class's tools name are spaces of their own, which its handlers do not see. Who writes a key leaves an
entry there, with its step; who reads it reads that entry, too. So all that holds of shared spaces holds of the outside.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from peer import errors
from peer.agents.keys import Touched, touched
from peer.agents.spaces import Spaces
from peer.agents.tool import Tool
from protocol.agent.folds import Op
from protocol.step import OUTSIDE, Entry

CatchUp = Callable[[str], Awaitable[None]]
"""Hears of a space's authors what they have written up to now."""
MARK = Op("mark")


async def alone(space: str) -> None:
    """Nobody else is there to be heard."""


class Outside:
    """What one run has read and written outside.

    Args:
        spaces: those of the run.
        joined: the spaces of the agent's class.
        catch_up: hears what others have written up to now.
    """

    def __init__(self, spaces: Spaces, joined: tuple[str, ...], catch_up: CatchUp) -> None:
        self._spaces = spaces
        self._joined = joined
        self._catch_up = catch_up
        self.writes: dict[str, None] = {}
        """Spaces in which this run has written: others wait for its end before they read there."""
        self._marked: dict[str, None] = {}

    async def around(
        self, tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], call: Callable[[], Awaitable[Any]]
    ) -> Any:
        """Call a tool, and note what it has read and written.

        Raises: what the call raises; CallerError, if what it touches is not known.
        """
        if not (tool.reads or tool.writes):
            return await call()
        writes, reads = self._touched(tool, args, kwargs)
        both = list(dict.fromkeys((*writes, *reads)))
        await self._note(both)
        self._mark(writes)
        try:
            return await call()
        finally:
            # Also where it has failed: what it has seen may be in how it failed.
            await self._note(reads)

    def requested(self, tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A tool will be called for this step: what it will write hangs on this, and this on what was written before.

        Raises: CallerError, if what it touches is not known.
        """
        writes, reads = self._touched(tool, args, kwargs)
        for each in dict.fromkeys((*writes, *reads)):
            self._read(each)
        self._mark(writes)

    async def answered(self, tool: Tool[..., Any] | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A tool was called for an earlier step: note what it has read."""
        if tool is not None and tool.reads:
            await self._note(self._touched(tool, args, kwargs)[1])

    def _touched(
        self, tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Touched], list[Touched]]:
        writes = touched(tool.name, tool.writes, args, kwargs)
        reads = touched(tool.name, tool.reads, args, kwargs)
        for each in (*writes, *reads):
            if each.space not in self._joined:
                raise errors.CallerError(
                    f"this agent's class does not see {tool.name} where it is declared, so nobody knows that it touches"
                    f" {each.space.removeprefix(OUTSIDE)!r}. Nothing happened. Name the tool in its module, or in the"
                    " class."
                )
        return writes, reads

    async def _note(self, keys: list[Touched]) -> None:
        for space in dict.fromkeys(each.space for each in keys):
            await self._catch_up(space)
        for each in keys:
            self._read(each)

    def _read(self, touched: Touched) -> None:
        for writer in latest(self._spaces.peek(touched.key)):
            self._spaces.note(touched.key, writer)

    def _mark(self, keys: list[Touched]) -> None:
        for space, key in keys:
            self.writes[space] = None
            if key not in self._marked:
                self._marked[key] = None
                self._spaces.write(key, MARK)


def latest(entries: list[Entry]) -> list[Any]:
    """Return the writers of those entries that no other of them is known to follow: whoever came last, or together."""
    found: list[Entry] = []
    for entry in reversed(entries):
        agent, incarnation, seq = entry.writer
        if not any(later.clock.get(agent, (0, 0)) >= (incarnation, seq) for later in found):
            found.append(entry)
    return [entry.writer for entry in found]
