"""Immutable statements with one writer, which gossip spreads to every host."""

from enum import IntEnum
from functools import lru_cache

from msgspec import Struct

from protocol.ids import AgentId, HostId, Number


class _Fact(Struct, frozen=True, tag=True):
    """Something that stays true."""


class HostFact(_Fact, frozen=True):
    """Where a host is reached and who lives there; a higher version replaces a lower one of the same host."""

    host: HostId
    version: Number
    address: str
    agents: tuple[AgentId, ...]
    spaces: tuple[tuple[AgentId, str], ...] = ()
    """Who subscribes to which space."""
    proof: bytes = b""
    """Shows that the host belongs here, and has said so (MB-2)."""


class Began(_Fact, frozen=True):
    """An agent's incarnation began (FR-1)."""

    agent: AgentId
    incarnation: Number
    lost: tuple[tuple[Number, Number], ...]
    """Earlier incarnations, each with its last step that is still known: all after that are lost."""
    proof: bytes = b""
    """Shows which host says so (TR-2); the machines pass it on, and do not look at it."""


class State(IntEnum):
    """How a host stands; within one incarnation a higher one stands against a lower one (MB-5)."""

    ALIVE = 0
    SUSPECT = 1
    FAILED = 2
    LEFT = 3


class Standing(_Fact, frozen=True):
    """A host lives on (said by itself, against a doubt), has failed, or has left (said by itself)."""

    host: HostId
    incarnation: Number
    state: State


class Suspicion(_Fact, frozen=True):
    """`by` has no answer from `host`. A doubt, not a fact: it is passed on, not kept, and ends by itself (MB-5)."""

    host: HostId
    incarnation: Number
    by: HostId


class Claim(_Fact, frozen=True):
    """An agent has moved to a host; the highest term stands, ties by host (MB-8). To be listed is a claim of term 1."""

    agent: AgentId
    term: Number
    host: HostId
    proof: bytes = b""
    """Shows that the host says so itself (TR-2)."""


class Edict(_Fact, frozen=True):
    """What is said to all hosts about who belongs and who may what (TR-3): its body proves itself to who reads it."""

    id: str
    """Follows from the body."""
    body: bytes


Fact = HostFact | Began | Standing | Suspicion | Claim | Edict


def fact_key(fact: Fact) -> str:
    """Return the name under which a later version of a fact replaces an earlier one."""
    match fact:
        case HostFact():
            return f"host/{fact.host}"
        case Standing():
            return f"standing/{fact.host}"
        case Began():
            return f"began/{fact.agent}/{fact.incarnation}"
        case Claim():
            return f"claim/{fact.agent}"
        case Suspicion():
            return f"suspicion/{fact.host}/{fact.by}"
        case Edict():
            return f"edict/{fact.id}"


def fact_version(fact: Fact) -> tuple[int, str]:
    """Return the version of a fact; of two with one key the higher stands."""
    match fact:
        case HostFact():
            return fact.version, ""
        case Standing():
            return rank(fact.incarnation, fact.state), ""
        case Began() | Edict():
            return 1, ""
        case Claim():
            return fact.term, fact.host
        case Suspicion():
            return fact.incarnation, ""


@lru_cache(maxsize=1 << 16)
def rank(incarnation: int, state: State) -> int:
    """Return the place of a host's standing among all that were ever said of it: the highest stands (MB-5)."""
    return incarnation * len(State) + state


def fact_weight(fact: Fact) -> int:
    """Return about how large a fact is: how many names it holds."""
    return 1 + len(fact.agents) + len(fact.spaces) if isinstance(fact, HostFact) else 1
