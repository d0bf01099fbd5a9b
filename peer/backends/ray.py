"""Each host a Ray actor: Ray places, launches and restarts hosts, and carries no message between agents.

A host's actor keeps its log in a folder of its own, by which it finds itself again when Ray restarts it after a crash.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import CellType
from typing import Any

from peer import errors
from peer.agents.failures import one_line, told
from peer.agents.spec import AgentSpec
from peer.backends import Came, Room, admission, ray_address, ray_detached, ray_lines, ray_nodes
from peer.backends.output import Shown
from peer.backends.packing import available_bytes, few
from peer.backends.parcel import packed
from peer.backends.ray_ending import Place, end_all
from peer.backends.ray_host import HostActor
from peer.backends.ray_import import RayActorError, cloudpickle, ray
from peer.backends.ray_lines import Lines
from peer.backends.roll import Roll, check_usable
from peer.host.host import Host
from peer.keys import HostKeys
from peer.store.memory import MemoryStore
from peer.store.outside.keeping import Places
from peer.store.storage import Storage
from peer.system import SystemClock
from peer.transport.zmq import ZmqTransport
from peer.trust.badge import Badge
from peer.trust.rights import OF_HOSTS
from peer.trust.token import Token
from protocol.ids import AgentId, HostId
from protocol.limits import CheckpointLimits, Limits

logger = logging.getLogger("ebbtide")

OPTIONS = {"address", "bind", "detached", "num_cpus", "runtime_env"}
LOOPBACK = "tcp://127.0.0.1:*"
LIVES_MAX = 64
"""Keys by which one host may come: a new one whenever it has lost its disk."""
GOODBYE_MS = 200
"""How long the goodbye to hosts that go on may take to leave."""
LINES_S = 2.0
"""How long hosts' last lines are waited for."""

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


def _check_sendable(specs: Iterable[AgentSpec]) -> None:
    """Check that agents can be sent to their hosts' processes.

    Raises: CallerError, naming the agent.
    """
    for spec in specs:
        try:
            cloudpickle.dumps(spec)  # type: ignore[reportPrivateImportUsage]
        except Exception as error:
            raise errors.CallerError(
                f"agent {spec.name!r}: its class or options can't be sent to the process of its host:"
                f" {one_line(told(error))}. Nothing was started. Give plain values, and make in __init__ what lives in"
                " one process: locks, files, connections."
            ) from error


def _await_end(actor: Any, pid: int) -> None:
    """Return once an actor's process has ended: Ray only asks for that, and it may go on answering for a while."""
    try:
        while ray.get(actor.about.remote())[1] == pid:
            time.sleep(0.01)
    except RayActorError:
        return  # dead for good


def _ending(place: Place, lines: Lines) -> errors.EbbtideError | None:
    """Wait until a host is up; return why it is not."""
    try:
        kind, text, place.address = ray.get(place.actor.start.remote())
    except RayActorError as error:
        # All of the traceback is in its text, and the reason is the last line.
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        end = errors.BackendFailed(
            f"{place.folder.name} (of {few(place.names)}) did not start: {said[-1] if said else error!r}."
            " Its log was not changed. Ray's processes need what this one has: the same packages, and a folder that"
            " they can write."
        )
        end.__cause__ = error
        return end
    lines.learn(place.address.pid, place.folder)
    return errors.named(kind)(text) if kind else None


class RayBackend:
    """Implements `Backend` on Ray.

    Options: `address` of a running Ray cluster (as `ray.init` takes it); `num_cpus` for a local one; `runtime_env`, as
    `ray.init` takes it; `bind`, where hosts receive; `detached`, so that hosts can outlive this program.
    """

    def __init__(
        self, folder: Path, limits: Limits | None, checkpoints: CheckpointLimits, places: Places,
        options: dict[str, Any], storage: Storage | None = None,
    ) -> None:  # fmt: skip
        unknown = sorted(set(options) - OPTIONS)
        if unknown:
            raise errors.CallerError(f"the ray backend knows no option {unknown[0]!r}. Nothing was started.")
        self._address = ray_address.wanted(options.get("address"))
        self._detached = bool(options.get("detached", False))
        if self._detached and self._address is None:
            raise errors.CallerError(
                "detached=True: a Ray that is started here ends with this program, and its hosts with it. Nothing was"
                " started. Name the address of one that goes on, or use 'ebbtide up'."
            )
        self._folder = folder.resolve()  # hosts' processes may have another working folder
        self._roll = Roll(folder)
        self._limits = limits
        self._checkpoints = checkpoints
        self._storage = storage
        places.check_shared()
        self._keeping_at = places
        self._options = options
        self._places: list[Place] = []
        self._nodes: ray_nodes.Places | None = None
        self._client: Host | None = None
        self._started_ray = False
        self._lines = Lines(self._called)

    async def start(self) -> Host:
        """Connect to Ray, or start it here, and bring up the cluster's own host."""
        check_usable(self._folder)
        self._authority = admission.founded(self._folder, self._keeping_at)
        ray_lines.begin(self._lines)
        if not ray.is_initialized():
            await self._connect(self._address)
        self._bind = self._options.get("bind", LOOPBACK if self._address is None else None)
        if self._detached:
            ray_detached.check_free(self._folder)
        loop = asyncio.get_running_loop()
        badge = Badge.issued(self._authority, HostKeys.generate())
        here = self._bind or f"tcp://{ray.util.get_node_ip_address()}:*"
        transport = ZmqTransport(badge.keys, badge, here, goodbye_ms=GOODBYE_MS if self._detached else 0)
        store = MemoryStore(loop)
        self._client = Host(badge, transport, store, SystemClock(loop), limits=self._limits)
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
        if "runtime_env" in self._options:
            options["runtime_env"] = self._options["runtime_env"]
        before = signal.getsignal(signal.SIGTERM)
        try:
            # Not in a thread: Ray sets signal handlers, which only the main thread may.
            ray.init(logging_level=logging.ERROR, log_to_driver=True, configure_logging=False, **options)
        except Exception as error:
            ray.shutdown()
            raise errors.BackendFailed(ray_address.told(address, error)) from error
        finally:
            if before is not None and threading.current_thread() is threading.main_thread():
                # Ray's own ends the process with a crash dump, or a code that says nothing.
                signal.signal(signal.SIGTERM, before)
        self._started_ray = True
        self._lines.is_only = address is None

    def room(self) -> Room:
        """Return what there is to launch hosts on: the machines of the Ray."""
        cores = int(ray.cluster_resources().get("CPU", 1))
        if len(ray_nodes.alive()) == 1:
            return Room(min(cores, os.cpu_count() or 1), len(self._places), available_bytes())
        return Room(cores, len(self._places), None)

    async def launch(self, specs: list[AgentSpec], agents_per_host: int, came: Came) -> None:
        """Bring up one actor for every `agents_per_host` agents; all at once, since Ray starts few a second."""
        assert self._client is not None
        _make_sendable(specs)
        _check_sendable(specs)
        places = {place.folder.name: place for place in self._places}
        kind = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(HostActor)
        root = logging.getLogger()
        shown = Shown(self._started_ray, root.level if root.handlers else None)
        fresh: list[Place] = []
        groups = self._roll.seated(specs, agents_per_host, list(places))
        where = await self._where([(name, group) for name, group in groups if name not in places])
        for name, group in groups:
            names = [spec.name for spec in group]
            if name in places:
                await asyncio.to_thread(ray.get, places[name].actor.add.remote(group))
                places[name].names.extend(names)
                continue
            named = ray_detached.named(self._folder, name) if self._detached else {}
            actor = kind.options(**named, **where.get(name, {})).remote(
                str(self._folder / name), self._token(name), (self._client.transport.address,), self._bind,
                self._limits, self._checkpoints, self._roll.is_founder(name), self._keeping_at, self._storage,
                not self._roll.has_run(name), shown, len(group), *packed(group),
            )  # fmt: skip
            fresh.append(Place(self._folder / name, actor, names))
        self._places.extend(fresh)  # whoever stops meanwhile ends these, too
        came(len(specs) - sum(len(place.names) for place in fresh))
        ends: list[errors.EbbtideError | None] = []
        for place in fresh:
            ends.append(await asyncio.to_thread(_ending, place, self._lines))
            came(len(place.names) if ends[-1] is None else 0)
        broken = [(place, end) for place, end in zip(fresh, ends, strict=True) if end is not None]
        for place, _ in broken:
            ray.kill(place.actor, no_restart=True)
            self._places.remove(place)
        self._came([place for place in fresh if place in self._places])
        if broken:
            raise broken[0][1]

    def _token(self, name: str) -> str:
        """Return what lets a host in, also after a restart of Ray's with another key, since its disk was lost."""
        return Token.made(self._authority, name, OF_HOSTS, uses=LIVES_MAX).text()

    async def _where(self, groups: Sequence[tuple[str, list[AgentSpec]]]) -> dict[str, dict[str, Any]]:
        """Return what binds hosts that are started to the machines where they belong. Raises: BackendFailed."""
        if self._address is None or not groups:
            return {}  # a Ray of this machine alone
        nodes = ray_nodes.alive()
        if self._nodes is None or not self._nodes.are(nodes):
            seen = await asyncio.to_thread(ray_nodes.seen_by, nodes, self._folder)
            copies = self._checkpoints.replicas > 0
            running = [ray_address.machine(place.address.address) for place in self._places]
            self._nodes = ray_nodes.Places(nodes, seen, self._roll.nodes(), copies, running)
        named = [(name, f"{name} (of {few([spec.name for spec in group])})") for name, group in groups]
        return self._nodes.put(named)

    def _came(self, places: Sequence[Place]) -> None:
        """Note that hosts are up, and where: those too that run on other machines, whose folders are there."""
        at = {place.folder.name: place.address for place in places}
        nodes = {name: "" if self._nodes is None else ray_address.machine(each.address) for name, each in at.items()}
        self._roll.ran(nodes)
        elsewhere = {name: each for name, each in at.items() if not (self._folder / name / admission.ADDRESS).exists()}
        admission.noted_elsewhere(self._folder, elsewhere)

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
        assert self._client is not None
        home = self._client.homes.get(agent)
        launched = [place for place in self._places if agent in place.names]
        # It may have moved since.
        there = [place for place in self._places if place.address.host == home]
        place = (there or launched)[0] if launched else None
        if place is None:
            raise errors.AgentUnknown(f"no agent {agent!r} was launched from here. Nothing was killed.")
        _, pid = await asyncio.to_thread(ray.get, place.actor.about.remote())
        await asyncio.to_thread(ray.get, place.actor.excuse.remote())
        if with_disk:
            await asyncio.to_thread(ray.get, place.actor.lose.remote())
        if self._bind is None or for_good:
            ray.kill(place.actor, no_restart=for_good)
            await asyncio.to_thread(_await_end, place.actor, pid)
        else:
            self._lines.expect_death(pid)
            os.kill(pid, signal.SIGKILL)

    async def retire(self, host: HostId) -> None:
        """End the process of a host that has left; nothing if it was not launched from here."""
        gone = [place for place in self._places if place.address.host == host]
        self._places = [place for place in self._places if place not in gone]
        for place in gone:
            self._lines.expect_death(place.address.pid)
        await asyncio.to_thread(end_all, gone)

    async def leave(self) -> None:
        """Leave the hosts running. Raises: CallerError, if they end with this program."""
        if not self._detached:
            raise errors.CallerError(
                "the hosts end with this program. Nothing was done. Call stop(); hosts that go on are those of"
                " Cluster('ray', address=..., detached=True)."
            )
        self._places.clear()
        assert self._client is not None
        self._client.leave()
        await self.stop()

    async def stop(self) -> None:
        """End all hosts, and Ray if it was started from here."""
        if self._client is not None:
            await self._client.close()
        closed = await asyncio.to_thread(end_all, self._places)
        if self._places:
            admission.all_went(self._folder)
        if self._started_ray:
            # The last lines come after what they are of: Ray gathers them from files.
            await asyncio.to_thread(self._lines.await_all, closed, LINES_S)
            await asyncio.to_thread(ray.shutdown)
        ray_lines.end(self._lines)

    def _called(self, folder: Path) -> str:
        names = next((place.names for place in self._places if place.folder == folder), [])
        return f"{folder.name} ({few(names)})"
