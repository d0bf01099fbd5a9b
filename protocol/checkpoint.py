"""What hosts say and write of checkpoints and restores, and what their machine asks for."""

from msgspec import Struct

from protocol.epoch import Commit
from protocol.fact import Began
from protocol.ids import HostId
from protocol.proposal import Restore
from protocol.tally import Statement, Tally


class Lacks(Struct, frozen=True, tag=True):
    """The newest commit and the era that the sender knows: tell it what is newer."""

    committed: int
    era: int
    base: int = -1
    """Send this commit too, though it is not the newest: a restore is voted on by its view."""


class Agreed(Struct, frozen=True, tag=True):
    """Restores that are agreed on, in order."""

    restores: tuple[Restore, ...]


class Begin(Struct, frozen=True, tag=True):
    """To a member: somebody outside the view wants this epoch begun."""

    epoch: int


CheckpointMessage = Tally | Commit | Agreed | Lacks | Begin


class _HostRecord(Struct, frozen=True, tag=True):
    """Something that a host's own log keeps."""


class CommitRecord(_HostRecord, frozen=True):
    """An epoch is known to be committed."""

    commit: Commit


class StatedRecord(_HostRecord, frozen=True):
    """What this host says of its cut: durable before anybody hears it, so it is never contradicted."""

    epoch: int
    statement: Statement


class VoteRecord(_HostRecord, frozen=True):
    """What this host says of a restore, durable before anybody hears it."""

    restore: Restore
    statement: Statement
    commit: Commit


class MetRecord(_HostRecord, frozen=True):
    """A host outside the view has spoken to this one, which will name it: durable before anything of it is handled."""

    host: HostId


class EndRecord(_HostRecord, frozen=True):
    """A restore came to nothing."""

    id: str


CheckpointRecord = CommitRecord | StatedRecord | VoteRecord | EndRecord | MetRecord


class MakeCut(Struct, frozen=True):
    """Make the cut of every agent here, now, before anything else is handled; answer with `cut_done`."""

    epoch: int


class Settle(Struct, frozen=True):
    """Tell every agent here that an epoch is committed."""

    epoch: int
    begun: tuple[Began, ...]
    horizon: int


class Pause(Struct, frozen=True):
    """No agent here begins a step while this is on."""

    pending: bool


class CarryOut(Struct, frozen=True):
    """Have every agent here carry out a restore, if it has not."""

    restore: Restore


class AppendHost(Struct, frozen=True):
    """Make a record of this host durable; answer with `appended`."""

    ticket: int
    record: CheckpointRecord


class SendHost(Struct, frozen=True):
    """Say something to another host."""

    host: HostId
    message: CheckpointMessage


class ReplyHost(Struct, frozen=True):
    """Answer a request; an empty error means that it was done."""

    request: int
    value: str
    error: str = ""


class TellHost(Struct, frozen=True):
    """Something worth a line in the audit log."""

    notice: str
    subject: str
    detail: str = ""


CheckpointAction = MakeCut | Settle | Pause | CarryOut | AppendHost | SendHost | ReplyHost | TellHost
