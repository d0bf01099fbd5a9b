"""Invariants, a file each, on machines and logs: judged while a world goes on, and when it has come to rest."""

from collections.abc import Callable, Sequence

from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId
from protocol.records import Record
from sims.checkers import (
    accusations,
    clocks,
    cones,
    decisions,
    effects,
    ending,
    inputs,
    losses,
    messages,
    orphans,
    overseers,
    quarantine,
    replicas,
    requests,
    state,
)
from sims.checkers.view import Broken, Said, View

__all__ = ["CHECKS", "Broken", "Said", "View", "Watches", "check_all"]

CHECKS: dict[str, Callable[[View], None]] = {
    module.INVARIANT: module.check
    for module in (
        decisions, cones, orphans, messages, inputs, state, replicas, quarantine, effects, clocks, losses, ending,
        requests, overseers, accusations,
    )
}  # fmt: skip
"""By invariant, what judges a world at rest."""


def check_all(view: View) -> None:
    """Judge a world at rest.

    Raises: Broken, naming the first invariant that does not hold.
    """
    for check in CHECKS.values():
        check(view)


class Watches:
    """What judges machines after each event."""

    def __init__(self) -> None:
        self._watches = (decisions.Watch(), quarantine.Watch(), requests.Watch())

    def saw(self, agent: AgentId, machine: PeerMachine, log: Sequence[Record], begins: bool = False) -> None:
        """Judge a machine after an event, or when a life of it begins.

        Raises: Broken; AssertionError, if the machine's own check fails.
        """
        machine.check()
        for watch in self._watches:
            watch.saw(agent, machine, log, begins)
