"""Votes that speak of others, and falsely: a habit of liars (RB-15)."""

from collections.abc import Sequence

from msgspec.structs import replace

from protocol.ids import AgentId, HostId, MessageId, ProposalId
from protocol.message import Ballot, Data
from protocol.proposal import ConeStep, Debit, Vote
from protocol.step import Input
from protocol.wire import Envelope, Frame
from sims.engine.liars import KEPT, Liar, cast

SHARE = 0.4
"""Of frames with which somebody is told a false vote besides."""


class NamesOthers:
    """Says in its votes that others have got what they have not, or what they have got and is in no cone."""

    def __init__(self) -> None:
        self._sent: dict[MessageId, tuple[AgentId, Input]] = {}
        """What its agents have sent to honest ones, the last of it."""
        self._voted: dict[ProposalId, Ballot] = {}
        """What they have voted last: who votes in a rollback has its proposal, signed."""

    def alter(self, liar: Liar, to: HostId, frame: Frame) -> Frame | None:
        """List a step more."""
        return replace(frame, envelopes=tuple(self._envelope(liar, each) for each in frame.envelopes))

    def more(self, liar: Liar, to: HostId) -> Sequence[Frame]:
        """Tell the victims themselves, who need not be anywhere near the cone."""
        if liar.rng.random() > SHARE:
            return ()
        known = [*self._voted.values(), *(Ballot(each, ()) for each in liar.proposals.values())]
        there = [agent for agent in liar.gossip.honest_agents if liar.gossip.homes[agent] == to]
        sent = [(who, item) for who, item in self._sent.values() if who in there]
        if not known or not sent:
            return ()
        receiver, item = liar.rng.choice(sent)
        ballot = liar.rng.choice(known)
        before = [vote for vote in ballot.votes if vote.voter == item.sender]
        vote = before[-1] if before else Vote(item.sender, 0, True, "", (), ())
        vote = replace(vote, version=vote.version + liar.rng.randint(1, 2), cone=(self._step(liar, receiver, item),))
        return (
            Frame(
                envelopes=(
                    Envelope(item.sender, receiver, replace(ballot, votes=(cast(liar, ballot.proposal, vote),))),
                )
            ),
        )

    def provoked(self, liar: Liar, name: ProposalId) -> Sequence[tuple[HostId, Frame]]:
        """Say nothing before it has voted."""
        return ()

    def _envelope(self, liar: Liar, envelope: Envelope) -> Envelope:
        message, receiver = envelope.message, envelope.receiver
        if isinstance(message, Data) and receiver in liar.gossip.honest_agents and message.input.message is not None:
            self._sent[message.input.message] = (receiver, message.input)
            if len(self._sent) > KEPT:
                del self._sent[next(iter(self._sent))]
        if not isinstance(message, Ballot) or not message.votes:
            return envelope
        self._voted[message.proposal.id] = message
        votes = tuple(
            cast(liar, message.proposal, self._vote(liar, vote)) if vote.voter == envelope.sender else vote
            for vote in message.votes
        )
        return Envelope(envelope.sender, receiver, replace(message, votes=votes))

    def _vote(self, liar: Liar, vote: Vote) -> Vote:
        listed = {each.step for each in vote.cone}
        sent = [(who, item) for who, item in self._sent.values() if item.sender == vote.voter]
        sent = [(who, item) for who, item in sent if item.producer not in listed]
        if not sent or liar.rng.random() < 0.3:
            return vote
        return replace(vote, cone=(*vote.cone, self._step(liar, *liar.rng.choice(sent))))

    def _step(self, liar: Liar, receiver: AgentId, item: Input) -> ConeStep:
        at, number = item.index, item.number
        match liar.rng.randrange(6):
            case 0:
                number += liar.rng.randint(1, 3)
            case 1:
                at += 1
            case _:
                pass
        assert item.producer is not None
        return ConeStep(item.producer, (Debit(at, receiver, number),), item.epoch)
