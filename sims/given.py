"""What a world is given, judged before anything starts: a mistake is named with its value and what to give instead."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from peer.agents.agent import Agent
from peer.errors import CallerError
from protocol.ids import AgentId, StepId
from sims.faults import AnyFault
from sims.topology import TOPOLOGIES

LEAST = {"hosts": 1, "agents_per_host": 0, "checkpoint_every": 0, "checkpoints_kept": 1, "replicas": 0, "successor": 0}
"""By number that a world is given, the least that it may be."""
SHARES = ("shared", "sharing", "calls", "failing", "rejects")
COUNTS = ("inputs", "depth", "fan_out", "keys", "shared_keys", "thinking_us", "payload", "begin")
"""Of a workload."""


def check_world(numbers: Mapping[str, float], topology: object, policy: object, checking: str) -> None:
    """Judge what a world is made of.

    Raises: CallerError.
    """
    for name, value in numbers.items():
        if not isinstance(value, int | float) or not value >= LEAST[name]:
            raise CallerError(f"{name}={value!r}: it is a number, at least {LEAST[name]}. Nothing was started.")
    if isinstance(topology, str) and topology not in TOPOLOGIES:
        raise CallerError(f"no topology {topology!r}; there are: {', '.join(TOPOLOGIES)}. Nothing was started.")
    if policy is not None and not callable(getattr(policy, "begin", None)):
        raise CallerError(
            f"checkpoint_policy={policy!r}: it has no begin(seed), which makes a policy for each life of a host"
            " (docs/policies.md). Nothing was started."
        )
    if checking not in ("each", "end"):
        raise CallerError(f"checking={checking!r}: it is 'each' or 'end'. Nothing was started.")


def check_kind(name: str, kind: object) -> None:
    """Raises: CallerError, if agents can't be of this class."""
    if not isinstance(kind, type) or not issubclass(kind, Agent):
        raise CallerError(f"agent {name!r}: {kind!r} is no class derived from peer.Agent. Nothing changed.")


def check_roots(roots: Iterable[StepId], known: Container[AgentId]) -> None:
    """Raises: CallerError, if a step is of an agent that there is not: it would be asked for till the end of time."""
    for root in roots:
        if root.agent not in known:
            raise CallerError(f"{root}: no agent {root.agent!r} was spawned in this world. Nothing was proposed.")


def check_fault(fault: object) -> None:
    """Raises: CallerError, if this is no fault, or one of an impossible share."""
    if not isinstance(fault, AnyFault):
        raise CallerError(f"{fault!r} is no fault of sims.faults. Nothing changed.")
    share = getattr(fault, "share", 0.0)
    if not 0 <= share <= 1:
        raise CallerError(f"{type(fault).__name__} with a share of {share}: shares are from 0 to 1. Nothing changed.")


def check_workload(workload: Any, agents: int) -> None:
    """Raises: CallerError, if a workload can't be, or nobody is there to do it."""
    if not agents:
        raise CallerError("agents_per_host=0: there is nobody to populate this world. Nothing changed.")
    for name in SHARES:
        if not 0 <= getattr(workload, name) <= 1:
            raise CallerError(f"Workload({name}={getattr(workload, name)}): shares are from 0 to 1. Nothing changed.")
    for name in COUNTS:
        if getattr(workload, name) < 0:
            raise CallerError(f"Workload({name}={getattr(workload, name)}): it is at least 0. Nothing changed.")
