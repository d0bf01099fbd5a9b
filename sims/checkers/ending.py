"""Everything ends: each proposal is decided, its proposer has been told, and no peer has anything under way."""

from protocol.records import ProposedRecord
from sims.checkers.view import View, need

INVARIANT = "every proposal ends"


def check(view: View) -> None:
    """Raises: Broken."""
    for agent, machine in view.machines.items():
        busy = machine.under_way()
        need(not busy, INVARIANT, f"{agent} has {', '.join(busy)} under way")
    for agent, record in view.of(ProposedRecord):
        assert isinstance(record, ProposedRecord)
        need(record.proposal.id in view.outcomes, INVARIANT, f"{record.proposal.id} of {agent} has no outcome")
    for name in view.voters:
        need(name in view.decided, INVARIANT, f"{name} was voted on, and is not decided")
