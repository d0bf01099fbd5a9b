"""What it takes to bring an agent up."""

from dataclasses import dataclass, field
from typing import Any

from peer.agent import Agent
from protocol.ids import AgentId


@dataclass(frozen=True)
class AgentSpec:
    """An agent to bring up on a host."""

    name: AgentId
    kind: type[Agent]
    options: dict[str, Any] = field(default_factory=dict)
    lost: bool = False
    """The end of its log is gone: begin a new incarnation and let everything go that hung on it."""
