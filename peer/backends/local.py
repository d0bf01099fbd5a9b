"""All hosts in this process: the same code as on Ray, with real logs.

Frames are handed over in memory; or, with `listen=True`, go over sockets of this machine, so that others can attach.
"""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

from peer import errors
from peer.agents.attempts import Attempts
from peer.agents.rehearsal import Rehearsal
from peer.agents.resources import Resources
from peer.agents.watchdog import watch
from peer.backends import Came, Room, admission
from peer.backends.admission import Address
from peer.backends.packing import available_bytes
from peer.backends.roll import Roll, check_usable
from peer.host.host import AgentSpec, Host
from peer.keys import HostKeys
from peer.ports import Transport
from peer.store.lock import lock
from peer.store.memory import MemoryStore
from peer.store.opening import open_folder
from peer.store.outside.keeping import Keeping, Places
from peer.store.shelf import DiskShelves
from peer.store.storage import Storage
from peer.system import SystemClock
from peer.transport.memory import MemoryNetwork, MemoryTransport
from peer.transport.zmq import ZmqTransport
from peer.trust.badge import Badge
from peer.trust.rights import OF_HOSTS
from protocol.ids import HOST, AgentId, HostId
from protocol.limits import CheckpointLimits, Limits


class _Place:
    """One host: its folder, and the agents that belong there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.specs: list[AgentSpec] = []
        self.host: Host | None = None


class LocalBackend:
    """Implements `Backend` in one process.

    Options: `listen`, so that other processes can attach; `rehearsal`, what answers in the place of tools.
    """

    def __init__(
        self, folder: Path, limits: Limits | None, checkpoints: CheckpointLimits, places: Places,
        options: dict[str, Any], storage: Storage | None = None,
    ) -> None:  # fmt: skip
        unknown = sorted(set(options) - {"listen", "rehearsal"})
        if unknown:
            raise errors.CallerError(f"the local backend knows no option {unknown[0]!r}. Nothing was started.")
        self._rehearsal: Rehearsal | None = options.get("rehearsal")
        self._listens = bool(options.get("listen", False))
        self._held: int | None = None
        self._folder = folder
        self._roll = Roll(folder)
        self._limits = limits
        self._checkpoints = checkpoints
        self._storage = storage
        self._keeping_at = places
        self._keeping = Keeping.at(places)
        self._attempts = Attempts()
        self._network = MemoryNetwork()
        self._places: list[_Place] = []
        self._client: Host | None = None

    async def start(self) -> Host:
        """Bring up the cluster's own host.

        Raises: ConfigInvalid, for a folder that can't be used; LogBusy, if others can attach there already.
        """
        check_usable(self._folder)
        if self._listens:
            # Who holds it is whom `ebbtide down` ends.
            self._held = lock(self._folder)
        self._authority = admission.founded(self._folder, self._keeping_at)
        loop = asyncio.get_running_loop()
        badge = Badge.issued(self._authority, HostKeys.generate())
        transport = self._transport(badge)
        self._client = Host(badge, transport, MemoryStore(loop), SystemClock(loop), limits=self._limits)
        await self._client.open()
        # All hosts are in this process, and end with it.
        self._attempts = Attempts(self._folder / "attempts")
        watch(loop)
        return self._client

    def _transport(self, badge: Badge) -> Transport:
        return ZmqTransport(badge.keys, badge) if self._listens else MemoryTransport(self._network, badge.keys)

    def room(self) -> Room:
        """Return what there is to launch hosts on: this process."""
        return Room(1, len(self._places), available_bytes())

    async def launch(self, specs: list[AgentSpec], agents_per_host: int, came: Came) -> None:
        """Bring up agents, each on the host where its log is, if it has one."""
        places = {place.folder.name: place for place in self._places}
        fresh: list[_Place] = []
        for name, group in self._roll.seated(specs, agents_per_host, list(places)):
            place = places.get(name)
            if place is None:
                place = _Place(self._folder / name)
                place.specs = group
                fresh.append(place)
                continue
            assert place.host is not None
            for spec in group:
                place.specs.append(spec)
                await place.host.add(spec)
        # At once, as on Ray: one whose log is damaged waits for the others' copies.
        try:
            ends = await asyncio.gather(*map(self._bring_up, fresh), return_exceptions=True)
        except asyncio.CancelledError:
            # The program ends meanwhile: nobody else knows of those that are half up.
            await self._end(fresh)
            raise
        up = [place for place, end in zip(fresh, ends, strict=True) if end is None]
        down = [place for place in fresh if place not in up]
        await self._end(down)
        came(len(specs) - sum(len(place.specs) for place in down))
        self._places.extend(up)
        self._roll.ran({place.folder.name: "" for place in up})
        for end in ends:
            if end is not None:
                raise end

    async def release(self, agent: AgentId) -> None:
        """Forget an agent that never came up."""
        self._roll.leaves(agent)
        for place in self._places:
            place.specs = [spec for spec in place.specs if spec.name != agent]
            if place.host is not None:
                place.host.release(agent)

    async def _bring_up(self, place: _Place) -> None:
        assert self._client is not None
        loop = asyncio.get_running_loop()
        opened = open_folder(
            place.folder, loop, is_first=place.host is None and not self._roll.has_run(place.folder.name),
            on_failure=lambda error: place.host.failed(error) if place.host else None,
            on_stall=lambda why: place.host.stalled(why) if place.host else None, storage=self._storage,
        )  # fmt: skip
        badge = Badge.issued(self._authority, opened.keys, OF_HOSTS)
        transport = self._transport(badge)
        seeds = (self._client.transport.address,)
        founder = self._roll.is_founder(place.folder.name) and not opened.is_lost
        place.host = Host(
            badge, transport, opened.store, SystemClock(loop),
            seeds=seeds, limits=self._limits, checkpoints=self._checkpoints, founder=founder,
            keeping=self._keeping, attempts=self._attempts, resources=Resources(rehearsal=self._rehearsal),
            shelves=DiskShelves(place.folder, lambda notice: place.host.noticed(HOST, notice) if place.host else None),
        )  # fmt: skip
        await place.host.open(place.specs, is_lost=opened.is_lost)
        if self._listens:
            admission.came(place.folder, Address(place.host.host_id, transport.address, os.getpid()))

    async def kill(self, agent: AgentId, for_good: bool, with_disk: bool = False) -> None:
        """Stop an agent's host dead, and start it again from its folder, unless `for_good`."""
        assert self._client is not None
        home = self._client.homes.get(agent)
        launched = [place for place in self._places if any(spec.name == agent for spec in place.specs)]
        # It may have moved since.
        there = [place for place in self._places if place.host is not None and place.host.host_id == home]
        place = (there or launched)[0] if launched else None
        if place is None or place.host is None:
            raise errors.AgentUnknown(f"no agent {agent!r} was launched from here. Nothing was killed.")
        if with_disk:
            await asyncio.to_thread(shutil.rmtree, place.folder)
        place.host.crash()
        await place.host.close()
        if for_good:
            return
        place.specs = [AgentSpec(spec.name, spec.kind, spec.options) for spec in place.specs]
        await self._bring_up(place)

    async def retire(self, host: HostId) -> None:
        """End a host that has left; nothing if it was not launched from here."""
        gone = [place for place in self._places if place.host is not None and place.host.host_id == host]
        self._places = [place for place in self._places if place not in gone]
        await self._end(gone)

    async def leave(self) -> None:
        """Refuse: hosts in this process end with it. Raises: CallerError."""
        raise errors.CallerError(
            "the hosts of a local cluster are in this process, and end with it. Nothing was done. Call stop(), or use"
            " Cluster('ray', address=..., detached=True)."
        )

    async def _end(self, places: list[_Place]) -> None:
        up = [(place.host, place.folder) for place in places if place.host is not None]
        # All at once: each may wait for its resources.
        await asyncio.gather(*(host.close() for host, _ in up))
        for _, folder in up:
            admission.went(folder)

    async def stop(self) -> None:
        """End all hosts."""
        await self._end(self._places)
        if self._client is not None:
            await self._client.close()
        self._attempts.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None
