"""Agents outside a cone never pause: nobody but its electors hears of a rollback, votes, or freezes anything."""

from collections.abc import Sequence

from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId
from protocol.records import Record
from sims.checkers.view import View, need

INVARIANT = "agents outside the cone never pause"


def check(view: View) -> None:
    """Raises: Broken."""
    for agent, machine in view.machines.items():
        need(len(machine.core.quarantine) == 0, INVARIANT, f"{agent} has frozen steps, and nothing is undecided")
    for name in {*view.heard, *view.voters}:
        decided = view.decided.get(name)
        if not decided or view.has_lost:
            continue
        proposal = decided[0][1].proposal
        _, electors = view.reached_by(proposal)
        strangers = {*view.heard.get(name, ()), *view.voters.get(name, ())} - electors - {proposal.proposer}
        need(not strangers, INVARIANT, f"{name}: {sorted(strangers)} heard of it")


class Watch:
    """While the world goes on: whoever has frozen anything takes part in something undecided."""

    def saw(self, agent: AgentId, machine: PeerMachine, log: Sequence[Record], begins: bool) -> None:
        """Look at a machine after an event.

        Raises: Broken.
        """
        frozen = len(machine.core.quarantine)
        if frozen:
            undecided = len(machine.rollback.undecided())
            need(frozen <= undecided, INVARIANT, f"{agent} has frozen {frozen} parts, of {undecided} undecided cones")
