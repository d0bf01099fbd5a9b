"""False dates in what agents say to each other: a habit of liars where there are checkpoints.

A message tells in which epoch and era its step ran, and before which epoch its clock says nothing (CP-5); a vote, when
each of its steps ran. What is said of cuts themselves is left as it is.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from protocol.fact import Standing, State
from protocol.hosts.machine import FAR
from protocol.ids import HostId, ProposalId
from protocol.limits import NUMBER_MAX
from protocol.message import Ballot, Data
from protocol.proposal import ConeStep
from protocol.step import Input
from protocol.wire import Envelope, Frame
from sims.engine.liars import Liar, cast

SHARE = 0.05
"""Of frames with which somebody is said to have failed."""


class Misdates:
    """Dates its agents' steps in other epochs and eras, and speaks of hosts' incarnations that never were."""

    def alter(self, liar: Liar, to: HostId, frame: Frame) -> Frame | None:
        """Say other dates."""
        return replace(frame, envelopes=tuple(self._envelope(liar, each) for each in frame.envelopes))

    def more(self, liar: Liar, to: HostId) -> Sequence[Frame]:
        """Say that somebody has failed, or left, in an incarnation that it will hardly come to."""
        host = liar.rng.choice(liar.gossip.honest_hosts)
        known = liar.gossip.facts.get(host)
        if known is None or liar.rng.random() > SHARE:
            return ()
        far = liar.rng.choice((NUMBER_MAX, NUMBER_MAX - 1, known.version + FAR, known.version + 1))
        return (Frame(facts=(Standing(host, far, liar.rng.choice((State.FAILED, State.LEFT))),)),)

    def provoked(self, liar: Liar, name: ProposalId) -> Sequence[tuple[HostId, Frame]]:
        """Say nothing at once."""
        return ()

    def _envelope(self, liar: Liar, envelope: Envelope) -> Envelope:
        message = envelope.message
        if liar.rng.random() < 0.4:
            return envelope
        if isinstance(message, Data):
            return Envelope(envelope.sender, envelope.receiver, Data(self._item(liar, message.input)))
        if isinstance(message, Ballot):
            votes = tuple(
                cast(liar, message.proposal, replace(vote, cone=self._steps(liar, vote.cone)))
                if vote.voter == envelope.sender
                else vote
                for vote in message.votes
            )
            found = self._steps(liar, message.found)
            return Envelope(envelope.sender, envelope.receiver, replace(message, votes=votes, found=found))
        return envelope

    def _item(self, liar: Liar, item: Input) -> Input:
        match liar.rng.randrange(5):
            case 0:
                return replace(item, epoch=self._number(liar, item.epoch))
            case 1:
                return replace(item, era=self._number(liar, item.era))
            case 2:
                return replace(item, floor=self._number(liar, item.floor))
            case 3:
                return replace(item, outside=not item.outside)
            case _:
                # A clock that covers whatever there may be, said to be of long ago.
                clock = {agent: (1, liar.rng.randint(1, 50)) for agent in liar.gossip.honest_agents}
                return replace(item, epoch=0, clock={**item.clock, **clock})

    def _steps(self, liar: Liar, steps: tuple[ConeStep, ...]) -> tuple[ConeStep, ...]:
        return tuple(each._replace(epoch=self._number(liar, each.epoch)) for each in steps)

    def _number(self, liar: Liar, true: int) -> int:
        return liar.rng.choice((0, max(0, true - liar.rng.randint(1, 3)), true + liar.rng.randint(1, 3), FAR))
