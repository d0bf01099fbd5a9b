"""One host, a Ray actor: in a process of its own, which finds itself again by its folder when Ray restarts it."""

import asyncio
import os
import shutil
import threading
import warnings
from pathlib import Path
from typing import Any

import msgspec

from peer import errors
from peer.agents.agent import Agent
from peer.agents.attempts import Attempts
from peer.agents.kinds import is_importable, kind_at, path_of
from peer.agents.spec import AgentSpec
from peer.agents.watchdog import watch
from peer.backends import admission, others
from peer.backends.admission import Address
from peer.backends.output import Output, Shown
from peer.backends.packing import few
from peer.backends.parcel import unpacked
from peer.backends.ray_import import ray
from peer.backends.ray_reporting import Reporting
from peer.backends.roll import ADDED
from peer.backends.roll import FILE as ROLL
from peer.host.garbage import collect_seldom
from peer.host.host import Host
from peer.store.files import Files
from peer.store.opening import open_folder
from peer.store.outside.keeping import Keeping, Places
from peer.store.shelf import DiskShelves
from peer.store.storage import Storage
from peer.system import SystemClock
from peer.transport.zmq import ZmqTransport
from peer.trust.badge import Badge
from peer.trust.token import Token
from peer.values import payload
from protocol.ids import HOST, AgentId
from protocol.limits import CheckpointLimits, Limits

START_S = 60.0
AGENT_S = 0.05
"""How long a host may take to come up, and how much longer for each of its agents; reading long logs is most of it."""

_Known = tuple[str, str, bytes]
"""An agent added later, as the folder's list has it: name, class as `module:qualname`, options."""


class HostActor:
    """One host in a process of its own; its event loop runs in a thread, so that Ray's calls never hold it up."""

    def __init__(
        self, folder: str, token: str, seeds: tuple[str, ...], bind: str | None,
        limits: Limits | None, checkpoints: CheckpointLimits, founder: bool, places: Places,
        storage: Storage | None, is_new: bool, shown: Shown, agents: int, *parts: bytes,
    ) -> None:  # fmt: skip
        """Begin, or begin again: `parts` are so many agents, as `packed` gives them; what else is as in `Host`."""
        collect_seldom()
        specs, self._start_s = unpacked(parts), START_S + AGENT_S * agents
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray warns of what it calls itself there
            is_again = ray.get_runtime_context().was_current_actor_reconstructed
        # Where the cluster's folder is here, what stands in it tells whether this host has said anything; elsewhere
        # a restart without a log has lost it.
        self._is_first = is_new and (not is_again or (Path(folder).parent / ROLL).exists())
        self._keeping_at = places
        self._checkpoints = checkpoints
        self._storage = storage
        self._founder = founder
        self._folder = Path(folder)
        self._output = Output(self._folder, shown)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="ebbtide", daemon=True).start()
        names = {spec.name for spec in specs}
        first_life = not (self._folder / "host.key").exists()
        # Whoever was added in an earlier life of the cluster is launched again, or not: that is not this list's to say.
        later = [spec for spec in self._added() if spec.name not in names] if is_again else []
        if not is_again:
            (self._folder / ADDED).unlink(missing_ok=True)
        # What is known to be lost is lost once: a restart of Ray's goes on from the log.
        mine = [AgentSpec(spec.name, spec.kind, spec.options, spec.lost and first_life) for spec in specs]
        self._failure: tuple[str, str] = ("", "")
        self._address = Address("", "", os.getpid())
        try:
            self._host: Host = self._await(self._open(token, seeds, bind, [*mine, *later], limits))
        except (errors.EbbtideError, TimeoutError) as error:
            if is_again:
                raise
            if isinstance(error, TimeoutError):
                names = few([spec.name for spec in specs])
                error = errors.BackendFailed(
                    f"{self._folder.name} (of {names}) was not up within {self._start_s:g} s. Its log was not"
                    " changed. Have fewer agents share a host, or launch on more machines."
                )
            # Raised here it would come to whoever launches as Ray's error, with all its lines.
            self._failure = (type(error).__name__, str(error))

    async def _open(
        self, token: str, seeds: tuple[str, ...], bind: str | None, specs: list[AgentSpec], limits: Limits | None
    ) -> Host:
        opened = open_folder(
            self._folder, self._loop, is_first=self._is_first,
            on_failure=lambda error: host.failed(error), on_stall=lambda why: host.stalled(why),
            storage=self._storage, node="" if bind else ray.get_runtime_context().get_node_id(),
        )  # fmt: skip
        self._attempts = Attempts(self._folder / "attempts")
        badge = Badge.in_folder(self._folder, Token.of(token), opened.keys)
        here = bind or others.endpoint(self._folder, ray.util.get_node_ip_address())
        transport = ZmqTransport(badge.keys, badge, here)
        host = Host(
            badge, transport, opened.store, SystemClock(self._loop),
            seeds=seeds, limits=limits, checkpoints=self._checkpoints, founder=self._founder and not opened.is_lost,
            keeping=Keeping.at(self._keeping_at), attempts=self._attempts,
            shelves=DiskShelves(self._folder, lambda notice: host.noticed(HOST, notice)),
        )  # fmt: skip
        host.orders.renewed = lambda: badge.keep(self._folder)
        await host.open(specs, is_lost=opened.is_lost)
        self._address = Address(host.host_id, transport.address, os.getpid())
        before = others.remembered(self._folder)
        admission.came(self._folder, self._address)
        # Who has launched this host may be gone, and with it where to knock. Each looks after it has written its own
        # address: of two that start at once, one at least finds the other.
        beside = admission.addresses_in(self._folder.parent)
        host.neighbours.seek([each.address for each in beside.values() if each.host != host.host_id] + before)
        if not bind:
            self._others = others.Others(host, self._folder, self._loop)
        self._reporting = Reporting(self._folder.name, host.meter.measured, self._loop)
        watch(self._loop)
        return host

    def start(self) -> tuple[str, str, Address]:
        """Return what kind of error kept the host from starting, and its text, empty for none; and where it is."""
        return *self._failure, self._address

    def add(self, specs: list[AgentSpec]) -> None:
        """Bring up more agents, and remember them for the next life."""
        known = [*self._list(), *((spec.name, _path_of(spec.kind), payload.encode(spec.options)) for spec in specs)]
        Files().put(self._folder / ADDED, msgspec.json.encode(known))
        for spec in specs:
            self._await(self._host.add(spec))

    def release(self, agent: AgentId) -> None:
        """Forget an agent that never came up."""
        known = [entry for entry in self._list() if entry[0] != agent]
        Files().put(self._folder / ADDED, msgspec.json.encode(known))
        self._loop.call_soon_threadsafe(self._host.release, agent)

    def end(self) -> None:
        """Close the host; whoever calls this ends the process next."""
        self._loop.call_soon_threadsafe(self._reporting.close)
        self._await(self._host.close())
        admission.went(self._folder)
        self._attempts.close()
        self._output.end()

    def lose(self) -> None:
        """Delete the host's folder, as a disk that is gone would."""
        shutil.rmtree(self._folder)

    def excuse(self) -> None:
        """The process is about to be ended from outside: what runs has no part in it."""
        self._attempts.excuse()

    def about(self) -> tuple[str, int]:
        """Return the host's address and process id."""
        return self._host.transport.address, os.getpid()

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(self._start_s)

    def _list(self) -> list[_Known]:
        file = self._folder / ADDED
        return msgspec.json.decode(file.read_bytes(), type=list[_Known]) if file.exists() else []

    def _added(self) -> list[AgentSpec]:
        return [AgentSpec(name, kind_at(path), payload.decode(options)) for name, path, options in self._list()]  # type: ignore[arg-type]


def _path_of(kind: type[Agent]) -> str:
    path = path_of(kind)
    if not is_importable(path):
        raise errors.CallerError(
            f"class {kind.__qualname__} can't be found again after a restart, being defined in a script or a function."
            " Nothing was started. Move it into a module, or launch all agents of a host at once with spawn_all."
        )
    return path
