"""Immutable statements with one writer, which gossip spreads to every host."""

from msgspec import Struct

from protocol.ids import AgentId, HostId


class _Fact(Struct, frozen=True, tag=True):
    """Something that stays true."""


class HostFact(_Fact, frozen=True):
    """Where a host is reached and who lives there; a higher version replaces a lower one of the same host."""

    host: HostId
    version: int
    address: str
    agents: tuple[AgentId, ...]
    spaces: tuple[tuple[AgentId, str], ...] = ()
    """Who subscribes to which space."""
    mac: bytes = b""
    """Proof that the host was given the cluster's secret."""


class Began(_Fact, frozen=True):
    """An agent's incarnation began (FR-1)."""

    agent: AgentId
    incarnation: int
    lost: tuple[tuple[int, int], ...]
    """Earlier incarnations, each with its last step that is still known: all after that are lost."""


Fact = HostFact | Began


def fact_key(fact: Fact) -> str:
    """Return the name under which a later version of a fact replaces an earlier one."""
    if isinstance(fact, HostFact):
        return f"host/{fact.host}"
    return f"began/{fact.agent}/{fact.incarnation}"


def fact_version(fact: Fact) -> int:
    """Return the version of a fact; of two with one key the higher stands."""
    return fact.version if isinstance(fact, HostFact) else 1
