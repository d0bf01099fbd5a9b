"""What rollbacks are about: proposals, and the books that electors keep of them (RB-1, RB-3); and restores (CP-7)."""

from hashlib import blake2b
from typing import NamedTuple

from msgspec import Struct, msgpack
from msgspec.structs import replace

from protocol.ids import AgentId, Number, ProposalId, StepId

INPUTS = ("discard", "retry", "amend")
"""What may become of the inputs of a rollback's roots."""


class Amendment(NamedTuple):
    """A corrected input for one root."""

    root: StepId
    payload: bytes


class Proposal(Struct, frozen=True):
    """A rollback that someone chose: root steps, and what becomes of their inputs (RB-1)."""

    id: ProposalId
    proposer: AgentId
    roots: tuple[StepId, ...]
    inputs: str
    """`discard`, `retry` or `amend`."""
    reason: str = ""
    evidence: bytes = b""
    amendments: tuple[Amendment, ...] = ()
    began_us: Number = 0
    deadline_us: Number = 0
    """A participant that has not voted by then rejects; 0: no deadline."""
    proof: bytes = b""
    """Shows which host has said so for its proposer (TR-7); the machines pass it on, and do not look at it."""

    def shown(self) -> bytes:
        """Return what only those know who have seen it: its name can be guessed, all that it says can't."""
        return blake2b(msgpack.encode(replace(self, proof=b"")), digest_size=8).digest()


class Debit(NamedTuple):
    """A message (or shared entry) that a cone step sent to `receiver`; `number` is 0 for an entry."""

    at: Number
    receiver: AgentId
    number: Number


class ConeStep(NamedTuple):
    """A cone step and all that it sent."""

    step: StepId
    sends: tuple[Debit, ...]
    epoch: Number = 0


class Suspect(NamedTuple):
    """A step that may be in the cone, told before anybody knows: it is, if any of what it depends on is (RB-3)."""

    step: StepId
    sends: tuple[Debit, ...]
    epoch: Number
    causes: tuple[StepId, ...]
    """What sent it its input, and what wrote what it read. Edges of a durable step never change."""


class Credit(NamedTuple):
    """A cone message addressed to the voter that it has taken into account."""

    producer: StepId
    at: Number
    number: Number


class Vote(Struct, frozen=True, omit_defaults=True):
    """A participant's part of the books; only ever grows (RB-3)."""

    voter: AgentId
    version: Number
    accepts: bool
    why: str
    cone: tuple[ConeStep, ...]
    credits: tuple[Credit, ...]
    effects: tuple[str, ...] = ()
    since: Number = 0
    """The version to which this is the difference: what it lists has come after that. 0: it lists all."""
    refutes: tuple[Credit, ...] = ()
    """Debits to the voter that can't be (RB-15): they count as taken into account, and nothing follows from them."""
    whole: bytes = b""
    """Names the whole vote of this version, of which this may be a part: see `digest`."""
    proof: bytes = b""
    """Shows which host has said so for the voter (TR-10); the machines pass it on, and do not look at it."""
    incarnation: Number = 0
    """The voter's when it cast this version: after a loss (CL-2) it counts anew. 0: by a release that did not say."""

    def digest(self) -> bytes:
        """Return what names a whole vote."""
        said = (self.voter, self.version, self.accepts, self.why, self.cone, self.credits, self.effects, self.refutes)
        return blake2b(msgpack.encode(said), digest_size=16).digest()

    def sealed(self, known: "Vote | None") -> "Vote":
        """Return this with the name of the whole vote, given the one before."""
        return replace(self, whole=self.after(known).digest())

    def fits(self) -> bool:
        """Tell whether a whole vote is the one that its voter has named."""
        return not self.whole or self.whole == self.digest()

    def follows(self, known: "Vote | None") -> bool:
        """Tell whether this says more than what is known of its voter, and can be joined to it."""
        before = 0 if known is None else known.version
        return self.since <= before < self.version

    def after(self, known: "Vote | None") -> "Vote":
        """Return the whole vote, given the one before, which this follows."""
        if not self.since or known is None:
            return self
        cone, credits, effects, refutes = self.cone, self.credits, self.effects, self.refutes
        if self.since < known.version:
            # Part of it is known: what follows the version that is known is what is new here.
            steps, taken, calls = {step.step for step in known.cone}, {*known.credits}, {*known.effects}
            cone = tuple(step for step in cone if step.step not in steps)
            credits = tuple(credit for credit in credits if credit not in taken)
            effects = tuple(call for call in effects if call not in calls)
            refutes = tuple(debit for debit in refutes if debit not in known.refutes)
        return Vote(
            voter=self.voter,
            version=self.version,
            accepts=self.accepts,
            why=self.why,
            cone=(*known.cone, *cone),
            credits=(*known.credits, *credits),
            effects=(*known.effects, *effects),
            refutes=(*known.refutes, *refutes),
            whole=self.whole,
            proof=self.proof,
            incarnation=self.incarnation,
        )


class Finding(NamedTuple):
    """What came of one look at whether an agent still agrees, before it votes (RB-12); it binds nobody by itself."""

    name: str
    """What was looked at, in the agent's words."""
    holds: bool
    text: str
    """What there is to say of it; why not, if it does not hold."""
    time_us: Number
    """When, by the clock of the agent's host; it decides nothing."""
    proof: bytes = b""
    """What a person has signed, if it is their word (RB-13)."""


class Restore(Struct, frozen=True):
    """Back to the cut of `epoch`, everywhere; the `number`th restore of the cluster begins the era of that number."""

    number: Number
    epoch: Number
    id: str
    """Which proposal this is: `HOST/r1`."""
    base: Number
    """The committed epoch whose view decides, with whoever its members name."""
    inputs: str = "discard"
    """What becomes of external inputs taken on after the cut: `discard` (dead letters) or `retry`."""
    reason: str = ""
    deadline_us: Number = 0
    """A host that has not voted by then rejects; 0: no deadline."""
    top: Number = 0
    """Once decided: the newest epoch that any voter had cut. Those between `epoch` and it can't be restored to."""
