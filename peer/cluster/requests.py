"""Requests that wait to be let go, as people look at them, and release them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from peer.agents.tool import decode_args
from peer.cluster.effects import somebody
from peer.host import questions
from peer.host.questions import ReleaseAsk, RequestAnswer
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, check_text
from protocol.ids import AgentId, Lineage, StepId

Ask = Callable[[AgentId, str, bytes], Awaitable[bytes]]
Release = Callable[[AgentId, Lineage, str, str | None], Awaitable[None]]
_NOTHING = "Nothing was released."


@dataclass(frozen=True)
class PendingRequest:
    """A tool that an agent has requested, and that was not called yet: its step is not settled."""

    name: Lineage
    agent: AgentId
    step: StepId
    """The step that has requested it: undone, it is forgotten."""
    tool: str
    kind: str
    """`irreversible`, as a rule: others are called as soon as the step is durable."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    since_us: int
    """When its step ran, in microseconds since 1970."""
    until_us: int | None
    """When it is given up if it was not let go; None: never."""
    _release: Release = field(repr=False, compare=False)

    async def release(self, note: str, *, by: str | None = None) -> None:
        """Let it go now, though its step is not settled; see `Cluster.release`."""
        await self._release(self.agent, self.name, note, by)


def pending(agent: AgentId, found: RequestAnswer, release: Release) -> PendingRequest:
    """Return a request as people look at it."""
    args, kwargs = decode_args(found.args)
    until_us = found.until_us or None
    return PendingRequest(
        found.name, agent, found.step, found.tool, found.kind, args, kwargs, found.since_us, until_us, release
    )


async def release(ask: Ask, agent: AgentId, name: Any, note: Any, by: Any) -> None:
    """Let a request go.

    Raises: CallerError, if it does not wait, or for what is no name or text; AgentUnknown, AskTimeout.
    """
    wanted = check_text("request", name, NAME_CHARS_MAX, _NOTHING)
    check_text("note", note, REASON_CHARS_MAX, _NOTHING)
    who = check_text("by", (somebody() or "somebody") if by is None else by, NAME_CHARS_MAX, _NOTHING)
    await ask(agent, "release", questions.encode(ReleaseAsk(wanted, note, who)))
