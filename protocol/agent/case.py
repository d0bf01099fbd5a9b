"""One proposal as one elector stands to it: its books, its vote, whom it tells and whom it asks (RB-4, RB-6, RB-8)."""

from hashlib import blake2b

from msgspec.structs import replace

from protocol.agent.ahead import Ahead
from protocol.agent.books import Books, keeper_of
from protocol.agent.part import Part
from protocol.ids import AgentId, StepId
from protocol.message import Ballot, Done
from protocol.proposal import ConeStep, Debit, Finding, Proposal, Suspect, Vote
from protocol.records import DecisionRecord

PATIENCE = 2
"""How many questions a keeper may leave unanswered before others are asked for all that they have heard."""

FINDINGS_MAX = 100
"""Of one proposal, that an elector remembers: the newest. The log has them all."""

ASKED_AT_ONCE = 8
"""How many of the others are asked at a time: they answer with all that they have heard, so it spreads fast anyhow."""

TOLD_MAX = 64
"""Steps and debits of a vote that is told to whom it debits. Of a longer one each is told what concerns it: else a step
that reaches N others would cost N times N."""


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
        self.asked: StepId | None = None
        """The oldest step of the part that the agent was asked about last (RB-12)."""
        self.asked_steps = 0
        """How many steps that part had: it only grows."""
        self.findings: tuple[Finding, ...] = ()
        """What the agent has looked at, the newest last."""
        self.unlisted = 0
        """How many of them no vote's record has."""
        self.verdict: Done | None = None
        """What another elector has decided; heeded as soon as this one's own vote is durable."""
        self.part = Part()
        self.ahead = Ahead(self.keeper)
        self.told: dict[AgentId, int] = {}
        self._debited: dict[AgentId, int] = {}
        """By whom the durable votes debit, the last version that added to it."""
        self._untold: dict[AgentId, None] = {}
        """Who may have to be told the last of them."""
        self._differences: dict[int, Vote] = {}
        """By version, the durable votes as they were written."""
        self.suspected: dict[StepId, int] = {}
        """Own steps that were told as suspects, and with which version."""
        self._suspects: tuple[Suspect, ...] = ()
        """What goes to the keeper with the next telling."""
        self.epochs: dict[StepId, int] = {}
        """In which epochs others' roots ran, as their owners say themselves (RB-15)."""
        self.accused: dict[AgentId, None] = {}
        """Who has been found to say what can't be (RB-15)."""
        self.unanswered = 0
        """How many questions to the keeper it has left unanswered; of the keeper's own, how many it has asked."""
        self.wait_us = 0
        self.due_us: int | None = None

    def may_end(self, sender: AgentId, message: Done) -> bool:
        """Tell whether a word of the end is of one who has seen the proposal, or of its proposer's own outcome."""
        proposal = self.books.proposal
        return message.shows == proposal.shown() or (sender == proposal.proposer and not message.shows)

    def became_durable(self, vote: Vote, suspects: tuple[Suspect, ...] = ()) -> None:
        """The own vote is written, as the difference to the one before."""
        vote = vote if vote.whole else vote.sealed(self.vote)  # older logs do not name it
        self.vote = vote.after(self.vote)
        self.books.take(vote)
        self._differences[vote.version] = vote
        self._suspects = suspects
        fresh = dict.fromkeys((debit.receiver for step in vote.cone for debit in step.sends), vote.version)
        self._debited.update(fresh)
        self._untold.update(dict.fromkeys((self.keeper, *(fresh if vote.accepts else self._debited))))

    def is_to_vote(self) -> bool:
        """Tell whether there is anything to vote; before the first vote that waits for what is doubted (RB-15)."""
        return self.part.is_new() or (self.vote is None and not self.part.doubted)

    def found(self, findings: tuple[Finding, ...]) -> None:
        """The agent has looked at something."""
        self.findings = (*self.findings, *findings)[-FINDINGS_MAX:]
        self.unlisted = min(self.unlisted + len(findings), FINDINGS_MAX)

    def list_findings(self) -> tuple[Finding, ...]:
        """Return the findings that no vote's record has, and count them as listed."""
        count, self.unlisted = self.unlisted, 0
        return self.findings[len(self.findings) - count :]

    def ended(self) -> None:
        """It is decided: what was kept to go on voting is not needed any more."""
        self.part, self.ahead, self.suspected = Part(), Ahead(self.keeper), {}
        self._differences, self._suspects = {}, ()

    def untold(self, me: AgentId) -> list[tuple[AgentId, Ballot]]:
        """Return who is to be told the own vote, and count them as told.

        These are whom it debits anew, so that they vote, and the keeper, who has all votes in the end and tells the end
        to all: E electors take some 4 E messages. A reject is told to all. Each is told what it has not been told.
        """
        vote, found = self.vote, list[tuple[AgentId, Ballot]]()
        if vote is None:
            return found
        news: dict[int, tuple[Vote, dict[AgentId, list[ConeStep]] | None]] = {}
        untold, self._untold = self._untold, {}
        for agent in untold:
            told = self.told.get(agent, 0)
            is_due = agent == self.keeper or not vote.accepts
            if agent != me and told < (vote.version if is_due else self._debited[agent]):
                if told not in news:
                    since = self._since(told, vote)
                    is_long = sum(1 + len(step.sends) for step in since.cone) > TOLD_MAX
                    news[told] = (since, _shares(since) if is_long and vote.accepts else None)
                since, shares = news[told]
                if agent == self.keeper:
                    ballot = Ballot(self.books.proposal, (since,), suspects=self._suspects)
                elif shares is None:
                    ballot = Ballot(self.books.proposal, (since,))
                else:
                    ballot = Ballot(self.books.proposal, (), found=tuple(shares.get(agent, ())))
                found.append((agent, ballot))
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
            refutes=tuple(debit for part in between for debit in part.refutes),
        )

    def questions(self, me: AgentId) -> list[tuple[AgentId, Ballot]]:
        """Return whom to ask again, and with which votes; nobody before the own vote.

        The keeper asks whoever owes it a vote; others ask the keeper, and whom their own steps have reached until these
        have answered once. So while one agent takes long to agree, the others' questions follow their number. Where the
        keeper is silent, the others are asked in turn, a few at a time: they tell all they have heard, so nobody
        depends on it. It asks them too, for it may not hear from everybody.
        """
        vote = self.vote
        if vote is None:
            return []
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


def _shares(vote: Vote) -> dict[AgentId, list[ConeStep]]:
    """Return, by receiver, what a vote debits it."""
    shares: dict[AgentId, list[ConeStep]] = {}
    for listed in vote.cone:
        sends: dict[AgentId, list[Debit]] = {}
        for debit in listed.sends:
            sends.setdefault(debit.receiver, []).append(debit)
        for receiver, debits in sends.items():
            shares.setdefault(receiver, []).append(ConeStep(listed.step, tuple(debits), listed.epoch))
    return shares


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
        shows=record.proposal.shown(),
    )
    return done if receiver == record.proposal.proposer else verdict_of(done)


def verdict_of(done: Done) -> Done:
    """Return what any elector may be told of a decision."""
    return replace(done, undone=(), electors=(), notes=())
