"""Launch agents, and ask about them. A cluster decides nothing: it is one more host, with no agents of its own.

All that it asks (`submit`, `preview`, `rollback`, `status`, ...) any peer can ask, by the same messages.
"""

import logging
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.spec import AgentSpec, check_kinds, check_movable
from peer.backends import Backend, Came, load_backend
from peer.backends.packing import AUTO, check_fits, together
from peer.cluster.access import Access
from peer.cluster.attached import Attached
from peer.cluster.branching import UP_S, Branching
from peer.cluster.inquirer import ASK_S
from peer.config import check_limits, check_names, checkpoint_limits, count, folder_named, replicas_of
from peer.host.host import Host
from peer.host.questions import Status
from peer.people.person import Person
from peer.store.outside.keeping import Keeping, Places
from peer.store.storage import Storage
from protocol.ids import AgentId, HostId
from protocol.limits import Limits
from protocol.policy import PolicyMaker

logger = logging.getLogger("ebbtide")


class Cluster(Branching):
    """Hosts and agents on a backend; use it as an async context manager.

    Args:
        backend: `ray` (each host a Ray actor) or `local` (all hosts in this process, same code).
        agents_per_actor: how many agents share one host; `auto`: so many that there is a host for each processor.
        folder: where logs are kept. None: in a temporary folder, which is removed at the end.
        limits: bounds and waiting times.
        checkpoint_every_s: seconds from one checkpoint of all agents to the next; 0: only when asked.
        checkpoints_kept: how many committed checkpoints can be restored to; steps before the oldest are compacted.
        replicas: how many other hosts copy a host's logs (once `buddies`); with any, a host dead for good is succeeded.
        successor_s: seconds of silence after which a host is taken for dead; far longer than a restart takes.
        checkpoint_policy: says how often, in place of `checkpoint_every_s`, and may learn: `peer.policies`.
        durability: when a step counts: `local`, fsynced here; `replicated(k)`, on k other hosts too, so that losing a
            disk loses nothing.
        storage: how long checkpoints and the archive are kept, where that is, and what encrypts logs at rest.
        blobs: where bulky values of state are kept, as fsspec takes it; a folder `blobs` beside the logs if None.
        vault: where keys of secrets and of personal data are kept, likewise; a folder `vault` beside the logs if None.
        options: passed to the backend.
    """

    _again = "To go on, make another Cluster on its folder."

    def __init__(
        self, backend: str = "ray", agents_per_actor: int | str = 1, folder: str | Path | None = None,
        limits: Limits | None = None, checkpoint_every_s: float = 0.0, checkpoints_kept: int = 4, replicas: int = 0,
        successor_s: float = 30.0, checkpoint_policy: PolicyMaker | None = None, durability: str = "local",
        storage: Storage | None = None, blobs: str | Path | None = None, vault: str | Path | None = None,
        buddies: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self._agents_per_actor = None if agents_per_actor == AUTO else count("agents_per_actor", agents_per_actor, 1)
        if limits is not None:
            check_limits(limits)
        if options.get("detached") and folder is None:
            raise errors.CallerError("detached=True: name the folder that is to outlive this. Nothing was started.")
        # Made when the cluster starts: from then on a signal ends it in order, and the folder with it.
        self._is_temporary = folder is None
        self.folder = (
            Path(tempfile.gettempdir()) / f"ebbtide-{secrets.token_hex(8)}"
            if folder is None
            else folder_named("folder", folder)
        )
        self._checkpoints = checkpoint_limits(
            checkpoint_every_s, checkpoints_kept, replicas_of(replicas, buddies), successor_s, checkpoint_policy,
            durability, storage,
        )  # fmt: skip
        (storage or Storage()).check()
        places = Places.beside(self.folder, blobs, vault)
        super().__init__(Keeping.at(places))
        self._backend_name = backend
        self._backend: Backend = load_backend(backend)(self.folder, limits, self._checkpoints, places, options, storage)
        self._agents: list[AgentId] = []
        self._launching: dict[AgentId, None] = {}
        self._kinds: dict[AgentId, type[Agent]] = {}
        self._lost: dict[AgentId, None] = {}
        """Names whose agents did not come up: others may not have heard of that yet."""
        self._few = -1
        """Of how few other hosts was told; none yet."""

    async def _open(self) -> Host:
        if self._is_temporary:
            self.folder.mkdir(mode=0o700)
        return await self._backend.start()

    async def _close(self) -> None:
        await self._backend.stop()
        if self._is_temporary and self.folder.exists():
            shutil.rmtree(self.folder)

    @property
    def agents(self) -> list[AgentId]:
        """The agents launched from here, in order."""
        return list(self._agents)

    async def detach(self) -> None:
        """Leave the hosts running, and end this handle on them: `attach` makes another.

        That needs hosts that can outlive their program: `Cluster("ray", address=..., folder=..., detached=True)`.

        Raises: CallerError, if they can't; nothing has ended then.
        """
        self.check_running()
        await self._backend.leave()
        self._over = "with detach()"

    @property
    def access(self) -> Access:
        """Who belongs to the cluster, and who may do what."""
        return Access(self.host, self.folder)

    @staticmethod
    def attach(folder: str | Path | None = None, *, as_: Person | None = None, token: str | None = None) -> Attached:
        """Return one more peer of a cluster that runs already, to be started: `async with Cluster.attach("run")`.

        It finds the hosts by what the folder says, and comes by the authority's key there. Once it is started it can
        ask what any peer can; it launches nothing, and the cluster goes on when it ends.

        Args:
            folder: the cluster's; None with a token, which says where the hosts are.
            as_: somebody who comes by their own grant, and may do what that says: the authority is not needed then.
            token: as `access.token` makes it: it may do what the token is for.

        Raises: ConfigInvalid, if there is no such folder; NotEntitled, for what is no token. Its start raises
            ConfigInvalid, for an authority that is not there or can't be read; BackendFailed, within seconds, if no
            host answers.
        """
        return Attached(folder, as_, token)

    # -- launching ------------------------------------------------------------------------------------------------

    async def spawn(self, name: AgentId, kind: type[Agent], *, lost: bool = False, **options: Any) -> AgentId:
        """Launch an agent, and wait until it answers.

        Args:
            name: unique in the cluster.
            kind: the agent's class.
            lost: the end of its log is known to be gone; it begins a new incarnation.
            options: passed to the class.
        """
        await self.spawn_all([AgentSpec(name, kind, options, lost)])
        return name

    async def spawn_all(self, specs: Sequence[AgentSpec], came: Came = lambda _: None) -> None:
        """Launch many agents, packed as the cluster says, and wait until all answer.

        Args:
            specs: who.
            came: is told how many more have come up: for a progress bar.

        An agent that has lived in the cluster's folder goes on from its log, whatever the order and the packing.

        Raises: CallerError, for names that are taken or can't be used, and for more agents than this machine has memory
            for, before anything starts; AgentBroken, naming an
            agent whose class raised: it was not launched, and its name can be used again; the others were.
        """
        self.check_running()
        names = [spec.name for spec in specs]
        check_names(names, [*self._agents, *self._launching])
        check_kinds(specs)
        if self._checkpoints.replicas:
            check_movable(specs)
        self._launching.update(dict.fromkeys(names))
        try:
            await self._check_unmade(names)
            await self._launch(specs, came)
        finally:
            for name in names:
                del self._launching[name]

    async def _check_unmade(self, names: Sequence[AgentId]) -> None:
        """Check that no handler has made an agent of one of these names. Raises: CallerError, naming it."""
        for name, look in (await self.statuses(name for name in names if name in self.host.homes)).items():
            if isinstance(look, Status) and look.is_made:  # who did not come up is launched once more
                raise errors.CallerError(
                    f"there is an agent {name!r} already: a handler has made it. Nothing was started. Use another name."
                )

    def _packing(self, agents: int) -> int:
        """Return how many agents share a host. Raises: CallerError, if they don't fit into memory."""
        room = self._backend.room()
        found = self._agents_per_actor or together(agents, room.hosts, room.cores, self._checkpoints.replicas)
        check_fits(agents, -(-agents // found), self._backend_name, room.free_bytes)
        return found

    async def _launch(self, specs: Sequence[AgentSpec], came: Came) -> None:
        packing = self._packing(len(specs))
        self.host.asking.expect(spec.name for spec in specs)
        await self._backend.launch(list(specs), packing, came)
        looks = await self.statuses((spec.name for spec in specs), timeout_s=UP_S)
        up: list[Status] = []
        broken: list[errors.AgentBroken] = []
        for spec in specs:
            look = looks[spec.name]
            if isinstance(look, errors.AgentBroken):
                await self._backend.release(spec.name)
                self._lost[spec.name] = None
                broken.append(look)
            else:
                self._agents.append(spec.name)
                self._lost.pop(spec.name, None)
                self._kinds[spec.name] = spec.kind
                if isinstance(look, errors.EbbtideError):
                    raise look
                up.append(look)
        if broken:
            raise broken[0]
        if self._checkpoints.replicas and any(not look.committed for look in up):
            # Backups are chosen by the view: with the first commit that has them new hosts have some, and with the
            # second no earlier view's majority is needed to succeed one. Who comes back is in a view already, whose
            # other hosts may not be here yet.
            await self.checkpoint()
            await self.checkpoint()

    async def kill(self, agent: AgentId, *, for_good: bool = False, with_disk: bool = False) -> None:
        """Kill the process that hosts an agent, as a crash would; it comes back by itself, unless `for_good`.

        With `with_disk` its folder is deleted before: its agents come back where a backup has their copies.
        """
        self.check_running()
        await self._backend.kill(agent, for_good, with_disk)

    async def leave(self, agent: AgentId) -> None:
        """Have an agent's host leave for good: a backup goes on with all of its agents, and nothing is lost.

        Raises: CallerError, if there are no replicas; AskTimeout.
        """
        # Asked before it leaves: a moment later the agent may live on the host that goes on with it.
        host = self.host.homes.get(agent)
        await self.host.ask(agent, "leave", timeout_s=2 * ASK_S)
        if host is not None:
            await self._left(host)

    async def _left(self, host: HostId) -> None:
        """A host has left: end it, if it was launched from here."""
        await self._backend.retire(host)

    def _all(self) -> list[AgentId]:
        return [agent for agent in super()._all() if agent not in self._lost]

    def _is_meant(self, agent: AgentId) -> bool:
        return super()._is_meant(agent) and agent not in self._lost

    def _kind_of(self, agent: AgentId) -> type[Agent] | None:
        return self._kinds.get(agent)

    # -- inputs ---------------------------------------------------------------------------------------------------

    def _look_at(self, host: Host, agent: AgentId, messages: Sequence[Any]) -> None:
        self._look_for_replicas(host)
        if (kind := self._kinds.get(agent)) is not None:
            for message in messages:
                kind.check_handles(message)

    def _look_for_replicas(self, host: Host) -> None:
        """Say so, once, if there are fewer other hosts than copies were asked for: it begins to count now."""
        others = len(set(host.homes.values())) - 1
        if 0 <= others < self._checkpoints.replicas and others != self._few:
            self._few = others
            logger.warning(
                "%s other hosts are to keep copies, and there are %s: fewer disks may be lost than that. Ask for fewer"
                " copies (durability, replicas), or launch more hosts.", self._checkpoints.replicas, others,
            )  # fmt: skip
