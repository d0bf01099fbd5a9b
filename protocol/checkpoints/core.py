"""What the parts of one host's checkpointing share: epochs, restores, agents, the log, and the actions of one event.

The parts (`checkpointing`, `restore_votes`, `succession`) do not know each other; `machine` joins them.
"""

from collections.abc import Callable

from protocol.chance import Chance
from protocol.checkpoints.agents import Agents
from protocol.checkpoints.epoch import Epochs
from protocol.checkpoints.estates import Estates
from protocol.checkpoints.messages import (
    AppendHost,
    CarryOut,
    CheckpointAction,
    CheckpointMessage,
    CheckpointRecord,
    ForAgent,
    Lacks,
    MakeCut,
    Pause,
    ReplyHost,
    SendHost,
    Settle,
    TellHost,
)
from protocol.checkpoints.moves import Moves
from protocol.checkpoints.restores import Restores
from protocol.checkpoints.tally import Tally
from protocol.event import Event, LogStalled, Recovered, RestorePending, Settled
from protocol.ids import AgentId, HostId
from protocol.limits import CheckpointLimits


class HostCore:
    """One host's epochs, restores, agents and log."""

    def __init__(self, host: HostId, chance: Chance, limits: CheckpointLimits) -> None:
        self.host = host
        self.limits = limits
        self.rng = chance
        self.epochs = Epochs(host)
        self.restores = Restores(host)
        self.agents = Agents()
        self.estates = Estates()
        self.moves = Moves(host)
        self.settled: Settle | None = None
        """What the agents here were told last of what is settled."""
        self.now_us = 0
        self.horizon = 0
        """Steps of epochs before this one are final here."""
        self.others: tuple[HostId, ...] = ()
        """The other hosts with agents that are there."""
        self.failed: dict[HostId, int] = {}
        """Hosts that do not answer, and since when."""
        self.let_go: Callable[[], int] = lambda: 0
        """Says which epoch is the oldest that can be restored without undoing an irreversible call (RQ-2)."""
        self.met: dict[HostId, bool] = {}
        """Hosts outside the view that have spoken to this one, and whether that is durable."""
        self.actions: list[CheckpointAction] = []
        self._tickets = 0
        self._writing: dict[int, CheckpointRecord] = {}

    def append(self, record: CheckpointRecord, is_fact: bool = False) -> None:
        """Make a record durable; a fact is with the backups too before it counts (CP-8)."""
        self._tickets += 1
        self._writing[self._tickets] = record
        self.actions.append(AppendHost(self._tickets, record, is_fact))

    def written(self, ticket: int) -> CheckpointRecord | None:
        """Return the record that is durable now; None for one of an earlier life."""
        return self._writing.pop(ticket, None)

    def is_writing(self, kind: type[CheckpointRecord]) -> bool:
        """Tell whether a record of a kind is under way."""
        return any(isinstance(record, kind) for record in self._writing.values())

    def send(self, host: HostId, message: CheckpointMessage) -> None:
        """Say something to another host."""
        self.actions.append(SendHost(host, message))

    def reply(self, request: int, value: str, error: str = "") -> None:
        """Answer a request."""
        self.actions.append(ReplyHost(request, value, error))

    def tell(self, notice: str, subject: str, detail: str = "") -> None:
        """Say something to whoever audits."""
        self.actions.append(TellHost(notice, subject, detail))

    def gossip(self) -> None:
        """Tell one other host, at random, what is known of each open count, until its outcome is known (CP-2)."""
        if self.others:
            for tally in self._tallies():
                self.send(self.rng.choice(self.others), tally)
            if self.epochs.commit is None or self.epochs.colour > self.epochs.committed + 1:
                self.send(self.rng.choice(self.others), self.lacks())

    def _tallies(self) -> list[Tally]:
        """Return what is known here of each open count, once this host has said something itself."""
        tallies = [
            motion.count.tally(motion.restore) for motion in self.restores.open.values() if motion.own is not None
        ]
        count = self.epochs.count
        if count is not None and self.epochs.colour > count.base:
            tallies.append(count.tally())
        return tallies

    def named(self) -> tuple[HostId, ...]:
        """Return whom this host knows to be there; those outside the view are named by it (CP-3)."""
        return tuple(sorted({**dict.fromkeys(self.others), **dict.fromkeys(self.met)}))

    def for_newcomer(self, colour: int) -> list[ForAgent]:
        """Return what an agent is to be told that comes up here: all that the others were told before.

        Args:
            colour: its own; -1: it is to say again that it has made its cut.
        """
        told: list[ForAgent] = [CarryOut(restore).event for restore in self.restores.agreed]
        if self.epochs.colour > colour:
            told.append(MakeCut(self.epochs.colour).event)
        # RQ-2: before anything settles, and what is irreversible goes.
        told.append(Pause(self.restores.is_paused()).event)
        return told if self.settled is None else [*told, self.settled.event]

    def before(self, agent: AgentId, event: Event, colour: int) -> list[ForAgent]:
        """Return what an agent is to be told before an event of its own: one that sleeps is woken (CP-13).

        It makes its host's cut first, where it stands: so what follows is outside of all that it has slept through.

        Args:
            agent: who.
            event: what it is to handle. A new life begins with its log alone; and that no step may begin for now
                changes nothing.
            colour: the newest cut in its log.
        """
        if not self.agents.sleeps(agent) or isinstance(event, Recovered | LogStalled | RestorePending):
            return []
        self.agents.woken(agent)
        return self.for_newcomer(colour)

    def missed_by(self, agent: AgentId) -> tuple[int, Settled | None]:
        """Return what an agent that sleeps is not told: this host's colour, and what is settled; else nothing."""
        if self.settled is None or not self.agents.sleeps(agent):
            return 0, None
        return self.epochs.colour, self.settled.event

    def lacks(self, base: int = -1) -> Lacks:
        """Return what this host knows, to be told what is newer."""
        return Lacks(self.epochs.committed, self.restores.era, base)

    def send_commit(self, host: HostId) -> None:
        """Tell a host of the newest commit."""
        commit = self.epochs.commit
        if commit is not None:
            self.send(host, commit)
