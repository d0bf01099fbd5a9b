"""What rollbacks are about: proposals, and the books that electors keep of them (RB-1, RB-3); and restores (CP-7)."""

from typing import NamedTuple

from msgspec import Struct

from protocol.ids import AgentId, ProposalId, StepId


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
    began_us: int = 0
    deadline_us: int = 0
    """A participant that has not voted by then rejects; 0: no deadline."""


class Debit(NamedTuple):
    """A message (or shared entry) that a cone step sent to `receiver`; `number` is 0 for an entry."""

    at: int
    receiver: AgentId
    number: int


class ConeStep(NamedTuple):
    """A cone step and all that it sent."""

    step: StepId
    sends: tuple[Debit, ...]
    epoch: int = 0


class Credit(NamedTuple):
    """A cone message addressed to the voter that it has taken into account."""

    producer: StepId
    at: int
    number: int


class Vote(Struct, frozen=True):
    """A participant's part of the books; only ever grows (RB-3)."""

    voter: AgentId
    version: int
    accepts: bool
    why: str
    cone: tuple[ConeStep, ...]
    credits: tuple[Credit, ...]
    effects: tuple[str, ...] = ()


class Restore(Struct, frozen=True):
    """Back to the cut of `epoch`, everywhere; the `number`th restore of the cluster begins the era of that number."""

    number: int
    epoch: int
    id: str
    """Which proposal this is: `HOST/r1`."""
    base: int
    """The committed epoch whose view decides, with whoever its members name."""
    inputs: str = "discard"
    """What becomes of external inputs taken on after the cut: `discard` (dead letters) or `retry`."""
    reason: str = ""
    deadline_us: int = 0
    """A host that has not voted by then rejects; 0: no deadline."""
    top: int = 0
    """Once decided: the newest epoch that any voter had cut. Those between `epoch` and it can't be restored to."""
