"""Checkpoints and restores of one host: feeds its `CheckpointMachine`, and does what that says (CP-1 to CP-9).

The host's own log stands beside those of its agents, in the same store and so in the same commits.
"""

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import TYPE_CHECKING

from peer import errors
from peer.host.driver import Driver
from peer.host.questions import HOST
from peer.host.witness import LOG as HEADS
from peer.ports import Cancel
from peer.replication.incoming import PREFIX, SPEC
from peer.replication.inquiry import Inquiry
from peer.replication.mending import Mending
from peer.replication.outgoing import Copies
from peer.replication.successor import Heir
from protocol.action import CutReady, Tell
from protocol.checkpoints.condensing import condensed
from protocol.checkpoints.copy import Copied, Copy, Held, Lacking
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import (
    AppendHost,
    CarryOut,
    CheckpointAction,
    CheckpointRecord,
    CommitRecord,
    MakeCut,
    Pause,
    ReplyHost,
    SendHost,
    Settle,
    TakeOver,
    TellHost,
)
from protocol.checkpoints.tally import Tally
from protocol.event import CutWanted, RestoreDecided, RestorePending, Settled
from protocol.fact import Began
from protocol.ids import AgentId, HostId
from protocol.limits import CheckpointLimits
from protocol.wire import Envelope, Frame, decode_host_record, encode_host_record

if TYPE_CHECKING:
    from peer.host.host import Host
    from peer.host.questions import RestoreTo

LOG = HOST
"""The name of the host's own log in its store; no agent can have it."""
CONDENSE_COMMITS = 64
"""The host's own log is condensed after so many commits."""
HELD_MAX = 256
"""Frames of one host that wait until it is written down; more are dropped, and come again."""


class Checkpoints:
    """The checkpoints of one host."""

    def __init__(self, host: "Host", limits: CheckpointLimits | None, founder: bool) -> None:
        self._host = host
        self.machine = CheckpointMachine(host.host_id, Random(host.randomness.seed()), limits)
        self._founder = founder
        self._open = False
        self._timer: Cancel | None = None
        self._timer_us = 0
        self._ready: dict[AgentId, CutReady] = {}
        self._settled: Settled | None = None
        self._held: dict[HostId, deque[tuple[Envelope, ...]]] = {}
        self._waiting: dict[int, Callable[[str, str], None]] = {}
        self._requests = 0
        self.copies = Copies(host, self.machine.core.limits.buddies)
        self.inquiry = Inquiry(host, self.copies.kept)
        self.heir = Heir(host, self.copies.kept, self.inquiry, LOG)
        self._mending = Mending(host, self.inquiry)
        self.hurt: dict[AgentId, str] = {}
        """Logs that were not whole when this life began, as `Mending.mend` returns them."""
        self._log: list[CheckpointRecord] = []
        """The records of the host's own log that the next life needs."""
        self._commits = 0
        self._leaving: list[Callable[[], None]] | None = [] if self.machine.core.limits.buddies else None
        """What is to leave once the buddies have what earlier lives have written; None: it may."""

    @property
    def is_replicated(self) -> bool:
        """Whether every record is with the buddies before anything follows from it (CP-10)."""
        return self.machine.core.limits.is_replicated

    @property
    def takes_part(self) -> bool:
        """Whether this host has agents: only those make cuts."""
        return self._open and bool(self._host.drivers)

    def open(self) -> None:
        """Go on from the log; the agents here have read theirs."""
        records = tuple(decode_host_record(data) for data in self._host.store.read(LOG))
        drivers = self._host.drivers.values()
        colour = max((driver.machine.core.epoch for driver in drivers), default=0)
        restores = max((driver.machine.core.restores for driver in drivers), key=len, default=[])
        self._open = True
        self._log = list(records)
        self.copies.begin(LOG, self._host.store.length(LOG))
        self.copies.kept.open()
        self.met()
        self._do(self.machine.start(records, colour, restores, self._founder, self._now_us()))
        self.copies.recover(self._recovered)

    def has_buddies(self) -> bool:
        """Tell whether other hosts are to keep copies of this one's logs."""
        return self.machine.core.limits.buddies > 0

    async def mend(self, names: Iterable[AgentId]) -> dict[AgentId, str]:
        """Mend the damaged logs here, of these agents and of any other, before anybody goes on; see `Mending.mend`.

        Raises: LogCorrupt, if the host's own is not whole: it has said things that nobody here remembers.
        """
        self.hurt = wrong = await self._mending.mend((PREFIX, SPEC, HEADS), (LOG, HEADS, *names))
        why = wrong.pop(LOG, "" if self._host.store.is_lost(LOG) else None)
        if why is not None:
            raise errors.LogCorrupt(
                f"The log of host {self._host.host_id} itself is damaged: {why or 'its end is lost'}. It did not start."
                " Start it with an empty folder: its backups go on with its agents."
            )
        return wrong

    def close(self) -> None:
        """Stop."""
        self._open = False
        self.copies.close()
        self.heir.close()
        if self._timer is not None:
            self._timer()

    def when_recovered(self, leave: Callable[[], None]) -> None:
        """Let something leave this host, once the buddies have what earlier lives have written (CP-8)."""
        if self._leaving is None:
            leave()
        else:
            self._leaving.append(leave)

    def _recovered(self) -> None:
        leaving, self._leaving = self._leaving or [], None
        for leave in leaving:
            leave()

    def joined(self, driver: Driver) -> None:
        """An agent has come up on a host that runs already: it takes the host's colour and era."""
        if not self._open:
            return
        for restore in self.machine.calls.restores:
            driver.feed(RestoreDecided(restore))
        if self.machine.epochs.colour > driver.machine.core.epoch:
            driver.feed(CutWanted(self.machine.epochs.colour))
        if self._settled is not None:
            driver.feed(self._settled)
        driver.feed(RestorePending(self.machine.calls.is_paused()))

    def met(self) -> None:
        """The hosts known here have changed: those with agents are talked to, and named in the next cut."""
        living = dict.fromkeys(self._host.neighbours.machine.living())
        facts = self._host.neighbours.machine.others()
        self.machine.others(tuple(fact.host for fact in facts if fact.agents and fact.host in living))

    # -- frames ----------------------------------------------------------------------------------------------------

    def stamp(self) -> tuple[int, int]:
        """Return what every frame of this host carries: its colour and era; a colour of -1: it has no part in them."""
        if not self.takes_part:
            return -1, 0
        return self.machine.epochs.colour, self.machine.calls.era

    def received(self, sender: HostId, frame: Frame) -> tuple[Envelope, ...]:
        """See what a frame carries for this host, before its agents see anything of it.

        Returns: what its agents may be told now; the rest is held until it may.
        """
        for copy in frame.copies:
            # Between hosts of which one is not up yet.
            if isinstance(copy, Lacking):
                self.inquiry.lacking(sender, copy)
            elif isinstance(copy, Held):
                self.inquiry.held(sender, copy)
        if frame.epoch < 0 or not self.takes_part:
            return frame.envelopes
        for copy in frame.copies:
            if isinstance(copy, Copy | Copied):
                self.copies.received(sender, copy)
        self._do(self.machine.stamped(sender, frame.epoch, frame.era, self._now_us()))
        for message in frame.checkpoints:
            self._do(self.machine.received(sender, message, self._now_us()))
        if not frame.envelopes or self.machine.takes(sender, frame.era):
            return frame.envelopes
        if frame.era <= self.machine.calls.era:
            held = self._held.setdefault(sender, deque(maxlen=HELD_MAX))
            held.append(frame.envelopes)
        return ()

    # -- what agents and people want -------------------------------------------------------------------------------

    def cut_ready(self, agent: AgentId, action: CutReady) -> None:
        """An agent's cut is durable; when all are, the host says so."""
        self.heir.ready(agent, action)
        if action.epoch == self.machine.epochs.colour:
            self._ready[agent] = action
        self._count_ready()

    def gone(self, agent: AgentId) -> None:
        """An agent lives elsewhere now: nothing here waits for it."""
        self.copies.forget(agent)
        self.heir.gone(agent)
        if self.takes_part:
            self._count_ready()

    def _count_ready(self) -> None:
        colour = self.machine.epochs.colour
        done = [ready for name, ready in self._ready.items() if ready.epoch == colour and name in self._host.drivers]
        if len(done) == len(self._host.drivers):
            begun = tuple(began for ready in done for began in ready.begun)
            undecided = min(ready.undecided for ready in done)
            self._do(self.machine.cut_done(colour, undecided, begun, self._now_us()))

    def succeeds(self, host: HostId) -> bool:
        """Tell whether this host has succeeded another, or whoever has succeeded that one."""
        return self.machine.succession.heir_of(host) == self._host.host_id

    def begin(self, answered: Callable[[str, str], None]) -> None:
        """Begin a checkpoint; `answered` is told its epoch once it is committed, or what is wrong."""
        self._do(self.machine.begin(self._request(answered), self._now_us()))

    def restore(self, ask: "RestoreTo", answered: Callable[[str, str], None]) -> None:
        """Have everything go back to the cut of an epoch; `answered` is told the restore's number."""
        request = self._request(answered)
        self._do(
            self.machine.restore(request, ask.id, ask.epoch, ask.inputs, ask.reason, ask.deadline_us, self._now_us())
        )

    def _request(self, answered: Callable[[str, str], None]) -> int:
        self._requests += 1
        self._waiting[self._requests] = answered
        return self._requests

    # -- carrying out ----------------------------------------------------------------------------------------------

    def _do(self, actions: list[CheckpointAction]) -> None:
        drivers = list(self._host.drivers.values())
        for action in actions:
            match action:
                case MakeCut():
                    self._ready = {}
                    for driver in drivers:
                        driver.feed(CutWanted(action.epoch))
                case Settle():
                    self._settled = Settled(action.epoch, action.begun, action.horizon)
                    for driver in drivers:
                        driver.feed(self._settled)
                    self._host.store.tidy()
                case Pause():
                    for driver in drivers:
                        driver.feed(RestorePending(action.pending))
                case CarryOut():
                    for driver in drivers:
                        driver.feed(RestoreDecided(action.restore))
                case TakeOver():
                    self.heir.take_over(action.dead)
                case AppendHost():
                    self._append(action)
                case SendHost():
                    self._say(action)
                case ReplyHost():
                    answered = self._waiting.pop(action.request, None)
                    if answered is not None:
                        answered(action.value, action.error)
                case TellHost():
                    self._host.noticed(LOG, Tell(action.notice, action.subject, action.detail))
        self._wake()

    def _say(self, action: SendHost) -> None:
        """Say something to another host; what this one has stated or voted only once the buddies have that."""
        frame = Frame(checkpoints=(action.message,))
        if isinstance(action.message, Tally):
            self.when_recovered(lambda: self._host.send_frame(action.host, frame))
        else:
            self._host.send_frame(action.host, frame)

    def _append(self, action: AppendHost) -> None:
        ticket, records, anchor = action.ticket, [encode_host_record(action.record)], False
        self._log.append(action.record)
        self._commits += isinstance(action.record, CommitRecord)
        if self._commits >= CONDENSE_COMMITS:
            # What is past need not be read again, nor kept by buddies.
            self._log, self._commits = condensed(self._log), 0
            records, anchor = [encode_host_record(record) for record in self._log], True

        def appended() -> None:
            if self._open:
                self._do(self.machine.appended(ticket, self._now_us()))
                self.copies.changed()
                self._release()

        def durable() -> None:
            if self._open:
                self.copies.wrote(LOG, records, anchor)
                if action.is_fact:
                    self.copies.place(appended)
                    return
                appended()
                # Nothing waits for the rest; it is not to stay here alone until something does (CP-11).
                self.copies.place(lambda: None)

        self._host.store.append(LOG, records, durable, anchor)

    def wrote(self, log: AgentId, records: list[bytes], anchor: bool = False) -> None:
        """Records of an agent are durable here."""
        self.copies.wrote(log, records, anchor)
        limits = self.machine.core.limits
        if self._open and (limits.interval_records or limits.interval_bytes or limits.kept_bytes):
            self._do(self.machine.grown(len(records), sum(map(len, records)), self._now_us()))

    def place(self, done: Callable[[], None]) -> None:
        """Call `done` once the buddies have all that is durable here (CP-8)."""
        self.copies.place(done)

    def taken_over(
        self, dead: HostId, records: tuple[CheckpointRecord, ...], begun: tuple[Began, ...], horizon: int
    ) -> None:
        """A dead host's agents live here now."""
        self._do(self.machine.taken_over(dead, records, begun, self._now_us(), horizon))

    def turned(self, host: HostId, how: str) -> None:
        """A host has `failed`, `left` or `recovered`."""
        turned = {"failed": self.machine.failed, "left": self.machine.left}.get(how, self.machine.recovered)
        self.met()
        self._do(turned(host, self._now_us()))

    def hand_over(self, done: Callable[[], None]) -> None:
        """Stop the agents here and leave: a buddy that has all of their logs goes on with them (CP-8).

        Args:
            done: called once the buddies have everything, and goodbye is said.

        Raises: CallerError, if no other host keeps copies.
        """
        if not self.copies.buddies():
            raise errors.CallerError(
                f"host {self._host.host_id} can't leave: nobody keeps copies of its logs. Nothing changed."
                " Start the cluster with replicas=1 or more, and at least two hosts."
            )
        for driver in self._host.drivers.values():
            driver.stop()

        def placed() -> None:
            self._host.leave()
            done()

        self.copies.place(placed)

    def _release(self) -> None:
        """Hand over what was held until its sender was written down."""
        for sender in [host for host in self._held if self.machine.takes(host, 0)]:
            for envelopes in self._held.pop(sender):
                self._host.deliver(sender, envelopes)

    def _wake(self) -> None:
        deadline_us = self.machine.deadline_us
        if not self._open or deadline_us is None:
            return
        if self._timer is not None:
            if self._timer_us <= deadline_us:
                return
            self._timer()
        self._timer_us = deadline_us
        self._timer = self._host.clock.wake(deadline_us, self._elapsed)

    def _elapsed(self) -> None:
        self._timer = None
        if self._open:
            self._do(self.machine.elapsed(self._now_us()))

    def _now_us(self) -> int:
        return self._host.clock.now_us()
