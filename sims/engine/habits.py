"""How liars lie: each habit is one kind of lie; a liar has some of them, chosen by the seed."""

from collections.abc import Callable, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from peer.host import questions
from peer.trust.lies import Proof, Signed, proof_of, signed_part
from peer.trust.orders import LIED, REVOKE, TRUST, Order, edict_of, signed
from peer.values.payload import encode_message
from protocol.checkpoints.witness import Head
from protocol.fact import Began, Claim, Edict, Fact, HostFact, Standing, State, Suspicion
from protocol.hosts.messages import Compare
from protocol.ids import HOST, AgentId, HostId, ProposalId, StepId
from protocol.message import Ack, Ballot, Data, Done, Message, Propose, Void
from protocol.proposal import ConeStep, Credit, Debit, Proposal, Vote
from protocol.step import Consumer, Input
from protocol.wire import Answer, Ask, Envelope, Frame
from sims.engine.false_dates import Misdates
from sims.engine.false_votes import NamesOthers
from sims.engine.liars import Habit, Liar, cast

SHARE = 0.2
"""Of frames with which something more is said."""
REASON = "as a liar wants"
SOURCE = "liar"


class _Plain:
    """Says what it is told to say, and nothing more."""

    def alter(self, liar: Liar, to: HostId, frame: Frame) -> Frame | None:
        """Return what is said instead of a frame; None: nothing is."""
        return frame

    def more(self, liar: Liar, to: HostId) -> Sequence[Frame]:
        """Return what is said besides."""
        return ()

    def provoked(self, liar: Liar, name: ProposalId) -> Sequence[tuple[HostId, Frame]]:
        """Return what is said to whom at once, as a rollback begins somewhere."""
        return ()


class Equivocates(_Plain):
    """Tells different hosts different things, each signed: announcements, heads, proposals."""

    def alter(self, liar: Liar, to: HostId, frame: Frame) -> Frame | None:
        """Say it otherwise to half of them."""
        if not _is_other(liar, to):
            return frame
        compare = frame.compare
        if compare is not None:
            compare = Compare(compare.sums, compare.lists, compare.wants, self._facts(liar, compare.facts))
        envelopes = tuple(self._envelope(liar, each) for each in frame.envelopes)
        return replace(frame, facts=self._facts(liar, frame.facts), compare=compare, envelopes=envelopes)

    def more(self, liar: Liar, to: HostId) -> Sequence[Frame]:
        """Show different ends of its log under one number."""
        if liar.rng.random() > SHARE:
            return ()
        digest = liar.rng.choice((b"d" * 16, b"e" * 16))
        head = Head(liar.host, liar.rng.randint(1, 4), digest, liar.keys.public_key, b"")
        return (replace_frame(heads=(replace(head, signature=liar.keys.sign(head.signed())),)),)

    def _facts(self, liar: Liar, facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
        return tuple(
            announced(liar, replace(fact, address=f"{fact.address}/other"))
            if isinstance(fact, HostFact) and fact.host == liar.host
            else fact
            for fact in facts
        )

    def _envelope(self, liar: Liar, envelope: Envelope) -> Envelope:
        message = envelope.message
        if isinstance(message, Propose | Ballot) and message.proposal.proposer in liar.agents:
            other = replace(message.proposal, reason=f"{message.proposal.reason}, or not")
            return Envelope(envelope.sender, envelope.receiver, replace(message, proposal=proposed(liar, other)))
        return envelope


class LiesAboutVotes(_Plain):
    """Leaves out what it has sent or taken, adds what others have, says that all is decided."""

    def alter(self, liar: Liar, to: HostId, frame: Frame) -> Frame | None:
        """Say other votes."""
        return replace(frame, envelopes=tuple(self._envelope(liar, each) for each in frame.envelopes))

    def provoked(self, liar: Liar, name: ProposalId) -> Sequence[tuple[HostId, Frame]]:
        """Say that something is decided, while it is not."""
        rng, homes = liar.rng, liar.gossip.homes
        ghost = (rng.choice(liar.gossip.honest_agents),) if rng.random() < 0.5 else ("ghost",)
        done = Done(name, rng.choice(("commit", "abort")), (), ghost, (), (), 1)
        sender = rng.choice(liar.agents)
        return [
            (homes[agent], Frame(envelopes=(Envelope(sender, agent, done),))) for agent in liar.gossip.honest_agents
        ]

    def _envelope(self, liar: Liar, envelope: Envelope) -> Envelope:
        message, rng = envelope.message, liar.rng
        if isinstance(message, Ballot) and message.votes and rng.random() < 0.5:
            votes = tuple(cast(liar, message.proposal, self._vote(liar, vote)) for vote in message.votes)
            return Envelope(envelope.sender, envelope.receiver, replace(message, votes=votes))
        return envelope

    def _vote(self, liar: Liar, vote: Vote) -> Vote:
        rng, others = liar.rng, liar.gossip.honest_agents
        victim = rng.choice(others)
        match rng.randrange(6):
            case 0:
                return replace(vote, credits=vote.credits[:-1])
            case 1:
                return replace(vote, cone=tuple(each._replace(sends=()) for each in vote.cone))
            case 2:
                step, other = StepId(victim, 1, rng.randint(1, 9)), rng.choice(others)
                forged = ConeStep(step, (Debit(0, other, rng.randint(1, 4)),), 0)
                return replace(vote, cone=(*vote.cone, forged))
            case 3:
                return replace(vote, accepts=not vote.accepts, why="no")
            case 4:
                return replace(vote, voter=victim, version=vote.version + 9, since=0)
            case _:
                return replace(vote, credits=(*vote.credits, Credit(StepId(victim, 1, 1), 0, 1)))


class Withholds(_Plain):
    """Never says some kinds of things, or nothing to some hosts.

    Args:
        rng: which.
    """

    def __init__(self, rng: Random) -> None:
        self._kinds = tuple(rng.sample((Ballot, Ack, Done, Data, Void, Propose), rng.randint(1, 3)))
        self._answers = rng.random() < 0.5
        self._silent = rng.random() < 0.3

    def alter(self, liar: Liar, to: HostId, frame: Frame) -> Frame | None:
        """Leave something out."""
        if self._silent and _is_other(liar, to):
            return None
        envelopes = tuple(each for each in frame.envelopes if not isinstance(each.message, self._kinds))
        return replace(frame, envelopes=envelopes, answers=() if self._answers else frame.answers)


class Replays(_Plain):
    """Says again, much later, what it has said or was told."""

    def more(self, liar: Liar, to: HostId) -> Sequence[Frame]:
        """Say something again."""
        kept = liar.rng.choice((liar.said, liar.heard))
        if not kept or liar.rng.random() > 2 * SHARE:
            return ()
        return (liar.rng.choice(kept),)


class Floods(_Plain):
    """Asks what it has no right to ask, again and again, under old numbers too."""

    def more(self, liar: Liar, to: HostId) -> Sequence[Frame]:
        """Ask a lot."""
        rng = liar.rng
        if rng.random() > SHARE:
            return ()
        victims = [agent for agent in liar.gossip.honest_agents if liar.gossip.homes[agent] == to] or [HOST]
        asks = tuple(self._ask(liar, rng.choice(victims)) for _ in range(rng.choice((1, 5, 40))))
        return (replace_frame(asks=asks),)

    def _ask(self, liar: Liar, agent: AgentId) -> Ask:
        rng = liar.rng
        number = rng.choice((rng.randint(1, 1 << 40), *(number for _, number in [*liar.gossip.questions][-3:])))
        what, body = self._questions(liar, agent)
        return Ask(number, rng.choice((agent, agent, agent, HOST)), what, body)

    def _questions(self, liar: Liar, agent: AgentId) -> tuple[str, bytes]:
        rng, encode = liar.rng, questions.encode
        root = StepId(agent, 1, rng.randint(1, 5))
        match rng.randrange(10):
            case 0:
                return "submit", encode(questions.Submit(SOURCE, 1, (encode_message("more"),)))
            case 1:
                return "propose", encode(questions.Propose((root,), "discard", REASON, b"", (), 0))
            case 2:
                return "restore", encode(questions.RestoreTo(f"{liar.host}/1", 1, "discard", REASON, 0))
            case 3:
                return "pause", encode(questions.Pause(True, REASON, SOURCE))
            case 4:
                return "call off", encode(questions.CallOff(f"ext:operator-{rng.randint(1, 9)}#1", REASON, SOURCE))
            case 5:
                return "effect", encode(questions.EffectAsk(f"{agent}/1#1", "done", True, REASON))
            case 6:
                return "move", encode(liar.host)
            case 7:
                return "checkpoint", b""
            case 8:
                return "letter", encode(questions.LetterAsk("x", "drop"))
            case _:
                return rng.choice(("leave", "order", "take", "make", "say", "tier", "hold")), rng.randbytes(8)


class Forges(_Plain):
    """Speaks for others: agents that live elsewhere, hosts, whoever may revoke, whoever was asked."""

    def more(self, liar: Liar, to: HostId) -> Sequence[Frame]:
        """Say something in somebody's name."""
        if liar.rng.random() > 2 * SHARE:
            return ()
        match liar.rng.randrange(4):
            case 0:
                return to_agents(liar, to, lambda agent: self._message(liar, agent), as_others=True)
            case 1:
                return to_agents(liar, to, lambda agent: self._message(liar, agent))
            case 2:
                return (replace_frame(facts=tuple(self._fact(liar, to) for _ in range(3))),)
            case _:
                asked = [number for asker, number in liar.gossip.questions if asker == to]
                answers = [Answer(number, b"", liar.rng.choice(("", "CallerError"))) for number in asked[-8:]]
                return (replace_frame(answers=tuple(answers)),)

    def _message(self, liar: Liar, agent: AgentId) -> Message:
        rng = liar.rng
        other = rng.choice([each for each in liar.gossip.honest_agents if each != agent] or [agent])
        seen = [step for step in liar.gossip.steps if step.agent == other]
        step = rng.choice(seen) if seen and rng.random() < 0.5 else StepId(other, 1, rng.randint(1, 6))
        number = rng.randint(1, 4)
        proposal = Proposal(f"{other}/1/p{number}", other, (StepId(agent, 1, number),), "discard", REASON)
        if rng.random() < 0.5:
            proposal = proposed(liar, proposal)
        match rng.randrange(6):
            case 0 | 1:
                return Data(Input(other, 1, number, rng.choice(liar.gossip.payloads), f"forged-{rng.random()}", step))
            case 2:
                return Ack(1, ((number, Consumer(1, number)),))
            case 3:
                return Void(1, number, f"forged-{number}", ordered=True)
            case 4:
                return Propose(proposal)
            case _:
                vote = Vote(other, 1, accepts=True, why="", cone=(), credits=())
                return Ballot(proposal, (vote,))

    def _fact(self, liar: Liar, to: HostId) -> Fact:
        rng, gossip = liar.rng, liar.gossip
        agent, host = rng.choice(gossip.honest_agents), rng.choice(gossip.honest_hosts)
        known = gossip.facts.get(host)
        version = 1 if known is None else known.version + rng.choice((0, 0, 1, 1000))
        match rng.randrange(9):
            case 0:
                return announced(liar, HostFact(host, version + 1, "virtual://nowhere", ()))
            case 1:
                return announced(liar, HostFact(liar.host, version + 1, f"virtual://{liar.host}", (agent,)))
            case 2:
                return worded(liar, Claim(agent, rng.randint(1, 9), rng.choice((liar.host, host))))
            case 3:
                return worded(liar, Began(agent, rng.randint(2, 3), ((1, 0),)))
            case 4:
                return Standing(host, version, rng.choice((State.FAILED, State.LEFT)))
            case 5:
                return Suspicion(host, version, liar.host)
            case 6:
                return self._order(liar, host)
            case 7 if known is not None:
                return replace(known, version=version + 1, agents=())
            case _:
                return edict_of(Order(LIED, host, REASON, 1, rng.randbytes(30)))

    def _order(self, liar: Liar, host: HostId) -> Edict:
        kind = liar.rng.choice((REVOKE, TRUST))
        chain = liar.chain if liar.rng.random() < 0.7 else ()
        return edict_of(signed(liar.keys, kind, host, REASON, 1, value=liar.keys.public_key, chain=chain))


class Garbles(_Plain):
    """Sends other bytes, other clocks and other times than its agents do."""

    def alter(self, liar: Liar, to: HostId, frame: Frame) -> Frame | None:
        """Say it otherwise."""
        return replace(frame, envelopes=tuple(self._envelope(liar, each) for each in frame.envelopes))

    def _envelope(self, liar: Liar, envelope: Envelope) -> Envelope:
        message, rng = envelope.message, liar.rng
        if not isinstance(message, Data) or rng.random() < 0.5:
            return envelope
        item, victim = message.input, rng.choice(liar.gossip.honest_agents)
        match rng.randrange(4):
            case 0:
                item = replace(item, payload=rng.choice((b"", b"\xc1", encode_message("other"))))
            case 1:
                item = replace(item, clock={**item.clock, victim: (1, rng.randint(1, 50))})
            case 2:
                item = replace(item, time_us=rng.choice((0, 1 << 50)))
            case _:
                item = replace(item, attempt=rng.randint(1, 9), evidence=b"\xc1")
        return Envelope(envelope.sender, envelope.receiver, Data(item))


HABITS = ("equivocates", "votes", "withholds", "replays", "floods", "forges", "garbles")
NAMES = "names"
"""Drawn apart from the others, so that seeds stay what they were."""
DATES = "dates"
"""Only where there are checkpoints."""


def habit(name: str, rng: Random) -> Habit:
    """Return a habit by name."""
    if name == "withholds":
        return Withholds(rng)
    plain: dict[str, type[_Plain] | type[NamesOthers] | type[Misdates]] = {
        "equivocates": Equivocates, "votes": LiesAboutVotes, "replays": Replays, "floods": Floods, "forges": Forges,
        "garbles": Garbles, NAMES: NamesOthers, DATES: Misdates,
    }  # fmt: skip
    return plain[name]()


# -- what a liar signs ------------------------------------------------------------------------------------------------


def announced(liar: Liar, fact: HostFact) -> HostFact:
    """Return a fact of a host with a liar's signature."""
    known = proof_of(fact)
    chain = liar.chain if known is None else known.chain
    return replace(fact, proof=msgspec.msgpack.encode(Proof(chain, liar.keys.sign(signed_part(fact)))))


def worded(liar: Liar, fact: Claim | Began) -> Claim | Began:
    """Return a word about an agent with a liar's signature."""
    return replace(fact, proof=_signed(liar, signed_part(fact)))


def proposed(liar: Liar, proposal: Proposal) -> Proposal:
    """Return a proposal with a liar's signature."""
    return replace(proposal, proof=_signed(liar, signed_part(proposal)))


def _signed(liar: Liar, part: bytes) -> bytes:
    return msgspec.msgpack.encode(Signed(liar.keys.public_key, liar.keys.sign(part)))


def replace_frame(
    *, facts: tuple[Fact, ...] = (), asks: tuple[Ask, ...] = (), answers: tuple[Answer, ...] = (),
    heads: tuple[Head, ...] = (), envelopes: tuple[Envelope, ...] = (),
) -> Frame:  # fmt: skip
    """Return a frame of these."""
    return Frame(envelopes=envelopes, facts=facts, asks=asks, answers=answers, heads=heads)


def to_agents(
    liar: Liar, to: HostId, message: Callable[[AgentId], Message], as_others: bool = False
) -> Sequence[Frame]:
    """Return a frame of messages to agents of a host: in the name of one's own agents, or of others."""
    there = [agent for agent in liar.gossip.honest_agents if liar.gossip.homes[agent] == to]
    envelopes: list[Envelope] = []
    for _ in range(liar.rng.randint(1, 4) if there else 0):
        receiver = liar.rng.choice(there)
        others = [each for each in liar.gossip.honest_agents if each != receiver]
        names = others if as_others else liar.agents
        found = message(receiver)
        sender = found.input.sender if as_others and isinstance(found, Data) else liar.rng.choice(names)
        envelopes.append(Envelope(sender, receiver, found))
    return (Frame(envelopes=tuple(envelopes)),)


def _is_other(liar: Liar, to: HostId) -> bool:
    """Tell whether a host is one of those that are told the other thing."""
    return (int(to, 16) ^ int(liar.host, 16)) % 2 == 1
