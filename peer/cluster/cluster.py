"""Launch agents, and ask about them. A cluster decides nothing: it is one more host, with no agents of its own.

All that it asks (`submit`, `preview`, `rollback`, `status`, ...) any peer can ask, by the same messages.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.context import rollback_draft
from peer.agents.past import as_step
from peer.agents.spec import AgentSpec, check_movable
from peer.backends import Backend, load_backend
from peer.cluster.inlet import Inlet
from peer.cluster.outcome import Outcome, Plan, Restored
from peer.cluster.preview import preview
from peer.cluster.quiet import until_quiet
from peer.config import check_names, checkpoint_limits, replicas_of
from peer.host import questions
from peer.host.host import Host
from peer.host.questions import (
    Ballots,
    Costs,
    CutsAnswer,
    EpochsAnswer,
    Notice,
    PartAnswer,
    Propose,
    RestoreTo,
    Status,
    StepsAnswer,
)
from peer.store.outside.keeping import Keeping, Places
from peer.store.storage import Storage
from peer.values import payload
from peer.values.codec import look
from peer.values.key_text import decode_key
from peer.values.personal import key_name, using
from peer.values.shared_view import SharedView
from protocol.ids import AgentId, ProposalId, StepId
from protocol.limits import Limits
from protocol.policy import PolicyMaker
from protocol.records import OutcomeRecord
from protocol.step import Entry, Input

ASK_S = 30.0
"""How long a question waits for an answer, unless the caller says else."""


class Cluster:
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
        secret = secrets.token_bytes(32)
        places = Places.beside(self.folder, blobs, vault)
        self._keeping = Keeping.at(places)
        self._backend: Backend = load_backend(backend)(
            self.folder, secret, limits, self._checkpoints, places, options, storage
        )
        self._host: Host | None = None
        self._agents: list[AgentId] = []
        self._room: list[str] = []
        self._source = f"cluster-{secrets.token_hex(4)}"
        self._inlet = Inlet(self._source, 4 * ASK_S)

    async def __aenter__(self) -> "Cluster":
        self._host = await self._backend.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._backend.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def host(self) -> Host:
        """The cluster's own host, which asks."""
        if self._host is None:
            raise errors.CallerError("the cluster is not started: use 'async with Cluster(...) as cluster:'")
        return self._host

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
        """Launch many agents, `agents_per_actor` on each host, and wait until all answer."""
        check_names([spec.name for spec in specs], self._agents)
        if self._checkpoints.replicas:
            check_movable(specs)
        self.host.asking.expect(spec.name for spec in specs)
        await self._backend.launch(list(specs), self._agents_per_actor)
        self._agents.extend(spec.name for spec in specs)
        looks = await asyncio.gather(*(self.status(spec.name, timeout_s=120.0) for spec in specs))
        if self._checkpoints.replicas and any(not look.committed for look in looks):
            # Backups are chosen by the view: with the first commit that has them new hosts have some, and with the
            # second no earlier view's majority is needed to succeed one. Who comes back is in a view already, whose
            # other hosts may not be here yet.
            await self.checkpoint()
            await self.checkpoint()

    async def kill(self, agent: AgentId, *, for_good: bool = False, with_disk: bool = False) -> None:
        """Kill the process that hosts an agent, as a crash would; it comes back by itself, unless `for_good`.

        With `with_disk` its folder is deleted before: its agents come back where a backup has their copies.
        """
        await self._backend.kill(agent, for_good, with_disk)

    async def leave(self, agent: AgentId) -> None:
        """Have an agent's host leave for good: a backup goes on with all of its agents, and nothing is lost.

        Raises: CallerError, if there are no replicas; AskTimeout.
        """
        await self.host.ask(agent, "leave", timeout_s=2 * ASK_S)
        await self._backend.kill(agent, True)

    # -- inputs ---------------------------------------------------------------------------------------------------

    async def submit(self, agent: AgentId, *messages: Any) -> None:
        """Hand inputs to an agent from outside. When this returns they are on disk. Each is taken once.

        Of two calls at the same time for one agent, the inputs of one come after those of the other.

        Raises: AgentUnknown, AskTimeout.
        """
        await self._inlet.submit(self.host, agent, self.encoded(messages))

    def encoded(self, messages: Sequence[Any]) -> tuple[bytes, ...]:
        """Return what messages are on the wire and in logs, personal data in them encrypted.

        Raises: PayloadUnsupported, PayloadTooLarge, VaultFailed.
        """
        with using(self._keeping.vault):
            return tuple(payload.encode_message(message) for message in messages)

    async def erase(self, subject: str) -> None:
        """Destroy the key of whom personal data is about: wherever it stands, it reads as `Erased` from now on.

        It can't be undone, and whatever is stored or sent about the same subject later is erased at once.

        Raises: CallerError, for what is no subject; VaultFailed.
        """
        await asyncio.to_thread(self._keeping.vault.erase, key_name(subject))

    # -- rollback -------------------------------------------------------------------------------------------------

    async def preview(self, *steps: StepId | str) -> Plan:
        """Return what a rollback of these steps would undo, and at which agents. It changes nothing.

        Raises: StepUnknown, AgentUnknown, AskTimeout.
        """
        roots = tuple(sorted({as_step(step) for step in steps}))
        return await preview(roots, lambda agent, part: self._ask(agent, "part", PartAnswer, questions.encode(part)))

    async def rollback(
        self,
        *steps: StepId | str,
        inputs: str = "retry",
        reason: str = "",
        evidence: Any = None,
        amend: Mapping[StepId | str, Any] | None = None,
        deadline_s: float | None = None,
        timeout_s: float = 60.0,
    ) -> Outcome:
        """Undo steps and all that followed from them, at every agent, and wait for the outcome.

        Args:
            steps: the wrong steps (the roots), as `StepId`s or texts such as `risk-2/1/88`.
            inputs: what becomes of their inputs: `retry` (handled again), `discard` (dead letters), or `amend`.
            reason: for people; it stands in the log.
            evidence: any value; a retried handler finds it in `ctx.evidence`.
            amend: corrected messages by root, for `amend`.
            deadline_s: participants that have not voted by then reject.
            timeout_s: how long to wait here; the rollback itself goes on.

        Raises: CallerError, AgentUnknown, RollbackTimeout.
        """
        with using(self._keeping.vault):
            draft = rollback_draft(steps, inputs, reason, evidence, amend or {})
        deadline_us = 0 if deadline_s is None else self.host.clock.now_us() + int(deadline_s * 1e6)
        ask = Propose(draft.roots, inputs, reason, draft.evidence, draft.amendments, deadline_us)
        owner = draft.roots[0].agent
        pid = (await self.host.ask(owner, "propose", questions.encode(ask), timeout_s=timeout_s)).decode()
        return await self.outcome(pid, timeout_s=timeout_s)

    async def outcome(self, proposal: ProposalId, timeout_s: float = 60.0) -> Outcome:
        """Wait until every participant of a rollback has decided.

        Raises: RollbackTimeout, naming the proposal; it may still be decided.
        """
        proposer = proposal.split("/", 1)[0]
        try:
            body = await self.host.ask(proposer, "outcome", questions.encode(proposal), timeout_s=timeout_s)
        except errors.AskTimeout as error:
            raise errors.RollbackTimeout(
                f"{proposal} was not decided within {timeout_s:g} s. It goes on; ask for its outcome again."
            ) from error
        record: OutcomeRecord = questions.decode(body, OutcomeRecord)
        return Outcome(
            proposal=record.proposal,
            committed=record.decision == "commit",
            undone=record.undone,
            agents=record.electors,
            rejects=record.rejects,
            notes=record.notes,
            seconds=(record.decided_us - record.began_us) / 1e6,
        )

    async def rollback_to(
        self, agent: AgentId, step: StepId | str, *, inputs: str = "discard", reason: str = "", timeout_s: float = 60.0
    ) -> Outcome | None:
        """Take one agent back to where it was after a step. Its later steps are undone, and what followed from them.

        Args:
            agent: whose steps.
            step: the last one to stand.
            inputs: what becomes of the inputs of the agent's later steps: `discard` or `retry`.
            reason: for people; it stands in the log.
            timeout_s: how long to wait here.

        Returns: what became of it; None if nothing came after the step.

        Raises: StepUnknown, AgentUnknown, RollbackTimeout.
        """
        later = await self._ask(agent, "suffix", tuple[StepId, ...], questions.encode(as_step(step)))
        if not later:
            return None
        return await self.rollback(*later, inputs=inputs, reason=reason or f"back to {step}", timeout_s=timeout_s)

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
                return Restored(number, epoch, (self.host.clock.now_us() - began_us) / 1e6)
            await asyncio.sleep(0.02)

    async def epochs(self) -> EpochsAnswer:
        """Return what is known of checkpoints and restores where the first agent lives."""
        return await self._ask(self._any(), "epochs", EpochsAnswer)

    async def cuts(self, agent: AgentId) -> CutsAnswer:
        """Return the places in an agent's log that checkpoints have marked, and the restores it has carried out."""
        return await self._ask(agent, "cuts", CutsAnswer)

    def _any(self) -> AgentId:
        if not self._agents:
            raise errors.CallerError("there are no agents yet. Nothing changed.")
        return self._agents[0]

    # -- looking --------------------------------------------------------------------------------------------------

    async def status(self, agent: AgentId, timeout_s: float = ASK_S) -> Status:
        """Return an agent at a glance."""
        return questions.decode(await self.host.ask(agent, "status", timeout_s=timeout_s), Status)

    async def state(self, agent: AgentId, at: StepId | str | None = None) -> dict[Any, Any]:
        """Return an agent's state, without what was undone.

        Args:
            agent: whose.
            at: a step of the agent: the state as it stood right after it, without what is undone by now.

        Raises: AgentUnknown, AskTimeout; StepUnknown, if `at` is unknown, another agent's, or compacted.
        """
        body = b"" if at is None else questions.encode(as_step(at))
        found = await self._ask(agent, "state", dict[str, bytes], body)
        blobs = self._keeping.blobs
        with using(self._keeping.vault):
            return await asyncio.to_thread(lambda: {decode_key(key): look(data, blobs) for key, data in found.items()})

    async def shared(self, agent: AgentId) -> SharedView:
        """Return what an agent sees of the shared spaces it takes part in."""
        return SharedView(await self._ask(agent, "entries", list[Entry]), self._keeping.vault)

    async def dead_letters(self, agent: AgentId) -> list[tuple[Input, str]]:
        """Return the inputs that an agent will not handle, each with the reason."""
        return await self._ask(agent, "dead", list[tuple[Input, str]])

    async def notices(self, agent: AgentId) -> list[Notice]:
        """Return the audit lines of an agent and of its host, oldest first."""
        return await self._ask(agent, "notices", list[Notice])

    async def steps(self, agent: AgentId) -> list[StepsAnswer]:
        """Return an agent's steps, undone ones included, in pages."""
        pages: list[StepsAnswer] = []
        seen = 0
        while True:
            page = await self._ask(agent, "steps", StepsAnswer, questions.encode(seen))
            if not page.records:
                return pages
            pages.append(page)
            seen += len(page.records)

    async def ballots(self, agent: AgentId) -> Ballots:
        """Return what an agent knows of rollbacks."""
        return await self._ask(agent, "ballots", Ballots)

    async def costs(self, agent: AgentId) -> Costs:
        """Return what an agent's host has sent in this life."""
        return await self._ask(agent, "costs", Costs)

    async def quiet(self, timeout_s: float = 60.0, pause_s: float = 0.05) -> None:
        """Wait until nothing is under way in any agent launched from here.

        Nothing is under way when, in looks one after the other, every agent is idle and none has moved meanwhile.

        Raises: AskTimeout, naming who is busy, and with what.
        """
        await until_quiet(
            lambda: [self.status(agent, timeout_s=timeout_s) for agent in self._agents], timeout_s, pause_s
        )

    async def _ask(self, agent: AgentId, what: str, kind: Any, body: bytes = b"") -> Any:
        return questions.decode(await self.host.ask(agent, what, body, timeout_s=ASK_S), kind)
