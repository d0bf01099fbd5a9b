"""What everything in a history stands on: its plan, its chance, its time; and what peers and their hosts see of it.

Peers, hosts and mishaps do not know the history that joins them: each names what else it needs beside this.
"""

from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from protocol.action import Append, UseTool
from protocol.ids import AgentId, HostId, StepId
from protocol.message import Message
from protocol.step import Entry
from sims.histories.plan import Plan


@dataclass(frozen=True)
class Stamp:
    """What every frame carries of its sender: colour and era."""

    host: HostId
    epoch: int
    era: int


@dataclass
class Arrival:
    """A message on its way."""

    sender: str
    message: Message
    stamp: Stamp
    held: bool = False
    """It waited until its sender was written down."""


class Ground(Protocol):
    """One history, as far as all in it need to know it."""

    plan: Plan
    rng: Random
    now_us: int
    events: int
    """How many events machines have handled."""

    def at(self, at_us: int, node: Any, life: int, what: Any) -> None:
        """Let something happen at a time; what is for a life of a node or host ends with that life."""
        ...


@dataclass
class Durable:
    order: Append


@dataclass
class Met:
    agent: AgentId


@dataclass
class ToolDue:
    order: UseTool


@dataclass
class Delivery:
    """Shared entries on their way."""

    entries: tuple[Entry, ...]
    stamp: Stamp


@dataclass
class Pull:
    """A subscriber asks an author for what it lacks."""

    subscriber: AgentId
    has: frozenset[tuple[StepId, int]]
