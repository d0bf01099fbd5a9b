"""What an agent has slept through changes nothing of it (CP-13): to hear of all and of the end comes to the same."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from protocol.agent.machine import PeerMachine
from protocol.checkpoints.messages import ForAgent
from protocol.event import Recovered, RestoreDecided
from protocol.ids import AgentId
from protocol.limits import Limits
from protocol.records import Record


def difference(
    agent: AgentId, disk: Sequence[Record], missed: Sequence[ForAgent], told: Sequence[ForAgent], limits: Limits,
    now_us: int,
) -> str:  # fmt: skip
    """Compare two agents with the log of one that wakes: one has slept, and one has heard of everything.

    Args:
        agent: who.
        disk: its log.
        missed: what it has not heard of.
        told: what it hears as it wakes.
        limits: its limits.
        now_us: the time.

    Returns: how they differ; empty if they do not.
    """
    # What it is told of restores is not of what it has slept through.
    told = [event for event in told if not isinstance(event, RestoreDecided)]
    slept = _after(agent, disk, told, limits, now_us)
    awake = _after(agent, disk, [*missed, *told], limits, now_us)
    names = [name for name in slept if slept[name] != awake[name]]
    return "; ".join(f"{agent} has slept: its {name} is {slept[name]}, not {awake[name]}" for name in names)


def _after(
    agent: AgentId, disk: Sequence[Record], events: Sequence[ForAgent], limits: Limits, now_us: int
) -> dict[str, Any]:
    machine = PeerMachine(agent, limits)
    machine.handle(Recovered(tuple(disk), False, 1), now_us)
    for event in events:
        machine.handle(event, now_us)
    # Where its cuts stand, and when, is for people to look at; and each cut takes a moment of the hybrid time.
    return structs.asdict(structs.replace(machine.bases.make(), cuts=(), time_us=0))
