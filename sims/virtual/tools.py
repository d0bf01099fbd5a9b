"""The world outside: what tools did to it, whoever remembers. Tools find the one of the loop that they run in."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from peer.agents.tool import Call, Happened, NotHappened, tool


@dataclass
class Posted:
    """One call as the world outside saw it."""

    intent: str
    args: tuple[object, ...]
    stands: bool = True
    calls: int = 1
    undos: int = 0


@dataclass
class Outside:
    """What stands, by intent."""

    posted: dict[str, Posted] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    """Intents that were called while they stood: an effect twice."""
    undo_failures: int = 0
    """How many of the next undos fail."""
    ports: dict[str, Any] = field(default_factory=dict)
    """What agents sense and do in somebody else's simulation, by name: see `sims.ports`."""

    def post(self, intent: str, *args: object) -> int:
        """Do it; return how many calls there were under this intent."""
        seen = self.posted.get(intent)
        if seen is None:
            self.posted[intent] = Posted(intent, args)
            return 1
        if seen.stands:
            self.doubled.append(intent)
        seen.stands, seen.args, seen.calls = True, args, seen.calls + 1
        return seen.calls

    def take_back(self, intent: str) -> None:
        """Undo it, if it stands.

        Raises: ConnectionError, if the world is made to fail.
        """
        if self.undo_failures > 0:
            self.undo_failures -= 1
            raise ConnectionError("the world outside does not answer")
        seen = self.posted.get(intent)
        if seen is not None and seen.stands:
            seen.stands, seen.undos = False, seen.undos + 1

    def standing(self) -> list[str]:
        """Return the intents that stand, in order."""
        return sorted(intent for intent, seen in self.posted.items() if seen.stands)


def outside() -> Outside:
    """Return the world outside of the loop that runs."""
    found = getattr(asyncio.get_running_loop(), "outside", None)
    assert isinstance(found, Outside), "this tool works in a simulated world only"
    return found


def _undo(call: Call) -> None:
    outside().take_back(call.intent)


def _check(call: Call) -> Happened | NotHappened:
    seen = outside().posted.get(call.intent)
    return Happened(seen.calls) if seen is not None and seen.stands else NotHappened()


# By the name that kept replays know it: their traces hold it.
@tool(undo=_undo, check=_check, name="sims.tools:post")
def post(*args: int, intent: str) -> int:
    """Do something that can be undone, and of which the world can tell whether it happened."""
    return outside().post(intent, *args)
