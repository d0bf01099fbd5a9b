"""Invariants: what has to hold of the states of several agents, wherever a checkpoint's cut goes through them.

No step inside a cut hangs on one outside, so the states at a cut are ones that the agents may have had at one moment.
What was on its way between them then is in nobody's state: a sum over agents has to count it. Source: Chandy and
Lamport, Distributed Snapshots, ACM TOCS 3(1), 1985.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from peer.errors import ConfigInvalid
from peer.values.fields import number, text
from protocol.ids import AgentId

WHY_CHARS_MAX = 2_000
"""Of why an invariant does not hold: it stands in the log and in the cases of a watcher."""

States = Mapping[AgentId, dict[Any, Any]]
"""By agent, its state."""


class Broken(Struct, frozen=True):
    """Why an invariant does not hold, and whose fault it seems to be."""

    why: str
    agents: tuple[AgentId, ...] = ()
    """Some of the invariant's; empty: any of them may be."""


class Invariant(Struct, frozen=True):
    """Something that has to hold of agents' states at every cut.

    Args:
        name: as in findings, and in the log as `invariant/NAME`.
        check: is given the states by agent; returns True if it holds, or why not: a text, or a `Broken` that names
            suspects. False is no reason, but counts as one. It runs in a thread of its own.
        agents: of whom it speaks.
        score: how wrong the steps are that have broken it, as detectors say it.
        limit_s: for how many seconds it is waited for; then that is what was found.

    Raises: ConfigInvalid.
    """

    name: str
    check: Callable[[States], Any]
    agents: tuple[AgentId, ...]
    score: float = 1.0
    limit_s: float = 10.0

    def __post_init__(self) -> None:
        text("the name of an invariant", self.name, is_empty_ok=False)
        number("score", self.score)
        if not callable(self.check):
            raise ConfigInvalid(f"the check of invariant {self.name!r} is {self.check!r}, and no function.")
        if isinstance(self.agents, str) or not all(isinstance(each, str) for each in self.agents) or not self.agents:
            raise ConfigInvalid(
                f"invariant {self.name!r}: agents is {self.agents!r}, and not the names of agents."
                " Write agents=('a', 'b')."
            )
        if number("limit_s", self.limit_s) <= 0:
            raise ConfigInvalid(f"invariant {self.name!r}: limit_s is {self.limit_s:g}, and not more than 0.")

    async def look(self, states: States) -> "Judged":
        """Return whether it holds of these states. It raises nothing, and takes no longer than its limit."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Judged] = loop.create_future()

        def tell(found: Judged) -> None:
            if not ended.done():
                ended.set_result(found)

        def run() -> None:
            found = self._judged(states)
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, found)

        # A thread that nobody waits for at the end: a check may hang for good.
        threading.Thread(target=run, name=f"invariant {self.name}", daemon=True).start()
        try:
            return await asyncio.wait_for(ended, self.limit_s)
        except TimeoutError:
            return Judged(f"its check has not answered within {self.limit_s:g} s", is_error=True)

    def _judged(self, states: States) -> "Judged":
        try:
            said = self.check(states)
        except BaseException as error:  # noqa: BLE001  # whatever it raises is what was found
            return Judged(_cut(f"its check has raised {type(error).__name__}: {error}"), is_error=True)
        if inspect.iscoroutine(said):
            said.close()
        if said is True:
            return Judged("")
        if said is False:
            return Judged("it does not hold")
        if isinstance(said, str) and said:
            return Judged(_cut(said))
        if isinstance(said, Broken) and said.why and set(said.agents) <= set(self.agents):
            return Judged(_cut(said.why), said.agents)
        return Judged(_cut(f"its check has returned {said!r}: neither True nor why it does not hold"), is_error=True)


class Judged(Struct, frozen=True):
    """What a check has come to."""

    why: str
    """Empty: it holds."""
    agents: tuple[AgentId, ...] = ()
    is_error: bool = False
    """The check itself has failed: nobody knows whether it holds."""

    @property
    def holds(self) -> bool:
        """Whether it holds."""
        return not self.why


def _cut(why: str) -> str:
    return why if len(why) <= WHY_CHARS_MAX else f"{why[: WHY_CHARS_MAX - 3]}..."
