"""Effects of tools as people look at them, and settle them."""

import getpass
from dataclasses import dataclass
from typing import Any

from peer.agents.tool import decode_args
from peer.host.questions import EffectAnswer
from peer.values.fields import text
from protocol.ids import AgentId, StepId


@dataclass(frozen=True)
class Effect:
    """One call of a tool, and what has become of it."""

    intent: str
    """Its name: the tool has been given it, too."""
    agent: AgentId
    tool: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    state: str
    """`open` (called, no answer yet), `done`, `undoing`, `undone`, `doubt` (nobody can tell whether it happened), or
    `kept` (somebody has said that it stays)."""
    steps: tuple[StepId, ...]
    """The steps that have handled the input for which it was called, oldest first."""
    pending: bool
    """It is to be undone, and is not yet."""
    tries: int
    """How often its undo was tried since the agent has come up."""
    why: str
    """What the last try has raised."""
    again_s: float
    """In how many seconds it is tried again; 0: now."""


def shown(found: EffectAnswer, now_us: int) -> Effect:
    """Return an effect as people look at it."""
    args, kwargs = decode_args(found.args)
    again_s = max(0, found.again_us - now_us) / 1e6 if found.pending else 0.0
    return Effect(
        found.intent, agent_of(found.intent), found.tool, args, kwargs, found.state, found.steps, found.pending,
        found.tries, found.why, again_s,
    )  # fmt: skip


def agent_of(intent: str) -> AgentId:
    """Return whose call an intent is. Raises: CallerError, for what is no text."""
    return text("intent", intent).split("/", 1)[0]


def somebody() -> str:
    """Return the name of the person at this machine, as far as it knows one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
