"""What answers in the place of tools where nothing may leave: stand-ins, and what the log says that they answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from peer.agents.countering import COUNTER_TOOL
from peer.agents.functions import called
from peer.agents.tool import PURE, Call, Happened, NotHappened, Tool, encode_args
from peer.threads import pool_of
from peer.values import payload

StandIn = Callable[..., Any]
"""Takes what the tool takes, less its intent and resources; plain or async."""


@dataclass
class Rehearsed:
    """A tool's call that was not made, and what has answered in its place."""

    agent: str
    tool: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    value: Any
    by: str
    """`stand-in`, or `log`: the same call was made before, and this was its result."""
    undone: bool = False


class Rehearsal:
    """The tools of one world in which nothing leaves.

    Args:
        stand_ins: by tool's name, what answers in its place.
        answers: by tool's name and encoded arguments, what the log says that it has returned, encoded.
    """

    def __init__(self, stand_ins: Mapping[str, StandIn], answers: Mapping[tuple[str, bytes], bytes]) -> None:
        self._stand_ins = stand_ins
        self._answers = answers
        self.calls: list[Rehearsed] = []
        """All calls since its beginning, in order."""
        self._by_intent: dict[str, Rehearsed] = {}

    async def call(self, agent: str, tool: Tool[..., Any], intent: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """Answer in the place of a tool.

        Raises: NotHappened, if nothing stands for it; whatever its stand-in raises.
        """
        given = {name: value for name, value in kwargs.items() if name != "intent" or not tool.takes_intent}
        stand_in, by = self._stand_ins.get(tool.name), "stand-in"
        if stand_in is not None:
            value = await called(pool_of(Rehearsal, "tools"), stand_in, *args, **given)
        else:
            kept, by = self._answers.get((tool.name, encode_args(args, given))), "log"
            if kept is None:
                raise NotHappened(
                    f"{tool.name} is not called in a branch, and it was not called like this before. Give a stand-in:"
                    " branch(..., tools={tool: function})"
                )
            value = payload.decode(kept)
        done = Rehearsed(agent, tool.name, tuple(args), given, value, by)
        self.calls.append(done)
        self._by_intent[intent] = done
        return value

    def undo(self, call: Call) -> None:
        """Note that a call is undone."""
        if (done := self._by_intent.get(call.intent)) is not None:
            done.undone = True

    def check(self, call: Call) -> Happened | NotHappened:
        """Tell whether a call stands, as far as this world goes."""
        done = self._by_intent.get(call.intent)
        return NotHappened() if done is None or done.undone else Happened(done.value)

    def stands_for(self, tool: Tool[..., Any]) -> bool:
        """Tell whether something answers in the place of a tool: a pure one changes nothing, and is called."""
        if tool.name == COUNTER_TOOL.name:
            return False  # it has the branch's own effects countered
        return tool.kind != PURE or tool.name in self._stand_ins

    async def instead(
        self, agent: str, tool: Tool[..., Any], verb: str, intent: str, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Do what stands for a call, an undo or a check."""
        if verb == "undo":
            return self.undo(args[0])
        if verb == "check":
            return self.check(args[0])
        return await self.call(agent, tool, intent, args, kwargs)
