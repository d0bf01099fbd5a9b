"""One proposal as one elector stands to it: its books, its vote, whom it tells and whom it asks (RB-4, RB-6, RB-8)."""

from hashlib import blake2b

from msgspec.structs import replace

from protocol.agent.ahead import Ahead
from protocol.agent.books import Books, keeper_of
from protocol.agent.part import Part
from protocol.ids import AgentId
from protocol.message import Ballot, Done
from protocol.proposal import Proposal, Suspect, Vote
from protocol.records import DecisionRecord

PATIENCE = 2
"""How many questions a keeper may leave unanswered before others are asked for all that they have heard."""

ASKED_AT_ONCE = 8
"""How many of the others are asked at a time: they answer with all that they have heard, so it spreads fast anyhow."""


class Case:
    """One proposal at one elector."""

    def __init__(self, proposal: Proposal) -> None:
        self.books = Books(proposal)
        self.keeper = keeper_of(proposal)
        self.vote: Vote | None = None
        """The last vote that is durable."""
        self.latest: Vote | None = None
        """The last vote that was made: it may still be in the writing."""
        self.busy = False
        """A vote is being made: the agent is asked, or the record written."""
        self.verdict: Done | None = None
        """What another elector has decided; heeded as soon as this one's own vote is durable."""
        self.part = Part()
        self.ahead = Ahead(self.keeper)
        self.told: dict[AgentId, int] = {}
        self._debited: dict[AgentId, int] = {}
        """By whom the durable votes debit, the last version that added to it."""
        self._differences: dict[int, Vote] = {}
        """By version, the durable votes as they were written."""
        self._suspects: tuple[Suspect, ...] = ()
        """What goes to the keeper with the next telling."""
        self.unanswered = 0
        """How many questions to the keeper it has left unanswered; of the keeper's own, how many it has asked."""
        self.wait_us = 0
        self.due_us: int | None = None

    def became_durable(self, vote: Vote, suspects: tuple[Suspect, ...] = ()) -> None:
        """The own vote is written, as the difference to the one before."""
        self.vote = vote.after(self.vote)
        self.books.take(vote)
        self._differences[vote.version] = vote
        self._suspects = suspects
        for step in vote.cone:
            self._debited.update(dict.fromkeys((debit.receiver for debit in step.sends), vote.version))

    def ended(self) -> None:
        """It is decided: what was kept to go on voting is not needed any more."""
        self.part, self.ahead, self._differences, self._suspects = Part(), Ahead(self.keeper), {}, ()

    def untold(self, me: AgentId) -> list[tuple[AgentId, Ballot]]:
        """Return who is to be told the own vote, and count them as told.

        These are whom it debits anew, so that they vote, and the keeper, who has all votes in the end and tells the end
        to all: E electors take some 4 E messages. A reject is told to all. Each is told what it has not been told.
        """
        vote, found = self.vote, list[tuple[AgentId, Ballot]]()
        if vote is None:
            return found
        for agent in dict.fromkeys((self.keeper, *self._debited)):
            told = self.told.get(agent, 0)
            is_due = agent == self.keeper or not vote.accepts
            if agent != me and told < (vote.version if is_due else self._debited[agent]):
                suspects = self._suspects if agent == self.keeper else ()
                found.append((agent, Ballot(self.books.proposal, (self._since(told, vote),), suspects=suspects)))
                self.told[agent] = vote.version
        self._suspects = ()
        return found

    def _since(self, told: int, vote: Vote) -> Vote:
        """Return a vote as the difference to a version before; whole, if that is not at hand."""
        steps = [self._differences.get(version) for version in range(told + 1, vote.version + 1)]
        between = [step for step in steps if step is not None]
        if told == 0 or len(between) < len(steps):
            return vote
        return replace(
            vote,
            cone=tuple(step for part in between for step in part.cone),
            credits=tuple(credit for part in between for credit in part.credits),
            effects=tuple(call for part in between for call in part.effects),
            since=told,
        )

    def questions(self, me: AgentId, vote: Vote) -> list[tuple[AgentId, Ballot]]:
        """Return whom to ask again, and with which votes.

        The keeper asks whoever owes it a vote; others ask the keeper, and whom their own steps have reached until these
        have answered once. So while one agent takes long to agree, the others' questions follow their number. Where the
        keeper is silent, the others are asked in turn, a few at a time: they tell all they have heard, so nobody
        depends on it. It asks them too, for it may not hear from everybody.
        """
        owing = [agent for agent in self.books.electors() if self.books.owes(agent)]
        if me == self.keeper:
            asked = dict.fromkeys(owing)
        else:
            asked = dict.fromkeys((self.keeper, *(agent for agent in sorted(self._debited) if self.books.owes(agent))))
        if self.unanswered >= PATIENCE:
            # Whom it credits is in its vote: after a crash that may be all that is left of what it had heard.
            others = {*owing, *self.books.reached(), *(credit.producer.agent for credit in vote.credits)}
            others.add(self.books.proposal.proposer)
            # Each in an order of its own: so what is heard spreads within a few rounds, and nobody is asked by all.
            left = sorted(others - asked.keys() - {me}, key=lambda agent: blake2b(f"{me} {agent}".encode()).digest())
            at = ASKED_AT_ONCE * (self.unanswered - PATIENCE) % len(left) if left else 0
            asked.update(dict.fromkeys((left[at:] + left[:at])[:ASKED_AT_ONCE]))
        self.unanswered += 1
        asked.pop(me, None)
        questions: list[tuple[AgentId, Ballot]] = []
        heard = self.books.heard()
        for agent in asked:
            owed = {known.voter: known for known in (vote, *self.books.creditors_of(agent))}
            questions.append((agent, Ballot(self.books.proposal, tuple(owed.values()), True, heard)))
        return questions

    def answered(self, sender: AgentId, message: Ballot) -> None:
        """Note that the keeper has heard a question, and with it this elector's vote: it will tell the end."""
        if sender == self.keeper and not message.wants:
            self.unanswered = 0

    def answer(self, me: AgentId, asker: AgentId, question: Ballot) -> Ballot | None:
        """Return what an elector that asks is told, or None if it is nothing.

        A keeper will tell the end, so it says that it has heard the question, also while its own agent takes its time.
        Another tells all that it has heard and the asker has not.
        """
        own = () if self.vote is None else (self.vote,)
        heard = tuple(vote for vote in self.books.votes.values() if vote.voter != asker)
        if me == self.keeper:
            # It can't decide before its own vote, but others can.
            return Ballot(self.books.proposal, heard if self.books.is_refused() else own)
        if self.vote is None:
            return None
        return Ballot(self.books.proposal, own if question.heard == self.books.heard() else heard)


def end_for(receiver: AgentId, record: DecisionRecord) -> Done:
    """Return a decision as it is told: to another elector the verdict is enough; what follows it works out itself."""
    done = Done(
        proposal=record.proposal.id,
        decision=record.decision,
        undone=record.retracted,
        electors=record.electors,
        rejects=record.rejects,
        notes=record.notes,
        decided_us=record.decided_us,
    )
    return done if receiver == record.proposal.proposer else verdict_of(done)


def verdict_of(done: Done) -> Done:
    """Return what any elector may be told of a decision."""
    return replace(done, undone=(), electors=(), notes=())
