"""One proposal's books: electors, debits and credits, and the commit predicate (RB-3, RB-4).

Each elector evaluates this alone, from the votes that have reached it, in any order and with any delay. Both
verdicts are stable, and exclude each other: see docs/model/Rollback.tla. Work here follows what is new in a vote.
"""

from hashlib import blake2b

from protocol.ids import AgentId, MessageId, Number
from protocol.proposal import ConeStep, Credit, Debit, Proposal, Vote
from protocol.step import StepId

NO_EPOCH = 1 << 62
"""Newer than any: of no steps."""


def keeper_of(proposal: Proposal) -> AgentId:
    """Return the elector to whom all send their votes: it sees the whole books first. Nobody depends on it (RB-4)."""
    return min(root.agent for root in proposal.roots)


class Books:
    """What one peer knows of one proposal."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.votes: dict[AgentId, Vote] = {}
        """By voter, its whole vote, as far as is known."""
        self.owners: tuple[AgentId, ...] = tuple(dict.fromkeys(root.agent for root in proposal.roots))
        self.steps: list[ConeStep] = []
        """The cone steps of all votes, in the order in which they became known."""
        self.least_epoch = NO_EPOCH
        """The oldest epoch in which one of them ran."""
        self._debits: dict[AgentId, list[Credit]] = {}
        self._uncredited: dict[AgentId, dict[MessageId, AgentId]] = {}
        """By receiver, the debits that its vote does not credit, and by whom."""
        self._credited: dict[AgentId, set[MessageId]] = {}
        self._receivers: dict[AgentId, dict[AgentId, None]] = {}
        self._debited: dict[AgentId, dict[MessageId, Number]] = {}
        self._listed: set[StepId] = set()
        self._electors: dict[AgentId, None] = dict.fromkeys(self.owners)
        self._rejecting: dict[AgentId, None] = {}
        self._owing: AgentId | None = None
        """One that owed something when that was last looked at: mostly it still does."""

    def take(self, vote: Vote) -> bool:
        """Take in a vote, whole or the difference to one before; True if it is news."""
        known = self.votes.get(vote.voter)
        if not vote.follows(known) or not (whole := vote.after(known)).fits():
            return False
        self.votes[vote.voter] = whole
        receivers = self._receivers.setdefault(vote.voter, {})
        reached: list[AgentId] = []
        for listed in vote.cone:
            if listed.step not in self._listed:
                self._listed.add(listed.step)
                self.steps.append(listed)
                self.least_epoch = min(listed.epoch, self.least_epoch)
            for debit in listed.sends:
                self._debit(listed.step, debit)
                if debit.receiver not in receivers:
                    receivers[debit.receiver] = None
                    reached.append(debit.receiver)
        credited = self._credited.setdefault(vote.voter, set())
        uncredited = self._uncredited.get(vote.voter, {})
        for credit in (*vote.credits, *vote.refutes):
            message = MessageId(credit.producer, credit.at)
            credited.add(message)
            uncredited.pop(message, None)
        if not vote.accepts:
            self._rejecting[vote.voter] = None
        if vote.voter in self._electors:
            self._reach(reached)
        return True

    def heard(self) -> str:
        """Name all votes that are known here: equal names, equal votes."""
        text = "\n".join(f"{voter} {self.votes[voter].version}" for voter in sorted(self.votes))
        return blake2b(text.encode(), digest_size=12).hexdigest()

    def debits_to(self, agent: AgentId) -> list[Credit]:
        """Return the cone messages addressed to `agent`, as they became known; votes only grow, so these do."""
        return self._debits.get(agent, [])

    def says(self, agent: AgentId, debit: Credit) -> bool:
        """Tell whether a vote debits `agent` this message, under this number."""
        return self._debited.get(agent, {}).get(MessageId(debit.producer, debit.at)) == debit.number

    def concerns(self, agent: AgentId) -> bool:
        """Tell whether `agent` is known to be an elector."""
        return agent in self.owners or agent in self._debits

    def electors(self) -> tuple[AgentId, ...]:
        """Return the electors as far as is known: the roots' owners, and through debits whom their cone reached."""
        return tuple(sorted(self._electors))

    def reached(self) -> tuple[AgentId, ...]:
        """Return everybody who is known to be an elector, also where the votes that lead there were not heard."""
        found = dict.fromkeys((*self.owners, *self.votes))
        for voter in self.votes:
            found.update(self._receivers[voter])
        return tuple(sorted(found))

    def lists(self, step: StepId) -> bool:
        """Tell whether a vote lists a step."""
        return step in self._listed

    def has_credited(self, agent: AgentId, message: MessageId) -> bool:
        """Tell whether `agent`'s vote credits a message."""
        return message in self._credited.get(agent, ())

    def owes(self, agent: AgentId) -> bool:
        """Tell whether `agent`'s vote is missing, or lacks a credit for a debit that is known."""
        return agent not in self.votes or bool(self._uncredited.get(agent))

    def creditors_of(self, agent: AgentId) -> list[Vote]:
        """Return the votes with debits that `agent` has not credited: what it must hear to vote."""
        producers = set(self._uncredited.get(agent, {}).values())
        return [self.votes[voter] for voter in sorted(producers) if voter in self.votes]

    def is_balanced(self) -> bool:
        """Tell whether every elector has voted and accepts, and every debit is among its receiver's credits."""
        if self._owing is not None and self.owes(self._owing):
            return False
        self._owing = next((agent for agent in self._electors if self.owes(agent)), None)
        return self._owing is None and not self._is_rejected()

    def is_refused(self) -> bool:
        """Tell whether an elector rejects; that is final, whatever the books say (RB-4)."""
        return self._is_rejected()

    def rejects(self) -> tuple[tuple[AgentId, str], ...]:
        """Return who rejects, and why."""
        return tuple((voter, self.votes[voter].why) for voter in sorted(self._rejecting))

    def _is_rejected(self) -> bool:
        return any(agent in self._electors for agent in self._rejecting)

    def _debit(self, step: StepId, debit: Debit) -> None:
        message, receiver = MessageId(step, debit.at), debit.receiver
        debited = self._debited.setdefault(receiver, {})
        if message not in debited:
            debited[message] = debit.number
            self._debits.setdefault(receiver, []).append(Credit(step, debit.at, debit.number))
            if not self.has_credited(receiver, message):
                self._uncredited.setdefault(receiver, {})[message] = step.agent

    def _reach(self, todo: list[AgentId]) -> None:
        """The cone has reached these: they are electors, and so is whom it has reached from them."""
        while todo:
            agent = todo.pop()
            if agent not in self._electors:
                self._electors[agent] = None
                todo.extend(self._receivers.get(agent, ()))
