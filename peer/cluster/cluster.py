"""Launch agents, and ask about them. A cluster decides nothing: it is one more host, with no agents of its own.

All that it asks (`submit`, `preview`, `rollback`, `status`, ...) any peer can ask, by the same messages.
"""

import asyncio
import logging
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.spec import AgentSpec, check_kinds, check_movable
from peer.backends import Backend, load_backend
from peer.cluster.asker import ASK_S, Asker
from peer.cluster.effects import Effect
from peer.cluster.inlet import Inlet, Receipt
from peer.cluster.letters import DeadLetter
from peer.cluster.outcome import Restored
from peer.cluster.quiet import until_quiet
from peer.cluster.signals import Watch
from peer.config import check_names, checkpoint_limits, replicas_of
from peer.host import questions
from peer.host.host import Host
from peer.host.questions import (
    EpochsAnswer,
    RestoreTo,
    Status,
)
from peer.store.outside.keeping import Keeping, Places
from peer.store.storage import Storage
from peer.threads import HOUSE, in_thread
from peer.values.personal import key_name
from protocol.ids import AgentId, StepId
from protocol.limits import Limits
from protocol.policy import PolicyMaker

logger = logging.getLogger("ebbtide")


class Cluster(Asker):
    """Hosts and agents on a backend; use it as an async context manager.

    Args:
        backend: `ray` (each host a Ray actor) or `local` (all hosts in this process, same code).
        agents_per_actor: how many agents share one host.
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

    def __init__(
        self, backend: str = "ray", agents_per_actor: int = 1, folder: str | Path | None = None,
        limits: Limits | None = None, checkpoint_every_s: float = 0.0, checkpoints_kept: int = 4, replicas: int = 0,
        successor_s: float = 30.0, checkpoint_policy: PolicyMaker | None = None, durability: str = "local",
        storage: Storage | None = None, blobs: str | Path | None = None, vault: str | Path | None = None,
        buddies: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        if agents_per_actor < 1:
            raise errors.CallerError(f"agents_per_actor={agents_per_actor}: at least 1. Nothing was started.")
        self._agents_per_actor = agents_per_actor
        self._temporary = tempfile.TemporaryDirectory(prefix="ebbtide-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else folder or ".")
        self._checkpoints = checkpoint_limits(
            checkpoint_every_s, checkpoints_kept, replicas_of(replicas, buddies), successor_s, checkpoint_policy,
            durability, storage,
        )  # fmt: skip
        (storage or Storage()).check()
        places = Places.beside(self.folder, blobs, vault)
        super().__init__(Keeping.at(places))
        self._backend: Backend = load_backend(backend)(self.folder, limits, self._checkpoints, places, options, storage)
        self._agents: list[AgentId] = []
        self._launching: dict[AgentId, None] = {}
        self._kinds: dict[AgentId, type[Agent]] = {}
        self._room: list[str] = []
        self._source = f"cluster-{secrets.token_hex(4)}"
        self._few = -1
        """Of how few other hosts was told; none yet."""
        self._inlet = Inlet(self._source, 4 * ASK_S, self.inputs)

    async def __aenter__(self) -> "Cluster":
        if self._host is not None or self._is_over:
            raise errors.CallerError(
                "this cluster was started before. Nothing was started. To go on, make another Cluster on its folder."
            )
        self._watch = Watch()
        try:
            self._host = await self._backend.start()
        except BaseException as error:
            await self._end(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        self._is_over = True
        try:
            await self._backend.stop()
            if self._temporary is not None:
                self._temporary.cleanup()
        finally:
            self._watch.end(error)

    @property
    def agents(self) -> list[AgentId]:
        """The agents launched from here, in order."""
        return list(self._agents)

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

    async def spawn_all(self, specs: Sequence[AgentSpec]) -> None:
        """Launch many agents, packed as the cluster says, and wait until all answer.

        An agent that has lived in the cluster's folder goes on from its log, whatever the order and the packing.

        Raises: CallerError, for names that are taken or can't be used, before anything starts; AgentBroken, naming an
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
            await self._launch(specs)
        finally:
            for name in names:
                del self._launching[name]

    async def _launch(self, specs: Sequence[AgentSpec]) -> None:
        self.host.asking.expect(spec.name for spec in specs)
        await self._backend.launch(list(specs), self._agents_per_actor)
        looks = await asyncio.gather(
            *(self.status(spec.name, timeout_s=120.0) for spec in specs), return_exceptions=True
        )
        up: list[Status] = []
        broken: list[errors.AgentBroken] = []
        for spec, look in zip(specs, looks, strict=True):
            if isinstance(look, errors.AgentBroken):
                await self._backend.release(spec.name)
                broken.append(look)
            else:
                self._agents.append(spec.name)
                self._kinds[spec.name] = spec.kind
                if isinstance(look, BaseException):
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
        await self.host.ask(agent, "leave", timeout_s=2 * ASK_S)
        await self._backend.kill(agent, True)

    # -- inputs ---------------------------------------------------------------------------------------------------

    async def submit(self, agent: AgentId, *messages: Any, key: str | None = None) -> Receipt:
        """Hand inputs to an agent from outside; when this returns they are durable, each taken once.

        Called at the same time for one agent, one call's inputs come after the other's.

        Args:
            agent: who is to handle them.
            messages: one input each.
            key: your name for this call, of 1 to 256 characters. Handed in again under it, from another process or
                after a restart too, the same inputs are not taken again. An agent remembers 10,000 keys.

        Returns: the names of the inputs.

        Raises: AgentUnknown, AskTimeout; InputsDiffer, if the key was used for other inputs; HandlerMissing, if the
            agent was launched from here and handles another class of the message's name; what `encoded` raises.
        """
        host, payloads = self.host, self.encoded(messages)
        self._look_for_replicas(host)
        if (kind := self._kinds.get(agent)) is not None:
            for message in messages:
                kind.check_namesake(message)
        return await self._inlet.submit(host, agent, payloads, key)

    def _look_for_replicas(self, host: Host) -> None:
        """Say so, once, if there are fewer other hosts than copies were asked for: it begins to count now."""
        others = len(set(host.homes.values())) - 1
        if 0 <= others < self._checkpoints.replicas and others != self._few:
            self._few = others
            logger.warning(
                "%s other hosts are to keep copies, and there are %s: fewer disks may be lost than that. Ask for fewer"
                " copies (durability, replicas), or launch more hosts.", self._checkpoints.replicas, others,
            )  # fmt: skip

    async def erase(self, subject: str) -> None:
        """Destroy the key of whom personal data is about: wherever it stands, it reads as `Erased` from now on.

        It can't be undone, and whatever is stored or sent about the same subject later is erased at once.

        Raises: CallerError, for what is no subject; VaultFailed.
        """
        self.check_running()
        await in_thread(HOUSE, self._keeping.vault.erase, key_name(subject))

    # -- checkpoints ----------------------------------------------------------------------------------------------

    async def checkpoint(self, timeout_s: float = 60.0) -> int:
        """Make a checkpoint of all agents, which go on working. Return its number, the epoch, once it is committed.

        Raises: AskTimeout, if it is not committed in time (it goes on); RestoreRefused.
        """
        return int(await self.host.ask(self._any(), "checkpoint", timeout_s=timeout_s))

    async def restore(
        self, epoch: int, *, inputs: str = "discard", reason: str = "", deadline_s: float | None = None,
        timeout_s: float = 60.0,
    ) -> Restored:  # fmt: skip
        """Take all agents back to a committed checkpoint. Messages that were on their way then are delivered again.

        Args:
            epoch: which checkpoint.
            inputs: what becomes of inputs that came in from outside since: `discard` (dead letters) or `retry`.
            reason: for people; it stands in the log.
            deadline_s: hosts that have not voted by then reject.
            timeout_s: how long to wait here for all agents to have carried it out.

        Raises: CallerError, RestoreRefused (compacted already, passed over, or somebody did not agree), AskTimeout.
        """
        if inputs not in ("discard", "retry"):
            raise errors.CallerError(f"inputs={inputs!r}: it is discard or retry. Nothing changed.")
        began_us = self.host.clock.now_us()
        deadline_us = 0 if deadline_s is None else began_us + int(deadline_s * 1e6)
        ask = RestoreTo(f"{self._source}/{secrets.token_hex(8)}", epoch, inputs, reason, deadline_us)
        number = int(await self.host.ask(self._any(), "restore", questions.encode(ask), timeout_s=timeout_s))
        while True:
            looks = await asyncio.gather(*(self.status(agent, timeout_s=timeout_s) for agent in self._agents))
            if all(look.era >= number for look in looks):
                seconds = (self.host.clock.now_us() - began_us) / 1e6
                return Restored(number, epoch, seconds, await self._still_undone(epoch))
            await asyncio.sleep(0.02)

    async def _still_undone(self, epoch: int) -> tuple[StepId, ...]:
        body = questions.encode(epoch)
        asked = (self._ask(agent, "undone since", tuple[StepId, ...], body) for agent in self._agents)
        return tuple(step for steps in await asyncio.gather(*asked) for step in steps)

    async def epochs(self) -> EpochsAnswer:
        """Return what is known of checkpoints and restores where the first agent lives."""
        return await self._ask(self._any(), "epochs", EpochsAnswer)

    def _any(self) -> AgentId:
        self.check_running()
        if not self._agents:
            raise errors.CallerError("there are no agents yet. Nothing changed.")
        return self._agents[0]

    async def effects(self, agent: AgentId | None = None, *, settled: bool = False) -> list[Effect]:
        """Return the effects that are to be undone or in doubt, of one agent or of all that were launched from here."""
        self.check_running()
        agents = self._agents if agent is None else [agent]
        found = await asyncio.gather(*(self.effects_of(each, settled=settled) for each in agents))
        return [effect for effects in found for effect in effects]

    async def dead_letters(self, agent: AgentId | None = None) -> list[DeadLetter]:
        """Return the inputs that an agent will not handle, and its messages to names that nobody has.

        Args:
            agent: whose; of all that were launched from here if None.
        """
        self.check_running()
        agents = self._agents if agent is None else [agent]
        found = await asyncio.gather(*(self.dead_letters_of(each) for each in agents))
        return [letter for letters in found for letter in letters]

    def _kind_of(self, agent: AgentId) -> type[Agent] | None:
        return self._kinds.get(agent)

    def _is_known(self, agent: AgentId) -> bool:
        return agent in self._agents or agent in self.host.homes

    # -- waiting --------------------------------------------------------------------------------------------------

    async def quiet(self, timeout_s: float = 60.0, pause_s: float = 0.05) -> None:
        """Wait until nothing is under way in any agent launched from here.

        Nothing is under way when, in looks one after the other, every agent is idle and none has moved meanwhile.

        Raises: AskTimeout, telling who is busy, with what, and for whom it waits.
        """
        self.check_running()
        await until_quiet(self._agents, self.status, self._is_known, timeout_s, pause_s)
