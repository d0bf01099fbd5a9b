"""One proposal's books: electors, debits and credits, and the commit predicate (RB-3, RB-4).

Each elector evaluates this alone, from the votes that have reached it, in any order and with any delay. Both
verdicts are stable, and exclude each other: see docs/model/Rollback.tla.
"""

from hashlib import blake2b

from protocol.ids import AgentId, MessageId
from protocol.proposal import Credit, Debit, Proposal, Vote
from protocol.step import StepId


def keeper_of(proposal: Proposal) -> AgentId:
    """Return the elector to whom all send their votes: it sees the whole books first. Nobody depends on it (RB-4)."""
    return min(root.agent for root in proposal.roots)


class Books:
    """What one peer knows of one proposal."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.votes: dict[AgentId, Vote] = {}
        self.owners: tuple[AgentId, ...] = tuple(dict.fromkeys(root.agent for root in proposal.roots))
        self._debits: dict[AgentId, dict[MessageId, Credit]] = {}
        self._receivers: dict[AgentId, dict[AgentId, None]] = {}
        self._credited: dict[AgentId, set[MessageId]] = {}

    def take(self, vote: Vote) -> bool:
        """Take in a vote; True if it is newer than what was known of its voter."""
        known = self.votes.get(vote.voter)
        if known is not None and known.version >= vote.version:
            return False
        self.votes[vote.voter] = vote
        receivers = self._receivers.setdefault(vote.voter, {})
        for step, sends, _ in vote.cone:
            for debit in sends:
                self._debit(step, debit)
                receivers[debit.receiver] = None
        self._credited[vote.voter] = {MessageId(credit.producer, credit.at) for credit in vote.credits}
        return True

    def heard(self) -> str:
        """Name all votes that are known here: equal names, equal votes."""
        text = "\n".join(f"{voter} {self.votes[voter].version}" for voter in sorted(self.votes))
        return blake2b(text.encode(), digest_size=12).hexdigest()

    def debits_to(self, agent: AgentId) -> dict[MessageId, Credit]:
        """Return the cone messages addressed to `agent`, as far as is known; votes only grow, so these do."""
        return self._debits.get(agent, {})

    def concerns(self, agent: AgentId) -> bool:
        """Tell whether `agent` is known to be an elector."""
        return agent in self.owners or agent in self._debits

    def electors(self) -> tuple[AgentId, ...]:
        """Return the electors as far as is known: the roots' owners, and through debits whom their cone reached."""
        found: dict[AgentId, None] = dict.fromkeys(self.owners)
        todo = list(found)
        while todo:
            for receiver in self._receivers.get(todo.pop(), ()):
                if receiver not in found:
                    found[receiver] = None
                    todo.append(receiver)
        return tuple(sorted(found))

    def reached(self) -> tuple[AgentId, ...]:
        """Return everybody who is known to be an elector, also where the votes that lead there were not heard."""
        found = dict.fromkeys((*self.owners, *self.votes))
        for voter in self.votes:
            found.update(self._receivers[voter])
        return tuple(sorted(found))

    def owes(self, agent: AgentId) -> bool:
        """Tell whether `agent`'s vote is missing, or lacks a credit for a debit that is known."""
        if agent not in self.votes:
            return True
        return not self._debits.get(agent, {}).keys() <= self._credited[agent]

    def creditors_of(self, agent: AgentId) -> list[Vote]:
        """Return the votes with debits that `agent` has not credited: what it must hear to vote."""
        missing = self._debits.get(agent, {}).keys() - self._credited.get(agent, set())
        producers = {message.producer.agent for message in missing}
        return [self.votes[voter] for voter in sorted(producers) if voter in self.votes]

    def is_balanced(self) -> bool:
        """Tell whether every elector has voted and accepts, and every debit is among its receiver's credits."""
        return all(not self.owes(agent) and self.votes[agent].accepts for agent in self.electors())

    def is_refused(self) -> bool:
        """Tell whether an elector rejects; that is final, whatever the books say (RB-4)."""
        return any(agent in self.votes and not self.votes[agent].accepts for agent in self.electors())

    def rejects(self) -> tuple[tuple[AgentId, str], ...]:
        """Return who rejects, and why."""
        return tuple((voter, vote.why) for voter, vote in sorted(self.votes.items()) if not vote.accepts)

    def _debit(self, step: StepId, debit: Debit) -> None:
        debits = self._debits.setdefault(debit.receiver, {})
        debits[MessageId(step, debit.at)] = Credit(step, debit.at, debit.number)
