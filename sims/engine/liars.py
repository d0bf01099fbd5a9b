"""A byzantine host of a world: an ordinary one whose transport says other things than it is told to say.

What goes out is decoded, altered by the habits of the liar, encoded and sent. Its keys sign whatever it likes; nobody
else's do. What it can't know in a real cluster but might guess (numbers of others' questions) it is told.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Protocol

from msgspec.msgpack import encode
from msgspec.structs import replace

from peer.keys import HostKeys
from peer.trust.grant import Chain
from peer.trust.lies import Signed, cast_of, signed_part
from protocol.errors import WireInvalid
from protocol.fact import HostFact
from protocol.ids import AgentId, HostId, ProposalId, StepId
from protocol.proposal import Proposal, Vote
from protocol.since import VERSION
from protocol.wire import Frame, decode_frame, encode_frame
from sims.virtual.network import VirtualTransport

KEPT = 64
"""Frames that a liar remembers, of its own and of others."""
FAILURES_MAX = 100


class Gossip:
    """What liars know of the others: all that is no secret of somebody's key."""

    def __init__(self, homes: Mapping[AgentId, HostId], liars: Sequence[HostId]) -> None:
        self.homes = dict(homes)
        """By agent, the host where it lives."""
        self.liars = tuple(liars)
        self.questions: deque[tuple[HostId, int]] = deque(maxlen=KEPT)
        """Who has asked something lately, under which number: these can be guessed from the time."""
        self.lying: list[Liar] = []
        """Who is told of rollbacks: their names can be guessed, too."""
        self._begun: dict[ProposalId, None] = {}
        self.payloads: deque[bytes] = deque([b""], maxlen=KEPT)
        """What honest agents write to each other: it can be guessed well enough."""
        self.facts: dict[HostId, HostFact] = {}
        """What each host has announced last."""
        self.spoken: dict[HostId, dict[int, dict[HostId, bytes]]] = {}
        """By liar and version of its announcement, what it has told whom in that version."""
        self.steps: deque[StepId] = deque(maxlen=KEPT)

    def begins(self, name: ProposalId) -> None:
        """A rollback begins: whoever wants may say something at once."""
        if name not in self._begun:
            self._begun[name] = None
            for liar in self.lying:
                for habit in liar.habits:
                    for to, frame in habit.provoked(liar, name):
                        liar.adds(to, frame)

    @property
    def honest_hosts(self) -> list[HostId]:
        """The hosts that do not lie."""
        return [host for host in dict.fromkeys(self.homes.values()) if host not in self.liars]

    @property
    def honest_agents(self) -> list[AgentId]:
        """The agents of those."""
        return [agent for agent, host in self.homes.items() if host not in self.liars]


class Habit(Protocol):
    """One way to lie."""

    def alter(self, liar: "Liar", to: HostId, frame: Frame) -> Frame | None:
        """Return what is said instead of a frame; None: nothing is."""
        ...

    def more(self, liar: "Liar", to: HostId) -> Sequence[Frame]:
        """Return what is said besides."""
        ...

    def provoked(self, liar: "Liar", name: ProposalId) -> Sequence[tuple[HostId, Frame]]:
        """Return what is said to whom at once, as a rollback begins somewhere."""
        ...


class Liar:
    """Who lies: what it knows, and how it lies.

    Args:
        keys: its own; so its signatures fit.
        chain: by which it belongs to the cluster.
        gossip: what it knows of the others.
        habits: how it lies.
        rng: its chance.
        is_true_of_cuts: whatever else it says, what it says of cuts, commits, restores, successions and copies is true,
            and it does not keep that back.
    """

    def __init__(
        self, keys: HostKeys, chain: Chain, gossip: Gossip, habits: Sequence[Habit], rng: Random,
        is_true_of_cuts: bool = False,
    ) -> None:  # fmt: skip
        self.keys = keys
        self.chain = chain
        self.gossip = gossip
        self.habits = tuple(habits)
        self.rng = rng
        self._is_true_of_cuts = is_true_of_cuts
        self._stamp = (-1, 0)
        """Its true colour and era."""
        gossip.lying.append(self)
        self.heard: deque[Frame] = deque(maxlen=KEPT)
        self.said: deque[Frame] = deque(maxlen=KEPT)
        self.proposals: dict[ProposalId, Proposal] = {}
        """Those that it was told, with their proofs."""
        self.tell: Callable[[HostId, Frame], None] = lambda to, frame: None
        """Sends a frame as it is."""
        self.failures: list[BaseException] = []
        """What its own code has raised, which was told other things than it had said: nobody's mistake."""

    @property
    def host(self) -> HostId:
        """Its id."""
        return self.keys.host_id

    @property
    def agents(self) -> list[AgentId]:
        """Its own."""
        return [agent for agent, host in self.gossip.homes.items() if host == self.host]

    def says(self, to: HostId, frame: Frame) -> list[Frame]:
        """Return what a host is told in place of a frame."""
        self.said.append(frame)
        if frame.epoch >= 0:
            self._stamp = (frame.epoch, frame.era)
        found: Frame | None = frame
        for habit in self.habits:
            found = None if found is None else habit.alter(self, to, found)
        told = [] if found is None else [found]
        if to not in self.gossip.liars:
            for habit in self.habits:
                told.extend(self._stamped(each) for each in habit.more(self, to))
        return [*self._of_cuts(frame, found), *told]

    def _of_cuts(self, frame: Frame, said: Frame | None) -> list[Frame]:
        """Return what is true of cuts in a frame that is not said."""
        if said is not None or not self._is_true_of_cuts or not (frame.checkpoints or frame.copies):
            return []
        kept = Frame(checkpoints=frame.checkpoints, copies=frame.copies)
        return [replace(kept, epoch=frame.epoch, era=frame.era, speaks=frame.speaks)]

    def _stamped(self, frame: Frame) -> Frame:
        """Return what is said besides, with nothing in it that is not true of cuts."""
        if not self._is_true_of_cuts:
            return frame
        epoch, era = self._stamp
        return replace(frame, checkpoints=(), copies=(), epoch=epoch, era=era, speaks=VERSION)

    def adds(self, to: HostId, frame: Frame) -> None:
        """Say something of its own accord."""
        self.tell(to, self._stamped(frame))

    def hears(self, frame: Frame) -> None:
        """Take note of what another host says."""
        self.heard.append(frame)
        for envelope in frame.envelopes:
            proposal = getattr(envelope.message, "proposal", None)
            if isinstance(proposal, Proposal):
                self.proposals[proposal.id] = proposal


def cast(liar: Liar, proposal: Proposal, vote: Vote) -> Vote:
    """Return a vote, whole, with a liar's signature."""
    bare = replace(vote, since=0, proof=b"").sealed(None)
    signature = liar.keys.sign(signed_part(cast_of(proposal, bare)))
    return replace(bare, proof=encode(Signed(liar.keys.public_key, signature)))


class LyingTransport:
    """Implements `ports.Transport` for a liar: what its host sends goes through it."""

    def __init__(self, inner: VirtualTransport, liar: Liar) -> None:
        self.address = inner.address
        self.counts = inner.counts
        self._inner = inner
        self._liar = liar
        liar.tell = lambda to, frame: inner.send(to, encode_frame(frame))

    async def open(self, received: Callable[[HostId, bytes], None]) -> None:
        """Start to receive."""

        def heard(sender: HostId, body: bytes) -> None:
            frame = _read(body)
            if frame is not None:
                self._liar.hears(frame)
            try:
                received(sender, body)
            except Exception as error:  # noqa: BLE001  # it was answered what its host had never asked
                self._liar.failures.append(error)
                del self._liar.failures[:-FAILURES_MAX]

        await self._inner.open(heard)

    def connect(self, host: HostId, address: str) -> None:
        """Say where a host is reached."""
        self._inner.connect(host, address)

    def send(self, receiver: HostId, body: bytes) -> None:
        """Send something else."""
        frame = _read(body)
        if frame is None or frame.piece is not None:
            self._inner.send(receiver, body)
            return
        for told in self._liar.says(receiver, frame):
            self._note(receiver, told)
            self._inner.send(receiver, encode_frame(told))

    def introduce(self, address: str, body: bytes) -> None:
        """Introduce itself as what it is: else nobody would hear it."""
        self._inner.introduce(address, body)

    async def close(self) -> None:
        """Stop."""
        await self._inner.close()

    def cut_off(self) -> None:
        """Stop at once."""
        self._inner.cut_off()

    def _note(self, receiver: HostId, frame: Frame) -> None:
        facts = (*frame.facts, *(() if frame.compare is None else frame.compare.facts))
        for fact in facts:
            # What names others' agents is refused, and proves nothing.
            if isinstance(fact, HostFact) and fact.host == self._liar.host and {*fact.agents} <= {*self._liar.agents}:
                spoken = self._liar.gossip.spoken.setdefault(fact.host, {}).setdefault(fact.version, {})
                spoken[receiver] = repr((fact.address, fact.agents, fact.spaces)).encode()


class Tap:
    """Tells liars what they may guess; passes on to whoever looks at the frames of a network."""

    def __init__(self, gossip: Gossip, onward: "Looks") -> None:
        self._gossip = gossip
        self._onward = onward

    def frame(self, what: str, sender: HostId, receiver: HostId | None, body: bytes, at_us: int) -> None:
        """See what became of a frame."""
        self._onward.frame(what, sender, receiver, body, at_us)
        frame = _read(body) if what == "sent" and sender not in self._gossip.liars else None
        if frame is None:
            return
        self._gossip.questions.extend((sender, ask.number) for ask in frame.asks)
        for fact in frame.facts:
            if isinstance(fact, HostFact) and fact.host == sender:
                self._gossip.facts[sender] = fact
        for envelope in frame.envelopes:
            message = envelope.message
            proposal = getattr(message, "proposal", None)
            if isinstance(proposal, Proposal):
                self._gossip.begins(proposal.id)
            item = getattr(message, "input", None)
            if item is not None and item.producer is not None:
                self._gossip.steps.append(item.producer)
                self._gossip.payloads.append(item.payload)


class Looks(Protocol):
    """Whoever looks at frames."""

    def frame(self, what: str, sender: HostId, receiver: HostId | None, body: bytes, at_us: int) -> None:
        """See what became of a frame."""
        ...


def _read(body: bytes) -> Frame | None:
    try:
        return decode_frame(body)
    except WireInvalid:
        return None
