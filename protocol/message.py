"""What peers say to each other.

On the wire, and in logs, are the tag and the names of the fields: their order is free, and a new one has a default.
Only of `array_like` Structs and named tuples is it the order, and not the names: there a new one comes last.
`tests/data/wire_form.txt` has all of them.
"""

from msgspec import Struct

from protocol.ids import AgentId, Lineage, Number, ProposalId, StepId
from protocol.proposal import ConeStep, Proposal, Suspect, Vote
from protocol.step import Consumer, Grouped, GroupVote, Input


class _Message(Struct, frozen=True, tag=True):
    """From one peer to another."""


class Data(_Message, frozen=True):
    """A step's output."""

    input: Input


class Void(_Message, frozen=True):
    """The place of a message that will not come, or word that a lineage will not come again; numbered as data."""

    incarnation: Number
    number: Number
    lineage: Lineage
    ordered: bool


class Ack(_Message, frozen=True):
    """Messages of `incarnation` whose consumption is durable: `(number, consumer)`."""

    incarnation: Number
    consumed: tuple[tuple[Number, Consumer], ...]


class Propose(_Message, frozen=True):
    """To a root's owner: here is a rollback. To an elector that has decided: what became of it?"""

    proposal: Proposal


class Ballot(_Message, frozen=True, omit_defaults=True):
    """Votes on a proposal; `wants` asks for what the receiver knows."""

    proposal: Proposal
    votes: tuple[Vote, ...]
    wants: bool = False
    heard: str = ""
    """With `wants`: names all votes that the sender has heard, so that it is not told them again and again."""
    suspects: tuple[Suspect, ...] = ()
    """To the keeper: the sender's steps that may be in the cone."""
    found: tuple[ConeStep, ...] = ()
    """Cone steps, also of others and also before their owners know, with what they sent to the receiver."""
    dates: bool = False
    """Asks in which epochs the receiver's roots ran; the answer finds them (RB-15)."""


class Done(_Message, frozen=True):
    """To the proposer: this elector has decided and carried it out."""

    proposal: ProposalId
    decision: str
    undone: tuple[StepId, ...]
    electors: tuple[AgentId, ...]
    rejects: tuple[tuple[AgentId, str], ...]
    notes: tuple[str, ...]
    decided_us: Number
    shows: bytes = b""
    """What `Proposal.shown` returns, to whoever has seen it; empty: this is what its proposer knows itself."""


class GroupVotes(_Message, frozen=True, omit_defaults=True):
    """To a member of a group: what the sender knows that members have said; `wants` asks what the receiver knows."""

    group: Grouped
    votes: tuple[GroupVote, ...]
    wants: bool = False


class Shared(_Message, frozen=True):
    """Entries of the sender in one space, as a document update."""

    space: str
    update: bytes
    follows: Number
    """How many of the sender's slots the receiver must have for this update to apply."""
    total: Number
    """How many it has then."""
    life: Number
    """Which document of the sender's this is of: it makes a new one in each of its lives."""
    ask: Number = 0
    """The number of the question that this answers; 0: none."""


class Sync(_Message, frozen=True):
    """What the sender holds of a space (a state vector); asks for the difference, and subscribes."""

    space: str
    vector: bytes
    ask: Number = 0
    """Numbers the question, where the sender waits for the answer; 0: it does not (SH-5)."""


Message = Data | Void | Ack | Propose | Ballot | Done | GroupVotes | Shared | Sync

ROLLBACK = (Propose, Ballot, Done)
"""The messages of rollback: nobody outside a cone ever gets one (RB-8)."""
