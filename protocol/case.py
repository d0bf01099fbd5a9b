"""One proposal as one elector stands to it: its books, its vote, whom it tells and whom it asks (RB-4, RB-6, RB-8)."""

from protocol.ballot import Ballot, keeper_of
from protocol.ids import AgentId
from protocol.message import Ballot as BallotMessage
from protocol.message import Done
from protocol.proposal import Proposal, Vote

PATIENCE = 4
"""By how many first waits a keeper may be silent before the others are asked for all that they have heard."""


class Case:
    """One proposal at one elector."""

    def __init__(self, proposal: Proposal) -> None:
        self.ballot = Ballot(proposal)
        self.keeper = keeper_of(proposal)
        self.vote: Vote | None = None
        """The last vote that is durable."""
        self.latest: Vote | None = None
        """The last vote that was made: it may still be in the writing."""
        self.busy = False
        """A vote is being made: the agent is asked, or the record written."""
        self.verdict: Done | None = None
        """What another elector has decided; heeded as soon as this one's own vote is durable."""
        self.told: dict[AgentId, int] = {}
        self.wait_us = 0
        self.due_us: int | None = None

    def untold(self, me: AgentId, vote: Vote) -> list[AgentId]:
        """Return who is to be told a vote, each once a version, and count them as told.

        These are whom it debits, so that they vote, and the keeper, who has all votes in the end and tells the end to
        all: E electors take some 4 E messages.
        """
        receivers = dict.fromkeys((self.keeper, *(debit.receiver for step in vote.cone for debit in step.sends)))
        found = [agent for agent in receivers if agent != me and self.told.get(agent, 0) < vote.version]
        self.told.update(dict.fromkeys(found, vote.version))
        return found

    def questions(self, me: AgentId, vote: Vote, first_wait_us: int) -> list[tuple[AgentId, BallotMessage]]:
        """Return whom to ask again, and with which votes: whoever owes a vote, and the keeper.

        If the keeper is silent for long, all are asked who are known to have voted: they tell all they have heard, so
        nobody has to wait for it.
        """
        asked = dict.fromkeys(agent for agent in self.ballot.electors() if self.ballot.owes(agent))
        asked[self.keeper] = None
        if self.wait_us > PATIENCE * first_wait_us:
            asked.update(dict.fromkeys(sorted(self.ballot.votes)))
        asked.pop(me, None)
        questions: list[tuple[AgentId, BallotMessage]] = []
        for agent in asked:
            owed = {known.voter: known for known in (vote, *self.ballot.creditors_of(agent))}
            questions.append((agent, BallotMessage(self.ballot.proposal, tuple(owed.values()), wants=True)))
        return questions

    def answer(self, me: AgentId, vote: Vote) -> BallotMessage:
        """Return what an elector that asks is told: a keeper will tell the end; another tells all it has heard."""
        votes = (vote,) if me == self.keeper else tuple(self.ballot.votes.values())
        return BallotMessage(self.ballot.proposal, votes)
