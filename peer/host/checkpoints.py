"""Checkpoints and restores of one host: feeds its `CheckpointMachine`, and does what that says (CP-1 to CP-9).

The host's own log stands beside those of its agents, in the same store and so in the same commits.
"""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Protocol

from peer import errors
from peer.host import absentees
from peer.host.driver import Driver
from peer.host.journal import Journal
from peer.host.questions import RestoreTo
from peer.host.repeats import LOG as ASKED
from peer.host.residents import Residents
from peer.host.roll import Roll
from peer.ports import Cancel, Observer
from peer.replication.replication import OF_OTHERS, Replication
from peer.replication.successor import Household
from peer.store.heads import LOG as HEADS
from peer.trust.badge import Badge
from peer.trust.orders import LOG as ORDERS
from protocol.action import CutReady, Tell
from protocol.checkpoints.agents import Standing
from protocol.checkpoints.epoch import Commit
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import (
    AppendHost,
    CarryOut,
    CheckpointAction,
    CheckpointRecord,
    MakeCut,
    Pause,
    ReplyHost,
    SendHost,
    Settle,
    TakeOver,
    TellHost,
)
from protocol.checkpoints.moves import Moves
from protocol.checkpoints.tally import Tally
from protocol.event import CutWanted
from protocol.ids import HOST, AgentId, HostId
from protocol.limits import CheckpointLimits
from protocol.wire import Envelope, Frame, decode_host_record

LOG = HOST
NOTES = (HEADS, ORDERS, ASKED)
"""Logs of what a host notes of others: where one is damaged it begins anew."""
"""The name of the host's own log in its store."""


class Heir(Protocol):
    """What goes on with the moves of others."""

    def inherit(self, left: Moves) -> None:
        """Go on with what a host has begun that this one has succeeded."""
        ...


class House(Household, absentees.House, Protocol):
    """What checkpoints need of the host."""

    badge: Badge

    def deliver(self, sender: HostId, envelopes: tuple[Envelope, ...]) -> None:
        """Hand agents what those of another host say."""
        ...

    def failed(self, error: Exception) -> None:
        """This host can't go on with its log: its agents stop."""
        ...

    @property
    def departures(self) -> Heir:
        """The agents that move elsewhere."""
        ...


class Checkpoints:
    """The checkpoints of one host."""

    def __init__(
        self, house: House, residents: Residents, limits: CheckpointLimits | None, founder: bool, observer: Observer
    ) -> None:
        self._house = house
        self._residents = residents
        self._observer = observer
        self.machine = machine = CheckpointMachine(house.host_id, Random(house.randomness.seed()), limits)
        machine.core.let_go = residents.let_go
        self._roll = Roll(residents, machine)
        self.before = self._roll.before
        self._founder = founder
        self._open = False
        self._timer: Cancel | None = None
        self._timer_us = 0
        self._waiting: dict[int, Callable[[str, str], None]] = {}
        self._requests = 0
        self._replication = Replication(house, residents, machine, self, house.badge.keys, house.failed)
        self.copies, self.successor = self._replication.copies, self._replication.successor
        self.hurt: Mapping[AgentId, str] = {}
        """Logs that were not whole when this life began, as `Mending.mend` returns them."""
        self._journal = Journal()
        self._absentees = absentees.Absentees(house, machine.succession, machine.core.limits.successor_us, self.turned)
        self._leaving: list[Callable[[], None]] | None = [] if self.machine.core.limits.replicas else None
        """What is to leave once the backups have what earlier lives have written; None: it may."""

    @property
    def is_replicated(self) -> bool:
        """Whether every record is with the backups before anything follows from it (CP-10)."""
        return self.machine.core.limits.is_replicated

    @property
    def is_open(self) -> bool:
        """Whether this host has read its logs, and knows who lives here."""
        return self._open

    @property
    def takes_part(self) -> bool:
        """Whether this host has agents: only those make cuts."""
        return self._open and bool(self._residents.drivers)

    def open(self) -> None:
        """Go on from the log; the agents here have read theirs."""
        records = tuple(decode_host_record(data) for data in self._house.store.read(LOG))
        cores = {name: driver.machine.core for name, driver in self._residents.drivers.items()}
        agents = {name: Standing(core.epoch, core.restores) for name, core in cores.items()}
        self._open = True
        self._journal.load(records)
        self.copies.begin(LOG, self._house.store.length(LOG))
        self._replication.open()
        self.met()
        self._do(self.machine.start(records, agents, self._founder, self._now_us()))
        self.copies.recover(self._recovered)
        if self.has_backups():
            self._absentees.open()

    def has_backups(self) -> bool:
        """Tell whether other hosts are to keep copies of this one's logs."""
        return self.machine.core.limits.replicas > 0

    async def mend(self, names: Iterable[AgentId]) -> dict[AgentId, str]:
        """Mend the damaged logs here, of these agents and of any other, before anybody goes on; see `Mending.mend`.

        Raises: LogCorrupt, if the host's own is not whole: it has said things that nobody here remembers.
        """
        self.hurt = wrong = await self._replication.mend((*OF_OTHERS, *NOTES), (LOG, *NOTES, *names))
        why = wrong.pop(LOG, "" if self._house.store.is_lost(LOG) else None)
        if why is not None:
            raise errors.LogCorrupt(
                f"The log of host {self._house.host_id} itself is damaged: {why or 'its end is lost'}."
                " It did not start. Start it with an empty folder: its backups go on with its agents."
            )
        return wrong

    def close(self) -> None:
        """Stop."""
        self._open = False
        self._absentees.close()
        self._replication.close()
        if self._timer is not None:
            self._timer()

    def when_recovered(self, leave: Callable[[], None]) -> None:
        """Let something leave this host, once the backups have what earlier lives have written (CP-8)."""
        if self._leaving is None:
            leave()
        else:
            self._leaving.append(leave)

    def _recovered(self) -> None:
        leaving, self._leaving = self._leaving or [], None
        for leave in leaving:
            leave()

    def joined(self, driver: Driver) -> None:
        """An agent has come up: on a host that runs already it takes that one's colour and era."""
        if self._open:
            self.catches_up(driver.machine.core.epoch)
            for event in self.machine.joined(driver.agent.name, driver.machine.core.epoch):
                driver.feed(event)

    def met(self) -> None:
        """The hosts known here have changed: those with agents are talked to, and named in the next cut."""
        self.machine.others(tuple(self._house.living()))

    # -- frames ----------------------------------------------------------------------------------------------------

    def stamp(self) -> tuple[int, int]:
        """Return what every frame of this host carries: its colour and era; a colour of -1: it has no part in them."""
        if not self.takes_part:
            return -1, 0
        return self.machine.epochs.colour, self.machine.restores.era

    def received(self, sender: HostId, frame: Frame) -> tuple[Envelope, ...]:
        """See what a frame carries for this host, before its agents see anything of it.

        Returns: what its agents may be told now; the rest is held until it may.
        """
        for message in frame.copies:
            self._replication.heard(sender, message)
        if frame.epoch < 0 or not self.takes_part:
            return frame.envelopes
        for message in frame.copies:
            self._replication.received(sender, message)
        self._do(self.machine.stamped(sender, frame.epoch, frame.era, self._now_us()))
        for message in frame.checkpoints:
            self._do(self.machine.received(sender, message, self._now_us()))
        is_admitted = not frame.envelopes or self.machine.admits(sender, frame.era, frame.envelopes)
        return frame.envelopes if is_admitted else ()

    # -- what agents and people want -------------------------------------------------------------------------------

    def cut_ready(self, agent: AgentId, action: CutReady) -> None:
        """An agent's cut is durable."""
        horizon = self._residents.drivers[agent].machine.core.horizon
        self._take_turns(self.machine.agent_cut(agent, action, horizon, self._now_us()))

    def gone(self, agent: AgentId, is_passing: bool = False) -> None:
        """An agent lives elsewhere now: nothing here waits for it; its log is copied on as long as it is passing."""
        if not is_passing:
            self.copies.forget(agent)
        self._take_turns(self.machine.gone(agent, self._now_us()))

    def succeeds(self, host: HostId) -> bool:
        """Tell whether this host has succeeded another, or whoever has succeeded that one."""
        return self.machine.succession.successor_of(host) == self._house.host_id

    def unheard(self) -> list[HostId]:
        """Return the hosts that this one's log tells of, and of which nothing is known in this life yet."""
        core, commit = self.machine.core, self.machine.epochs.commit
        expected = dict.fromkeys((*(() if commit is None else commit.view), *core.met))
        heard = dict.fromkeys((self._house.host_id, *(fact.host for fact in self._house.known_hosts())))
        return [host for host in expected if host not in heard and not self.machine.succession.is_refused(host)]

    def now_at(self, host: HostId) -> HostId:
        """Return who has what lived on a host: itself, or its successor."""
        return self.machine.succession.successor_of(host)

    def begin(self, answered: Callable[[str, str], None]) -> None:
        """Begin a checkpoint; `answered` is told its epoch once it is committed, or what is wrong."""
        self._do(self.machine.begin(self._request(answered), self._now_us()))

    def restore(self, ask: RestoreTo, answered: Callable[[str, str], None]) -> None:
        """Have everything go back to the cut of an epoch; `answered` is told the restore's number."""
        asked = (ask.id, ask.epoch, ask.inputs, ask.reason, ask.deadline_us)
        self._do(self.machine.restore(self._request(answered), *asked, self._now_us()))

    def _request(self, answered: Callable[[str, str], None]) -> int:
        self._requests += 1
        self._waiting[self._requests] = answered
        return self._requests

    # -- carrying out ----------------------------------------------------------------------------------------------

    def _take_turns(self, turns: list[list[CheckpointAction]]) -> None:
        for actions in turns:
            self._do(actions)

    def _do(self, actions: list[CheckpointAction]) -> None:
        for action in actions:
            match action:
                case MakeCut() | Settle() | Pause() | CarryOut():
                    self._take_turns(self._roll.tell(action, self._now_us()))
                    if isinstance(action, Settle):
                        self._observer.settled(action.event)
                        self._house.store.tidy()
                case TakeOver():
                    self.successor.take_over(action.dead)
                case AppendHost():
                    self._append(action)
                case SendHost():
                    self._say(action)
                case ReplyHost():
                    answered = self._waiting.pop(action.request, None)
                    if answered is not None:
                        answered(action.value, action.error)
                case TellHost():
                    self._house.noticed(LOG, Tell(action.notice, action.subject, action.detail))
        self._wake()

    def _say(self, action: SendHost) -> None:
        """Say something to another host; what this one has stated or voted only once the backups have that."""
        frame = Frame(checkpoints=(action.message,))
        if isinstance(action.message, Tally):
            self.when_recovered(lambda: self._house.send_frame(action.host, frame))
        else:
            self._house.send_frame(action.host, frame)

    def _append(self, action: AppendHost) -> None:
        def appended() -> None:
            if self._open:
                self._do(self.machine.appended(action.ticket, self._now_us()))
                self.copies.changed()
                self._release()

        def durable() -> None:
            if action.is_fact:
                self.copies.place(appended)
                return
            appended()
            # Nothing waits for the rest; it is not to stay here alone until something does (CP-11).
            self.copies.place(lambda: None)

        self._write(action.record, durable)

    def _write(self, record: CheckpointRecord, done: Callable[[], None]) -> None:
        records, anchor = self._journal.add(record)

        def durable() -> None:
            if self._open:
                self.copies.wrote(LOG, records, anchor)
                done()

        self._house.store.append(LOG, records, durable, anchor)

    def keep(self, record: CheckpointRecord, done: Callable[[], None]) -> None:
        """Keep a record that is no part of what hosts agree on; `done` is called once it is durable here and copied.

        Raises: NotUp, before this host is up.
        """
        if not self._open:
            raise errors.NotUp("this host is not up yet")
        self._write(record, lambda: self.copies.place(done))

    def wrote(self, log: AgentId, records: list[bytes], anchor: bool = False) -> None:
        """Records of an agent are durable here."""
        self.copies.wrote(log, records, anchor)
        limits = self.machine.core.limits
        if self._open and (limits.interval_records or limits.interval_bytes or limits.kept_bytes):
            self._do(self.machine.grown(len(records), sum(map(len, records)), self._now_us()))

    def place(self, log: AgentId, done: Callable[[], None]) -> None:
        """Call `done` once the backups have all that is durable here, of an agent's log too (CP-8)."""
        length = self.copies.length(log)

        def placed() -> None:
            # Who is in no view yet has no backups: then nothing is promised.
            if self.copies.backups():
                self._observer.placed(log, length)
            done()

        self.copies.place(placed)

    def cut_newcomer(self, agent: AgentId) -> None:
        """An agent has come up here, from a dead host: it makes this host's cut."""
        self._residents.drivers[agent].feed(CutWanted(self.machine.epochs.colour))

    def catches_up(self, colour: int, commit: Commit | None = None) -> None:
        """An agent comes that has made the cut of an epoch: no step here may fall before that."""
        self._do(self.machine.catches_up(colour, self._now_us(), commit))

    def inherits(self, left: Moves) -> None:
        """Go on with the moves that a dead host has begun (MB-9)."""
        self._house.departures.inherit(left)

    def inherit(self) -> None:
        """Speak for the dead hosts whose agents are all up here."""
        self._take_turns(self.machine.inherit(self._now_us()))

    def turned(self, host: HostId, how: str) -> None:
        """A host has `failed`, `left` or `recovered`."""
        turned = {"failed": self.machine.failed, "left": self.machine.left}.get(how, self.machine.recovered)
        self.met()
        self._do(turned(host, self._now_us()))

    def _release(self) -> None:
        """Hand over what was held until its sender was written down."""
        for sender, envelopes in self.machine.admitted():
            self._house.deliver(sender, envelopes)

    def _wake(self) -> None:
        deadline_us = self.machine.deadline_us
        if not self._open or deadline_us is None:
            return
        if self._timer is not None:
            if self._timer_us <= deadline_us:
                return
            self._timer()
        self._timer_us = deadline_us
        self._timer = self._house.clock.wake(deadline_us, self._elapsed)

    def _elapsed(self) -> None:
        self._timer = None
        if self._open:
            self._do(self.machine.elapsed(self._now_us()))

    def _now_us(self) -> int:
        return self._house.clock.now_us()
