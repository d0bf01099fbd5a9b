"""The protocols by name."""

from collections.abc import Callable
from typing import NamedTuple

from sims.baselines import chandy_lamport, damani_garg, ebbtide, koo_toueg, orchestrator, uncoordinated
from sims.baselines.process import Process, Setting


class Protocol(NamedTuple):
    """One way of undoing a wrong step."""

    processes: Callable[[Setting], list[Process]]
    exact: bool
    """It undoes the cone and nothing else."""
    title: str


PROTOCOLS: dict[str, Protocol] = {
    "chandy-lamport": Protocol(chandy_lamport.processes, False, "global snapshot, all go back"),
    "koo-toueg": Protocol(koo_toueg.processes, False, "coordinated, minimal set goes back"),
    "uncoordinated": Protocol(uncoordinated.processes, False, "checkpoints of one's own, domino effect"),
    "damani-garg": Protocol(damani_garg.processes, False, "vector clocks, orphan states go back"),
    "orchestrator": Protocol(orchestrator.processes, True, "one process is told every step"),
    "ebbtide": Protocol(ebbtide.processes, True, "negotiated among the cone"),
}


def protocol_of(name: str) -> Protocol:
    """Return a protocol by name.

    Raises: ValueError, naming the ones there are.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"no protocol {name!r}; there are: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
