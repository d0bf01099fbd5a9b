"""What hosts say and write of checkpoints and restores, and what their machine asks for."""

from msgspec import Struct

from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.tally import Statement, Tally
from protocol.event import CutWanted, RestoreDecided, RestorePending, Settled
from protocol.fact import Began
from protocol.ids import AgentId, HostId, Number
from protocol.proposal import Restore


class Lacks(Struct, frozen=True, tag=True):
    """The newest commit and the era that the sender knows: tell it what is newer."""

    committed: Number
    era: Number
    base: Number = -1
    """Send this commit too, though it is not the newest: a restore is voted on by its view."""


class Agreed(Struct, frozen=True, tag=True):
    """Restores that are agreed on, in order."""

    restores: tuple[Restore, ...]


class Begin(Struct, frozen=True, tag=True):
    """To a member: somebody outside the view wants this epoch begun."""

    epoch: Number


Round = tuple[Number, HostId]
"""A round, and who began it."""


class _Decree(Struct, frozen=True, tag=True):
    """A step towards who succeeds a dead host."""

    dead: HostId


class Prepare(_Decree, frozen=True):
    """Promise to accept nothing below this ballot, and say what you have accepted."""

    ballot: Round
    epoch: Number
    """The newest commit that the sender knows: it counts majorities by that view and the one before."""


class Promise(_Decree, frozen=True):
    """I do, and this is what I have accepted."""

    ballot: Round
    accepted: Round
    by: HostId


class Accept(_Decree, frozen=True):
    """Accept that `by` succeeds it."""

    ballot: Round
    by: HostId
    epoch: Number


class Accepted(_Decree, frozen=True):
    """I have."""

    ballot: Round
    by: HostId


class Refusal(_Decree, frozen=True):
    """I have promised more to somebody else."""

    promised: Round


class Succeeded(_Decree, frozen=True):
    """It is decided."""

    by: HostId


DecreeMessage = Prepare | Promise | Accept | Accepted | Refusal | Succeeded
CheckpointMessage = Tally | Commit | Agreed | Lacks | Begin | DecreeMessage


class _HostRecord(Struct, frozen=True, tag=True):
    """Something that a host's own log keeps."""


class CommitRecord(_HostRecord, frozen=True):
    """An epoch is known to be committed."""

    commit: Commit


class StatedRecord(_HostRecord, frozen=True):
    """What this host says of its cut: durable before anybody hears it, so it is never contradicted."""

    epoch: Number
    statement: Statement


class RestoreVoteRecord(_HostRecord, frozen=True, tag="VoteRecord"):
    """What this host says of a restore, durable before anybody hears it."""

    restore: Restore
    statement: Statement
    commit: Commit


class MetRecord(_HostRecord, frozen=True):
    """A host outside the view has spoken to this one, which will name it: durable before anything of it is handled."""

    host: HostId


class PaxosRecord(_HostRecord, frozen=True):
    """What this host has promised and accepted about a dead one, durable before it is said."""

    dead: HostId
    promised: Round
    accepted: Round
    value: HostId
    sender: HostId


class SucceededRecord(_HostRecord, frozen=True):
    """Who succeeds a dead host is decided."""

    dead: HostId
    by: HostId


class EndRecord(_HostRecord, frozen=True):
    """A restore came to nothing."""

    id: str
    rejects: tuple[tuple[HostId, str], ...] = ()
    """Who did not agree, and why: whoever still asks is told so by any life of this host."""


class MadeRecord(_HostRecord, frozen=True):
    """An agent that a handler has made lives on this host: every life of it brings the agent up (NA-1)."""

    agent: AgentId
    kind: str
    """Its class, as `module:qualname`."""
    options: bytes


class MoveRecord(_HostRecord, frozen=True):
    """A word on an agent that goes from one host to another (MB-9)."""


class MovedRecord(MoveRecord, frozen=True):
    """An agent that lived here is another host's from now on: its log is handed over until that one has it."""

    agent: AgentId
    id: str
    """Of this move, and of no other."""
    to: HostId
    source: HostId
    """The host that had it: copies of its log are named after that one."""
    kind: str
    """Its class, as `module:qualname`."""
    options: bytes
    life: Number
    """How many lives it had had before this one."""
    colour: Number
    """The newest cut that it has made, or slept through (CP-13)."""
    era: Number
    """How many restores it has carried out."""
    begun: tuple[Began, ...] = ()
    """What cuts have to say of its beginnings, as long as nobody else says so."""
    undecided: Number | None = None
    """The oldest epoch that an undecided proposal of it needs."""


class ComingRecord(MoveRecord, frozen=True):
    """The log of an agent comes from another host, and copies of it are made: it does not live here yet."""

    agent: AgentId
    id: str


class TakenRecord(MoveRecord, frozen=True):
    """An agent has come from another host, with its whole log, and lives here."""

    agent: AgentId
    id: str
    """Of the move; empty: it comes from a host that this one has succeeded."""
    kind: str
    options: bytes
    term: Number = 1
    """By which it lives here (MB-8)."""


class HandedRecord(MoveRecord, frozen=True):
    """Whom an agent went to has it, and speaks for it in cuts after this epoch."""

    agent: AgentId
    id: str
    epoch: Number


class KnownRecord(MoveRecord, frozen=True):
    """Moves to hosts that this one has succeeded, and which those had taken: they are over."""

    ids: tuple[str, ...]


CheckpointRecord = (
    CommitRecord
    | StatedRecord
    | RestoreVoteRecord
    | EndRecord
    | MetRecord
    | PaxosRecord
    | SucceededRecord
    | MadeRecord
    | MovedRecord
    | ComingRecord
    | TakenRecord
    | HandedRecord
    | KnownRecord
)


ForAgent = CutWanted | Settled | RestorePending | RestoreDecided
"""What a host's checkpoints say to its agents."""


class MakeCut(Struct, frozen=True):
    """Make the cut of every agent here, now, before anything else is handled; answer with `agent_cut` for each."""

    epoch: Number

    @property
    def event(self) -> CutWanted:
        """What every agent here is told."""
        return CutWanted(self.epoch)


class Settle(Struct, frozen=True):
    """Tell every agent here that an epoch is committed."""

    epoch: Number
    begun: tuple[Began, ...]
    horizon: Number

    @property
    def event(self) -> Settled:
        """What every agent here is told."""
        return Settled(self.epoch, self.begun, self.horizon)


class Pause(Struct, frozen=True):
    """No agent here begins a step while this is on."""

    pending: bool

    @property
    def event(self) -> RestorePending:
        """What every agent here is told."""
        return RestorePending(self.pending)


class CarryOut(Struct, frozen=True):
    """Have every agent here carry out a restore, if it has not."""

    restore: Restore

    @property
    def event(self) -> RestoreDecided:
        """What every agent here is told."""
        return RestoreDecided(self.restore)


class AppendHost(Struct, frozen=True):
    """Make a record of this host durable; answer with `appended`."""

    ticket: Number
    record: CheckpointRecord
    is_fact: bool = False
    """It is to be with the backups too, before it counts (CP-8)."""


class TakeOver(Struct, frozen=True):
    """Bring up the agents of a dead host from the copies of its logs: `inherits`, and `inherit` once they are up."""

    dead: HostId


class SendHost(Struct, frozen=True):
    """Say something to another host."""

    host: HostId
    message: CheckpointMessage


class ReplyHost(Struct, frozen=True):
    """Answer a request; an empty error means that it was done."""

    request: Number
    value: str
    error: str = ""


class TellHost(Struct, frozen=True):
    """Something worth a line in the audit log."""

    notice: str
    subject: str
    detail: str = ""


CheckpointAction = MakeCut | Settle | Pause | CarryOut | AppendHost | TakeOver | SendHost | ReplyHost | TellHost
