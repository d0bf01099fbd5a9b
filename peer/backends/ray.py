"""Each host a Ray actor: Ray places, launches and restarts hosts, and carries no message between agents.

A host's actor keeps its log in a folder of its own, by which it finds itself again when Ray restarts it after a crash.
"""

import asyncio
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import CellType
from typing import Any

import msgspec

from peer import errors
from peer.agents.agent import Agent
from peer.agents.spec import AgentSpec, kind_at, path_of
from peer.agents.watchdog import watch
from peer.backends import ray_address
from peer.backends.roll import FILE as ROLL
from peer.backends.roll import Roll
from peer.host.garbage import collect_seldom
from peer.host.host import Host
from peer.keys import HostKeys
from peer.store.files import Files
from peer.store.memory import MemoryStore
from peer.store.opening import open_folder
from peer.store.outside.keeping import Keeping, Places
from peer.store.storage import Storage
from peer.system import SystemClock
from peer.transport.zmq import ZmqTransport
from peer.values import payload
from protocol.ids import AgentId
from protocol.limits import CheckpointLimits, Limits

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray  # after its settings
from ray.exceptions import RayActorError

LOOPBACK = "tcp://127.0.0.1:*"
START_S = 60.0
"""How long a host may take to come up; reading a long log is most of it."""

_Known = tuple[str, str, bytes]
"""An agent added later, as the folder's list has it: name, class as `module:qualname`, options."""


class HostActor:
    """One host in a process of its own; its event loop runs in a thread, so that Ray's calls never hold it up."""

    def __init__(
        self, folder: str, secret: bytes, seeds: tuple[str, ...], bind: str | None,
        specs: list[AgentSpec], limits: Limits | None, checkpoints: CheckpointLimits, founder: bool, places: Places,
        storage: Storage | None = None, is_new: bool = True,
    ) -> None:  # fmt: skip
        collect_seldom()
        is_again = ray.get_runtime_context().was_current_actor_reconstructed
        # Where the cluster's folder is here, what stands in it tells whether this host has said anything; elsewhere
        # a restart without a log has lost it.
        self._is_first = is_new and (not is_again or (Path(folder).parent / ROLL).exists())
        self._keeping_at = places
        self._checkpoints = checkpoints
        self._storage = storage
        self._founder = founder
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="ebbtide", daemon=True).start()
        names = {spec.name for spec in specs}
        first_life = not (self._folder / "host.key").exists()
        # Whoever was added in an earlier life of the cluster is launched again, or not: that is not this list's to say.
        later = [spec for spec in self._added() if spec.name not in names] if is_again else []
        if not is_again:
            (self._folder / "agents.json").unlink(missing_ok=True)
        # What is known to be lost is lost once: a restart of Ray's goes on from the log.
        mine = [AgentSpec(spec.name, spec.kind, spec.options, spec.lost and first_life) for spec in specs]
        self._host: Host = self._await(self._open(secret, seeds, bind, [*mine, *later], limits))

    async def _open(
        self, secret: bytes, seeds: tuple[str, ...], bind: str | None, specs: list[AgentSpec], limits: Limits | None
    ) -> Host:
        opened = open_folder(
            self._folder, self._loop, is_first=self._is_first,
            on_failure=lambda error: host.failed(error), on_stall=lambda why: host.stalled(why),
            storage=self._storage, node="" if bind else ray.get_runtime_context().get_node_id(),
        )  # fmt: skip
        transport = ZmqTransport(opened.keys, bind or f"tcp://{ray.util.get_node_ip_address()}:*")
        host = Host(
            opened.keys, secret, transport, opened.store, SystemClock(self._loop),
            seeds=seeds, limits=limits, checkpoints=self._checkpoints, founder=self._founder and not opened.is_lost,
            keeping=Keeping.at(self._keeping_at),
        )  # fmt: skip
        await host.open(specs, is_lost=opened.is_lost)
        watch(self._loop)
        return host

    def add(self, specs: list[AgentSpec]) -> None:
        """Bring up more agents, and remember them for the next life."""
        known = [*self._list(), *((spec.name, _path_of(spec.kind), payload.encode(spec.options)) for spec in specs)]
        Files().put(self._folder / "agents.json", msgspec.json.encode(known))
        for spec in specs:
            self._await(self._host.add(spec))

    def release(self, agent: AgentId) -> None:
        """Forget an agent that never came up."""
        known = [entry for entry in self._list() if entry[0] != agent]
        Files().put(self._folder / "agents.json", msgspec.json.encode(known))
        self._loop.call_soon_threadsafe(self._host.release, agent)

    def about(self) -> tuple[str, int]:
        """Return the host's address and process id."""
        return self._host.transport.address, os.getpid()

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    def _list(self) -> list[_Known]:
        file = self._folder / "agents.json"
        return msgspec.json.decode(file.read_bytes(), type=list[_Known]) if file.exists() else []

    def _added(self) -> list[AgentSpec]:
        return [AgentSpec(name, kind_at(path), payload.decode(options)) for name, path, options in self._list()]  # type: ignore[arg-type]


_CACHE = "__msgspec_cache__"
"""What msgspec leaves on a class that it has encoded: Ray can't send it, and it is made again when it is missed."""


def _make_sendable(specs: Iterable[AgentSpec]) -> None:
    """Take caches off the classes that Ray sends by value: those of a script or a notebook, and what they name."""
    for spec in specs:
        module = sys.modules.get(spec.kind.__module__)
        named = [*vars(module).values()] if module is not None else []
        named += [cell.cell_contents for function in vars(spec.kind).values() for cell in _cells(function)]
        for value in (*named, *spec.kind.handlers):
            if isinstance(value, type) and _CACHE in vars(value):
                delattr(value, _CACHE)


def _cells(function: Any) -> tuple[Any, ...]:
    return tuple(cell for cell in getattr(function, "__closure__", None) or () if cell != CellType())


def _path_of(kind: type[Agent]) -> str:
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise errors.CallerError(
            f"class {kind.__qualname__} can't be found again after a restart, being defined in a script or a function."
            " Nothing was started. Move it into a module, or launch all agents of a host at once with spawn_all."
        )
    return path_of(kind)


def _await_end(actor: Any, pid: int) -> None:
    """Return once an actor's process has ended: Ray only asks for that, and it may go on answering for a while."""
    try:
        while ray.get(actor.about.remote())[1] == pid:
            time.sleep(0.01)
    except RayActorError:
        return  # dead for good


class _Place:
    def __init__(self, folder: Path, actor: Any, names: list[AgentId]) -> None:
        self.folder = folder
        self.actor = actor
        self.names = names


class RayBackend:
    """Implements `Backend` on Ray.

    Options: `address` of a running Ray cluster (as `ray.init` takes it); `num_cpus` for a local one.
    """

    def __init__(
        self, folder: Path, secret: bytes, limits: Limits | None, checkpoints: CheckpointLimits, places: Places,
        options: dict[str, Any], storage: Storage | None = None,
    ) -> None:  # fmt: skip
        unknown = sorted(set(options) - {"address", "num_cpus"})
        if unknown:
            raise errors.CallerError(f"the ray backend knows no option {unknown[0]!r}. Nothing was started.")
        self._address = ray_address.wanted(options.get("address"))
        self._folder = folder
        self._roll = Roll(folder)
        self._secret = secret
        self._limits = limits
        self._checkpoints = checkpoints
        self._storage = storage
        places.check_shared()
        self._keeping_at = places
        self._options = options
        self._places: list[_Place] = []
        self._client: Host | None = None
        self._started_ray = False

    async def start(self) -> Host:
        """Connect to Ray, or start it here, and bring up the cluster's own host."""
        if not ray.is_initialized():
            await self._connect(self._address)
        self._bind = LOOPBACK if self._address is None else None
        loop = asyncio.get_running_loop()
        keys = HostKeys.generate()
        transport = ZmqTransport(keys, self._bind or f"tcp://{ray.util.get_node_ip_address()}:*")
        store = MemoryStore(loop)
        self._client = Host(keys, self._secret, transport, store, SystemClock(loop), limits=self._limits)
        await self._client.open()
        return self._client

    async def _connect(self, address: str | None) -> None:
        """Join a Ray, or start one. Raises: BackendFailed."""
        if address not in (None, "auto"):
            await asyncio.to_thread(ray_address.probe, address)
        options: dict[str, Any] = {"address": address}
        if address is None:
            # Not what Ray would find by itself: a Ray that runs here for others, or did once.
            options = {"address": "local", "num_cpus": self._options.get("num_cpus", 2), "include_dashboard": False}
        try:
            # Not in a thread: Ray sets signal handlers, which only the main thread may.
            ray.init(logging_level=logging.ERROR, log_to_driver=False, configure_logging=False, **options)
        except Exception as error:
            ray.shutdown()
            raise errors.BackendFailed(ray_address.told(address, error)) from error
        self._started_ray = True

    async def launch(self, specs: list[AgentSpec], agents_per_host: int) -> None:
        """Bring up one actor for every `agents_per_host` agents; all at once, since Ray starts few a second."""
        assert self._client is not None
        _make_sendable(specs)
        places = {place.folder.name: place for place in self._places}
        kind = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(HostActor)
        fresh: list[_Place] = []
        for name, group in self._roll.seated(specs, agents_per_host, list(places)):
            names = [spec.name for spec in group]
            if name in places:
                await asyncio.to_thread(ray.get, places[name].actor.add.remote(group))
                places[name].names.extend(names)
                continue
            actor = kind.remote(
                str(self._folder / name), self._secret, (self._client.transport.address,), self._bind, group,
                self._limits, self._checkpoints, self._roll.is_founder(name), self._keeping_at, self._storage,
                not self._roll.has_run(name),
            )  # fmt: skip
            fresh.append(_Place(self._folder / name, actor, names))
        self._places.extend(fresh)
        await asyncio.to_thread(ray.get, [place.actor.about.remote() for place in fresh])
        self._roll.ran(place.folder.name for place in fresh)

    async def release(self, agent: AgentId) -> None:
        """Forget an agent that never came up."""
        self._roll.leaves(agent)
        for place in self._places:
            if agent in place.names:
                place.names.remove(agent)
                await asyncio.to_thread(ray.get, place.actor.release.remote(agent))

    async def kill(self, agent: AgentId, for_good: bool, with_disk: bool = False) -> None:
        """SIGKILL the process of an agent's host, if it is on this machine; else have Ray end it.

        Ray restarts it, unless `for_good`. When this returns, the process does nothing more.
        """
        place = next((place for place in self._places if agent in place.names), None)
        if place is None:
            raise errors.AgentUnknown(f"no agent {agent!r} was launched from here. Nothing was killed.")
        _, pid = await asyncio.to_thread(ray.get, place.actor.about.remote())
        if with_disk:
            await asyncio.to_thread(shutil.rmtree, place.folder)
        if self._bind is None or for_good:
            ray.kill(place.actor, no_restart=for_good)
            await asyncio.to_thread(_await_end, place.actor, pid)
        else:
            os.kill(pid, signal.SIGKILL)

    async def stop(self) -> None:
        """End all hosts, and Ray if it was started from here."""
        if self._client is not None:
            await self._client.close()
        for place in self._places:
            ray.kill(place.actor, no_restart=True)
        if self._started_ray:
            await asyncio.to_thread(ray.shutdown)
