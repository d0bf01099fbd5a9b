"""What can be asked of a host about all of its agents at once: questions follow the number of hosts, not of agents."""

from msgspec import Struct

from peer.host.health import DRAIN, HEALTH, MEASURE
from protocol.ids import AgentId

EACH = "each"
"""The question what each of some agents answers to another one."""
ORDER = "order"
"""The demand to take in what is said to all hosts, and to answer when it is durable: see `peer.trust.orders`."""
REST = "rest"
"""The question whether all agents are at rest."""
AT_ONCE = (EACH, REST, MEASURE, HEALTH, DRAIN)
"""They are answered as soon as they come: how long that takes tells how long it takes to ask a host."""


class Each(Struct, frozen=True, array_like=True):
    """What does each of these agents answer to this question?"""

    what: str
    agents: tuple[AgentId, ...]
    body: bytes


class Said(Struct, frozen=True, array_like=True):
    """What one of them answers; `error` names the kind of failure, and `body` is its text."""

    agent: AgentId
    body: bytes
    error: str = ""


class InSpaces(Struct, frozen=True, array_like=True):
    """How far an agent is in the shared spaces that it takes part in."""

    serves: dict[str, tuple[int, int]]
    """By space: the life of this agent's document, and how many entries it has had."""
    has: dict[str, dict[AgentId, tuple[int, int]]]
    """By space and author: the same, as far as it has arrived here."""


class AtRest(Struct, frozen=True, array_like=True):
    """Who is not at rest on a host."""

    life: int
    """When this life of the host began: what it counts begins anew then."""
    version: int
    """In which version it has announced who lives there: whoever knows another one does not know that."""
    moved: int
    """How often it was seen that an agent had made a step, or undone some, or had come, or gone."""
    busy: int
    """How many agents are not idle."""
    named: tuple[tuple[AgentId, tuple[str, ...]], ...] = ()
    """Some of them, each with what is under way."""
    unplaced: tuple[tuple[AgentId, tuple[AgentId, ...]], ...] = ()
    """Who has sent to names that no agent is known to have, and to which."""
    spaces: dict[AgentId, InSpaces] = {}
    """Who takes part in shared spaces."""
    broken: tuple[Said, ...] = ()
    """Who can't start, and why."""
