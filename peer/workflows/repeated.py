"""A rule by which people are asked once agents undo each other again and again: for `Overseer(when=Repeated(4))`.

The bound on attempts ends a livelock in which the same inputs are run again (RB-9). Where each round has a new input, a
tick for instance, no lineage ever comes to its bound; then it is the proposals that have to be counted.
"""

from collections import OrderedDict

from peer.errors import DeclarationRefused
from protocol.ids import AgentId, ProposalId
from protocol.proposal import Proposal

PAIRS_MAX = 1_000
"""Pairs of agents that are remembered; at the bound the one that was looked at least recently is forgotten."""
PROPOSALS_MAX = 1_000
"""Of one pair; more than that is refused as a number of times."""

_Pair = tuple[AgentId, tuple[AgentId, ...]]


class Repeated:
    """True of a rollback whose proposer has proposed to undo the same agents' steps so often before.

    As `overseers = (Overseer(to="boss", when=Repeated(4), deadline=60),)` of a class: of the first four rollbacks
    nobody is asked, of each later one a person is, and without a word in time it is rejected. What an agent
    proposes of its own steps is not counted; that is how a person's rollbacks are proposed, too. It is counted in the
    process of the agent's host: a restart begins anew.

    Args:
        times: how many rollbacks nobody is asked of, from 1 on.
        within: within how many seconds, by the times of the proposals.

    Raises: DeclarationRefused, naming what it can't be.
    """

    def __init__(self, times: int = 4, within: float = 600.0) -> None:
        if type(times) is not int or not 1 <= times <= PROPOSALS_MAX:
            raise DeclarationRefused(f"Repeated(times={times!r}): an int from 1 to {PROPOSALS_MAX}.")
        if isinstance(within, bool) or not isinstance(within, int | float) or not within > 0:
            raise DeclarationRefused(f"Repeated(within={within!r}): seconds, more than 0.")
        self.times, self.within = times, within
        self._seen: OrderedDict[_Pair, dict[ProposalId, int]] = OrderedDict()

    def __call__(self, proposal: Proposal, count: int) -> bool:
        """Tell whether this is one too many. An agent asks of one proposal as often as it likes: it counts once."""
        of = tuple(sorted({root.agent for root in proposal.roots}))
        if proposal.proposer in of:
            return False
        seen = self._seen.setdefault((proposal.proposer, of), {})
        self._seen.move_to_end((proposal.proposer, of))
        while len(self._seen) > PAIRS_MAX:
            self._seen.popitem(last=False)
        seen[proposal.id] = proposal.began_us
        oldest_us = proposal.began_us - round(self.within * 1_000_000)
        for known in [name for name, began_us in seen.items() if began_us < oldest_us]:
            del seen[known]
        while len(seen) > PROPOSALS_MAX + 1:
            del seen[next(iter(seen))]
        return len(seen) > self.times
