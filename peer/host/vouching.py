"""Whose proposals are: signed by the host on which their proposer lives, and checked by whoever is asked to take part.

So nobody proposes or votes in another's name, and whoever passes on what is forged is told of (TR-7, TR-10); so is who
says in a ballot what can't be (TR-9).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from peer.host.orders import Orders
from peer.trust.badge import Badge
from peer.trust.lies import Cast, cast_of, contradiction_of, lie_of, signed_by, signed_part
from peer.trust.rights import HOST, ROLLBACK
from protocol.action import Accuse
from protocol.agent.ballot_form import malformed
from protocol.ids import AgentId, HostId, ProposalId
from protocol.message import Ballot, Message, Propose
from protocol.proposal import Proposal, Vote

KEPT_MAX = 4096
"""Proposals and votes that were signed, or checked, lately."""

K = TypeVar("K")
T = TypeVar("T")


class Vouching:
    """One host's.

    Args:
        badge: signs, and says who may.
        orders: told of a host that has signed two proposals of one name.
        homes: by agent, where it lives, as far as is known.
        term: returns by which term an agent is there.
        is_mixed: tells whether there are hosts of an older release, which sign no votes, and lose others' signatures.
    """

    def __init__(
        self, badge: Badge, orders: Orders, homes: Mapping[AgentId, HostId], term: Callable[[AgentId], int],
        is_mixed: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._badge = badge
        self._orders = orders
        self._homes = homes
        self._term = term
        self._is_mixed = is_mixed
        self._signed: OrderedDict[str, bytes] = OrderedDict()
        self._votes: OrderedDict[bytes, HostId] = OrderedDict()
        """By what was signed, with the signature, who has."""
        self._casts: OrderedDict[tuple[HostId, *tuple[object, ...]], Cast] = OrderedDict()
        """By who has signed it, and its slot, the vote that was heard first."""
        self._seen: OrderedDict[ProposalId, Proposal] = OrderedDict()

    def vouch(self, message: Message, lives_here: Callable[[AgentId], bool]) -> Message:
        """Return a message with this host's signature on what agents here say in it: a proposal, votes."""
        if not isinstance(message, Propose | Ballot):
            return message
        proposal = message.proposal
        if not proposal.proof and lives_here(proposal.proposer):
            proof = self._sign(proposal.id, signed_part(proposal))
            message = msgspec.structs.replace(message, proposal=msgspec.structs.replace(proposal, proof=proof))
        if isinstance(message, Ballot) and any(not vote.proof and lives_here(vote.voter) for vote in message.votes):
            votes = tuple(
                self._voted(proposal, vote) if not vote.proof and lives_here(vote.voter) else vote
                for vote in message.votes
            )
            message = msgspec.structs.replace(message, votes=votes)
        return message

    def _voted(self, proposal: Proposal, vote: Vote) -> Vote:
        name = f"{proposal.id} {vote.voter} {vote.incarnation} {vote.version} {vote.whole.hex()}"
        return msgspec.structs.replace(vote, proof=self._sign(name, signed_part(cast_of(proposal, vote))))

    def _sign(self, name: str, part: bytes) -> bytes:
        proof = self._signed.get(name)
        if proof is None:
            proof = self._badge.sign(part)
            _keep(self._signed, name, proof)
        return proof

    def checked(self, host: HostId, message: Message) -> Message:
        """Return a message without the votes in it that no host has signed which may speak for their voters (TR-10).

        A host is charged with those alone that nobody has signed: of who lives where, and who may host whom, it may
        know more than this one.
        """
        if not isinstance(message, Ballot):
            return message
        votes = tuple(vote for vote in message.votes if self._is_signed(host, message.proposal, vote))
        return message if len(votes) == len(message.votes) else msgspec.structs.replace(message, votes=votes)

    def _is_signed(self, host: HostId, proposal: Proposal, vote: Vote) -> bool:
        cast = cast_of(proposal, vote)
        part = signed_part(cast)
        signer = self._votes.get(part + vote.proof) or (signed_by(vote.proof, part) if vote.whole else None)
        if signer is None and not vote.proof and self._is_mixed():
            return True  # CL-8: as that release has it, until the last of its hosts is replaced
        if signer is None:
            self._orders.charge(host, f"a vote of {vote.voter} on {proposal.id}: nobody has signed it")
            return False
        _keep(self._votes, part + vote.proof, signer)
        if self._why_silent(signer, vote.voter):
            self._orders.refused()
            return False
        return not self._is_contradicted(signer, cast)

    def _is_contradicted(self, signer: HostId, cast: Cast) -> bool:
        """Tell whether a host has signed another vote of this version, which is proof against it (TR-5)."""
        slot = (signer, *cast.slot())
        before = self._casts.get(slot)
        if before is None or before.whole == cast.whole:
            _keep(self._casts, slot, cast)
            return False
        if self._is_mixed():
            return False  # CL-8: that release would not take it for proof
        why = f"it has signed two votes of {cast.voter} as version {cast.version}"
        self._orders.lied(signer, lie_of(before, cast), why)
        return True

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
        if why := self._why_silent(signer, proposal.proposer):
            return why
        beyond = [root.agent for root in proposal.roots if not trust.may(signer, ROLLBACK, root.agent)]
        return f"host {signer} may not roll back {beyond[0]}" if beyond else ""

    def _why_silent(self, signer: HostId, agent: AgentId) -> str:
        """Return why a host can't have signed for an agent."""
        if not self._badge.trust.may(signer, HOST, agent):
            return f"host {signer}, which has signed it, may not speak for {agent}"
        home = self._homes.get(agent)
        if home not in (None, signer) and self._term(agent) <= 1:
            # It has never moved: nobody else can ever have signed for it.
            return f"host {signer} has signed it, and {agent} lives on {home}"
        return ""

    def _contradicted(self, known: Proposal, proposal: Proposal) -> str:
        lie, why = lie_of(known, proposal), f"two proposals are signed as {proposal.id}"
        liar = contradiction_of(lie)
        if liar is not None:
            self._orders.lied(liar, lie, why)
        return why


def _keep(kept: "OrderedDict[K, T]", name: K, value: T) -> None:
    kept[name] = value
    while len(kept) > KEPT_MAX:
        kept.popitem(last=False)
