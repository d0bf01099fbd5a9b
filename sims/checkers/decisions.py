"""All electors decide a proposal alike, and they are those whom its cone has reached."""

from collections.abc import Sequence

from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId, ProposalId
from protocol.records import DecisionRecord, Record
from sims.checkers.view import View, need

INVARIANT = "all decide alike"
KEPT = "a decision once seen is never unseen"


def check(view: View) -> None:
    """Raises: Broken."""
    for name, decided in view.decided.items():
        decisions = {record.decision for _, record in decided}
        need(len(decisions) == 1, INVARIANT, f"{name} was decided both ways: {[agent for agent, _ in decided]}")
        # What a disk has lost may have been what told whom the cone had reached.
        if decisions == {"commit"} and not view.has_lost:
            least, most = view.reached_by(decided[0][1].proposal)
            electors = {agent for agent, _ in decided}
            missing, strangers = least - electors, electors - most
            need(not missing and not strangers, INVARIANT, f"{name}: {missing} are missing, {strangers} not reached")


class Watch:
    """The same, while the world goes on and hosts come and go."""

    def __init__(self) -> None:
        self._decisions: dict[ProposalId, tuple[str, AgentId]] = {}
        self._seen: dict[AgentId, int] = {}
        self._read: dict[AgentId, int] = {}
        self._durable: dict[AgentId, dict[ProposalId, str]] = {}

    def saw(self, agent: AgentId, machine: PeerMachine, log: Sequence[Record], begins: bool) -> None:
        """Look at a machine after an event, or at the beginning of a life.

        Raises: Broken.
        """
        decided = machine.rollback.decided
        read = self._read.get(agent, 0)
        if begins:
            self._seen[agent] = 0
            if len(log) < read:
                # Its disk has lost the end: what was known only there is damage.
                self._durable[agent], read = {}, 0
        durable = self._durable.setdefault(agent, {})
        for record in log[read:] if len(log) > read else ():
            if isinstance(record, DecisionRecord):
                durable[record.proposal.id] = record.decision
        self._read[agent] = len(log)
        for name, decision in durable.items() if begins else ():
            known = decided.get(name)
            need(known is not None and known.decision == decision, KEPT, f"{agent} has forgotten {name}")
        if begins:
            # Decided in a life that ended before that was durable, and so before anybody could hear of it.
            forgotten = [name for name, (_, who) in self._decisions.items() if who == agent and name not in decided]
            for name in forgotten:
                del self._decisions[name]
        if len(decided) != self._seen.get(agent, 0):
            need(len(decided) > self._seen.get(agent, 0), KEPT, f"{agent} knows fewer decisions than before")
            self._seen[agent] = len(decided)
            for name, record in decided.items():
                first, who = self._decisions.setdefault(name, (record.decision, agent))
                need(first == record.decision, INVARIANT, f"{name}: {who} says {first}, {agent} {record.decision}")
