"""Sagas as people look at them, and have them fail."""

from dataclasses import dataclass
from typing import Any

from peer.agents.saga import failing
from peer.cluster.effects import somebody
from peer.host.questions import SagaAnswer
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, check_text
from protocol.ids import AgentId, StepId


@dataclass(frozen=True)
class SagaSeen:
    """A saga that an agent has begun, as it stands."""

    agent: AgentId
    name: str
    status: str
    """`open`; `committed`; `failed`: it is undone; `stuck`: it has failed, and could not be undone."""
    root: StepId
    """The step that has begun it; of one that has failed, the one that was told so."""
    within: str
    """The saga that it is a part of; empty: none."""
    why: str
    """Why it has failed."""
    by: str
    """Who has said so."""
    checks: tuple[tuple[str, bool, str], ...]
    """What each check has said before it was committed: its name, whether it holds, and why not."""


def shown(agent: AgentId, found: SagaAnswer) -> SagaSeen:
    """Return a saga as people look at it."""
    root = StepId.parse(found.root)
    return SagaSeen(agent, found.name, found.status, root, found.parent, found.why, found.by, found.evidence)


def call_off_saga(name: Any, why: Any, by: Any) -> bytes:
    """Return the message that has a saga fail. Raises: CallerError, for what is no name or text."""
    nothing = "Nothing changed."
    who = check_text("by", (somebody() or "somebody") if by is None else by, NAME_CHARS_MAX, nothing)
    named = check_text("saga", name, NAME_CHARS_MAX, nothing)
    return failing(named, check_text("why", why, REASON_CHARS_MAX, nothing), who)
