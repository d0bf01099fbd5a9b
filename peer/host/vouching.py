"""Whose proposals are: signed by the host on which their proposer lives, and checked by whoever is asked to take part.

So nobody proposes in another's name, and whoever passes on a forged proposal is told of (TR-7); so is who says in a
ballot what can't be (TR-9).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from peer.host.orders import Orders
from peer.trust.badge import Badge
from peer.trust.lies import contradiction_of, lie_of, signed_by, signed_part
from peer.trust.rights import HOST, ROLLBACK
from protocol.action import Accuse
from protocol.agent.ballot_form import malformed
from protocol.ids import AgentId, HostId, ProposalId
from protocol.message import Ballot, Message, Propose
from protocol.proposal import Proposal

KEPT_MAX = 4096
"""Proposals that were signed, or checked, lately."""

T = TypeVar("T")


class Vouching:
    """One host's.

    Args:
        badge: signs, and says who may.
        orders: told of a host that has signed two proposals of one name.
        homes: by agent, where it lives, as far as is known.
        term: returns by which term an agent is there.
    """

    def __init__(
        self, badge: Badge, orders: Orders, homes: Mapping[AgentId, HostId], term: Callable[[AgentId], int]
    ) -> None:
        self._badge = badge
        self._orders = orders
        self._homes = homes
        self._term = term
        self._signed: OrderedDict[ProposalId, bytes] = OrderedDict()
        self._seen: OrderedDict[ProposalId, Proposal] = OrderedDict()

    def vouch(self, message: Message, lives_here: Callable[[AgentId], bool]) -> Message:
        """Return a message with this host's signature on its proposal, if that is of an agent here."""
        if not isinstance(message, Propose | Ballot):
            return message
        proposal = message.proposal
        if proposal.proof or not lives_here(proposal.proposer):
            return message
        proof = self._signed.get(proposal.id)
        if proof is None:
            proof = self._badge.sign(signed_part(proposal))
            _keep(self._signed, proposal.id, proof)
        return msgspec.structs.replace(message, proposal=msgspec.structs.replace(proposal, proof=proof))

    def why_not(self, sender: AgentId, message: Message) -> str:
        """Return why nobody here may take in a message from another host; empty: they may."""
        if not isinstance(message, Propose | Ballot):
            return ""
        if why := self._why_not(message.proposal):
            return f"a proposal: {why}"
        why = malformed(sender, message) if isinstance(message, Ballot) else ""
        return f"a ballot: {why}" if why else ""

    def refuse(self, host: HostId, message: Message, why: str) -> None:
        """Charge a host with what was not taken in, unless whoever has signed it is not known here, or no more: others
        may know that one still, or already, and pass it on in good faith.
        """
        if isinstance(message, Propose | Ballot):
            signer = signed_by(message.proposal.proof, signed_part(message.proposal))
            if signer is None or self._badge.trust.member(signer) is not None:
                self._orders.charge(host, f"a rollback: {why}")
            else:
                self._orders.refused()

    def accused(self, accusation: Accuse) -> None:
        """Somebody here knows better than an agent that lives elsewhere: charge the host where that one does (TR-9)."""
        home = self._homes.get(accusation.agent)
        if home is not None:
            self._orders.charge(home, f"a vote of {accusation.agent}: {accusation.what}")

    def _why_not(self, proposal: Proposal) -> str:
        known = self._seen.get(proposal.id)
        if known == proposal:
            return ""
        why = self._why_forged(proposal)
        if why:
            return why
        if known is not None and signed_part(known) != signed_part(proposal):
            return self._contradicted(known, proposal)
        _keep(self._seen, proposal.id, proposal)
        return ""

    def _why_forged(self, proposal: Proposal) -> str:
        signer, trust = signed_by(proposal.proof, signed_part(proposal)), self._badge.trust
        if signer is None:
            return "nobody has signed it"
        if not trust.may(signer, HOST, proposal.proposer):
            return f"host {signer}, which has signed it, may not speak for {proposal.proposer}"
        home = self._homes.get(proposal.proposer)
        if home not in (None, signer) and self._term(proposal.proposer) <= 1:
            # It has never moved: nobody else can ever have signed for it.
            return f"host {signer} has signed it, and {proposal.proposer} lives on {home}"
        beyond = [root.agent for root in proposal.roots if not trust.may(signer, ROLLBACK, root.agent)]
        return f"host {signer} may not roll back {beyond[0]}" if beyond else ""

    def _contradicted(self, known: Proposal, proposal: Proposal) -> str:
        lie, why = lie_of(known, proposal), f"two proposals are signed as {proposal.id}"
        liar = contradiction_of(lie)
        if liar is not None:
            self._orders.lied(liar, lie, why)
        return why


def _keep(kept: "OrderedDict[ProposalId, T]", name: ProposalId, value: T) -> None:
    kept[name] = value
    while len(kept) > KEPT_MAX:
        kept.popitem(last=False)
