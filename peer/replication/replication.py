"""The copies of one host's logs elsewhere, those of others' logs here, and what it takes to go on with them."""

import asyncio
from collections.abc import Callable, Iterable

from peer.keys import HostKeys
from peer.replication.escrow import Escrow
from peer.replication.incoming import PREFIX, SPEC
from peer.replication.inquiry import Inquiry
from peer.replication.mending import Mending
from peer.replication.opener import Opener
from peer.replication.outgoing import Copies, Own, Shown
from peer.replication.successor import Carrier, Household, Successor
from peer.replication.trustee import PREFIX as SHARE
from peer.replication.trustee import Trustee
from protocol.checkpoints.copy import Copied, Copy, CopyMessage, Deposit, Deposited, Held, Lacking, Reclaim, Returned
from protocol.checkpoints.machine import CheckpointMachine
from protocol.ids import AgentId, HostId

OF_OTHERS = (PREFIX, SPEC, SHARE)
"""What begins the names of logs that others send again, where one is damaged."""


class Replication:
    """One host's part in keeping copies.

    Args:
        house: the host.
        own: its agents.
        machine: its checkpoint machine.
        carrier: makes cuts, and speaks for dead hosts.
        keys: its own, of which the secret of its copies is made.
        failed: told if this host can't go on with its log.
    """

    def __init__(
        self, house: Household, own: Own, machine: CheckpointMachine, carrier: Carrier, keys: HostKeys,
        failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        replicas = machine.core.limits.replicas
        self.trustee = trustee = Trustee(house, machine.succession)
        self.escrow = Escrow(house, machine.succession, trustee, replicas, keys, lambda: self.copies.placed())
        self.opener = Opener(house, trustee, self.escrow.seal)
        self.copies = Copies(house, machine, own, self.escrow, self.opener, replicas, self._show, failed)
        self._inquiry = Inquiry(house, self.copies.kept, self.opener)
        self.successor = Successor(house, self.copies.kept, self._inquiry, self.opener, machine, carrier)
        self._host_id, self._shown = house.host_id, set[asyncio.Task[None]]()
        self._mending = Mending(house, self._inquiry if replicas else None)

    async def mend(self, kept: tuple[str, ...], names: Iterable[AgentId]) -> dict[AgentId, str]:
        """Mend every log here that is damaged; see `Mending.mend`."""
        self._load()  # what it seals, it takes from nobody in plain
        return await self._mending.mend(kept, names)

    def _load(self) -> None:
        self.trustee.load()
        self.escrow.load()

    def open(self) -> None:
        """Find what is kept here for others."""
        self._load()
        self.copies.kept.open()

    def close(self) -> None:
        """Stop."""
        self.copies.close()
        self.successor.close()
        for task in list(self._shown):
            task.cancel()

    def _show(self, backup: HostId, log: AgentId, first: int, shown: Shown) -> None:
        async def ask() -> None:
            found = await self._inquiry.ask(log, first, self._host_id, [backup])
            copies = self._inquiry.opened(self._host_id, log, found)
            shown(any(copy.records and copy.end >= first for copy in copies.values()) if found else None)

        task = asyncio.ensure_future(ask())
        self._shown.add(task)
        task.add_done_callback(self._shown.discard)

    def heard(self, sender: HostId, message: CopyMessage) -> None:
        """Take in what hosts say to each other of which one is not up yet."""
        if isinstance(message, Lacking):
            self._inquiry.lacking(sender, message)
        elif isinstance(message, Held):
            self._inquiry.held(sender, message)

    def received(self, sender: HostId, message: CopyMessage) -> None:
        """Take in what hosts say to each other that are up."""
        match message:
            case Copy() | Copied():
                self.copies.received(sender, message)
            case Deposit():
                self.trustee.deposit(sender, message)
            case Deposited():
                self.escrow.deposited(sender, message)
            case Reclaim():
                self.trustee.reclaim(sender, message)
            case Returned():
                self.opener.returned(sender, message)
            case Lacking() | Held():
                pass  # `heard` has
