"""What a host has in its care, as far as agents come to it and go: its own log, their logs, and the copies of both."""

from collections.abc import Callable, Mapping
from typing import Protocol

from peer import errors
from peer.host.driver import Driver
from peer.host.resting import let_rest
from peer.replication.inquiry import FoundCopy
from peer.replication.outgoing import Copies
from peer.replication.successor import Successor
from peer.site import Site
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.messages import CheckpointRecord
from protocol.checkpoints.moves import Moves
from protocol.ids import AgentId, HostId


class Register(Protocol):
    """The host's checkpoints, its own log and its copies."""

    machine: CheckpointMachine
    copies: Copies
    successor: Successor

    @property
    def takes_part(self) -> bool:
        """Whether this host has agents: only those make cuts."""
        ...

    def keep(self, record: CheckpointRecord, done: Callable[[], None]) -> None:
        """Keep a record; `done` is called once it is durable and copied. Raises: NotUp, before this host is up."""
        ...

    def gone(self, agent: AgentId, is_passing: bool = False) -> None:
        """An agent lives elsewhere now: nothing here waits for it; its log is copied on as long as it is passing."""
        ...

    def now_at(self, host: HostId) -> HostId:
        """Return who has what lived on a host: itself, or its successor."""
        ...

    def has_backups(self) -> bool:
        """Tell whether other hosts are to keep copies of this one's logs."""
        ...

    def catches_up(self, colour: int) -> None:
        """An agent comes that has made the cut of an epoch: no step here may fall before that."""
        ...

    def cut_newcomer(self, agent: AgentId) -> None:
        """An agent has come up here: it makes this host's cut."""
        ...


class Leaver(Site, Protocol):
    """The host itself, which may leave."""

    @property
    def checkpoints(self) -> Register:
        """Its checkpoints."""
        ...

    @property
    def drivers(self) -> Mapping[AgentId, Driver]:
        """The agents that are up here."""
        ...

    def leave(self) -> None:
        """Say goodbye to the other hosts."""
        ...


class Custody:
    """What one host has in its care."""

    def __init__(self, house: Leaver) -> None:
        self._house = house

    @property
    def register(self) -> Register:
        """The host's own log, and what it knows of successions."""
        return self._house.checkpoints

    @property
    def machine(self) -> CheckpointMachine:
        """The host's part in checkpoints."""
        return self.register.machine

    @property
    def moves(self) -> Moves:
        """What its own log says of agents that have come and gone."""
        return self.machine.core.moves

    def keep(self, record: CheckpointRecord, done: Callable[[], None]) -> None:
        """Keep a record; `done` is called once it is durable and copied. Raises: NotUp."""
        self.register.keep(record, done)

    def passes(self, agent: AgentId) -> None:
        """Copy the log of an agent that is not up here, all the same."""
        self.register.copies.begin(agent, self._house.store.length(agent))

    def place(self, done: Callable[[], None]) -> None:
        """Call `done` once the backups have all that is durable here, what passes included."""
        self.register.copies.place(done)

    def forget(self, agent: AgentId) -> None:
        """Copy an agent's log no more: another host does."""
        self.register.copies.forget(agent)

    async def copy_of(self, owner: HostId, log: AgentId) -> FoundCopy | None:
        """Return the best copy of a log of a host that was succeeded; None if there is none."""
        return await self.register.successor.find(owner, log)

    def why_full(self) -> str:
        """Return why no agent may come from elsewhere; empty if it may."""
        register = self.register
        if register.has_backups() and not register.copies.backups():
            return "nobody keeps copies of its logs yet; make a checkpoint first"
        return ""

    def leave(self, done: Callable[[], None]) -> None:
        """Let the agents here end what they do, and leave: a backup with all of their logs goes on with them (CP-8).

        Args:
            done: called once the backups have everything, and goodbye is said.

        Raises: CallerError, if no other host keeps copies.
        """
        house, copies = self._house, self.register.copies
        if not copies.backups():
            raise errors.CallerError(
                f"host {house.host_id} can't leave: nobody keeps copies of its logs. Nothing changed."
                " Start the cluster with replicas=1 or more, and at least two hosts."
            )

        def rested() -> None:
            for driver in house.drivers.values():
                driver.stop()
            copies.place(placed)

        def placed() -> None:
            house.leave()
            done()

        # A call that is cut short would be in doubt where its tool can't tell whether it has happened.
        let_rest(house, house.drivers, rested)
