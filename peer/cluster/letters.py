"""Dead letters as people look at them, have them handled after all, or drop them."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from peer import errors
from peer.agents import envelope
from peer.agents.agent import Agent
from peer.host.questions import LetterAnswer
from protocol.ids import AgentId
from protocol.step import Input

Ask = Callable[["DeadLetter", str], Awaitable[str]]


@dataclass(frozen=True)
class DeadLetter:
    """An input that an agent has given up, or a message to a name that nobody has; as a tuple `(input, reason)`."""

    agent: AgentId
    """Whose: who did not handle it, or who sent it to a name that nobody has."""
    message: Any
    """What was to be handled, asked or answered; where its class is not known here, a dict of its fields. None for a
    time, and for what makes or retires an agent."""
    reason: str
    at: datetime | None
    """Since when, UTC; None if the log does not say."""
    input: Input
    """As it stands in the log."""
    to: AgentId = ""
    """The name that nobody has, if that is why."""
    _ask: Ask | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The input's name: its lineage."""
        return self.input.lineage

    def __iter__(self) -> Iterator[Any]:
        return iter((self.input, self.reason))

    def __getitem__(self, at: int) -> Any:
        return (self.input, self.reason)[at]

    def __len__(self) -> int:
        return 2

    async def redrive(self) -> str:
        """Have the agent handle it after all, with all its tries; it is a dead letter no more. Return its new name.

        It depends on the same step as before: if that is undone, so is what comes of this.

        Raises: CallerError, if it is none any more, if the step that sent it is undone, or if it waits for a name that
            nobody has (it is sent by itself when there is such an agent); AgentUnknown, AskTimeout.
        """
        return await self._asked("redrive")

    async def discard(self) -> None:
        """Drop it: it is listed no more. It stays in the log.

        Raises: as `redrive`.
        """
        await self._asked("discard")

    async def _asked(self, verb: str) -> str:
        if self._ask is None:
            raise errors.CallerError("this dead letter was not listed by a cluster. Nothing changed.")
        if self.to:
            raise errors.CallerError(
                f"it waits for an agent {self.to!r}, and is sent when there is one; undo {self.input.producer} if it"
                " should not be. Nothing changed."
            )
        return await self._ask(self, verb)


def shown(found: LetterAnswer, agent: AgentId, kind: type[Agent] | None, ask: Ask) -> DeadLetter:
    """Return a dead letter as people look at it."""
    # It may be why it is dead that it can't be read.
    message = envelope.content(found.input.payload, {} if kind is None else kind.message_types)
    at = datetime.fromtimestamp(found.time_us / 1e6, UTC) if found.time_us else None
    return DeadLetter(agent, message, found.why, at, found.input, found.to, ask)
