"""One peer of a cluster, as whoever uses it has it: it asks, hands in, waits, and has all go back to a checkpoint.

What it needs no backend for: whoever launches a cluster does the same as whoever comes later (`peer.cluster.attached`).
"""

import asyncio
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

from peer import errors
from peer.agents.countering import PAUSE_S, PAUSE_S_MAX, compensating
from peer.agents.proposing import reason_text
from peer.cluster.calling_off import call_off
from peer.cluster.compensating import Compensation, came, countable, is_under_way, owner_of
from peer.cluster.draining import Draining
from peer.cluster.effects import Effect, agent_of, somebody
from peer.cluster.happenings import Happenings, checked_kinds
from peer.cluster.inlet import Inlet, Receipt
from peer.cluster.inquirer import ASK_S
from peer.cluster.letters import DeadLetter
from peer.cluster.outcome import Plan, Restored
from peer.cluster.quiet import look_at, until_quiet
from peer.cluster.sagas import SagaSeen, call_off_saga
from peer.cluster.sagas import shown as saga_seen
from peer.cluster.signals import Watch
from peer.host import questions
from peer.host.host import Host
from peer.host.questions import EpochsAnswer, RestoreTo, SagaAnswer, Status
from peer.store.outside.keeping import Keeping
from peer.threads import HOUSE, in_thread
from peer.values.brief import brief
from peer.values.personal import key_name
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, asked_name, check_choice, check_text
from protocol.ids import AgentId, Lineage, StepId


class Member(Draining, ABC):
    """A peer without agents, from its start to its end.

    Args:
        keeping: where bulky values and keys are kept.
    """

    _again: ClassVar[str] = ""
    """What to do, for who has started it before."""

    def __init__(self, keeping: Keeping) -> None:
        super().__init__(keeping)
        self._source = f"cluster-{secrets.token_hex(4)}"
        self._inlet = Inlet(self._source, 4 * ASK_S, self._inputs, self._asked)

    # -- life -----------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _open(self) -> Host:
        """Bring up the host that asks."""

    @abstractmethod
    async def _close(self) -> None:
        """End what `_open` has begun, also where that has failed."""

    async def start(self) -> Self:
        """Begin, for who can't write a block: in a notebook, over several cells. `stop` ends it.

        Signals are not handled: what happens on SIGTERM is for whoever starts it so to say.
        """
        if self._host is not None or self._over:
            raise errors.CallerError(f"this cluster was started before. Nothing was started. {self._again}")
        try:
            self._host = await self._open()
        except BaseException:
            await self._end("in its start")
            raise
        return self

    async def stop(self) -> None:
        """End what `start` has begun; nothing if it has ended, or was never started."""
        if self._host is not None and not self._over:
            await self._end("with stop()")

    async def __aenter__(self) -> Self:
        self._watch = Watch()
        try:
            return await self.start()
        except BaseException as error:
            self._watch.end(error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._over:
                await self._end("with its 'async with' block")
        finally:
            self._watch.end(error)

    async def _end(self, how: str) -> None:
        self._over = how
        await self._close()

    @property
    @abstractmethod
    def agents(self) -> list[AgentId]:
        """The agents that this peer looks at where all are meant."""

    # -- inputs ---------------------------------------------------------------------------------------------------

    async def submit(self, agent: AgentId, *messages: Any, key: str | None = None, on_full: str = "wait") -> Receipt:
        """Hand inputs to an agent from outside; when this returns they are durable, each taken once.

        Called at the same time for one agent, one call's inputs come after the other's. If as many inputs wait at the
        agent as may (`Limits.mailbox_max`), it waits until some are handled; if its host is drained, until it moves.

        Args:
            agent: who is to handle them.
            messages: one input each.
            key: your name for this call, of 1 to 256 characters. Handed in again under it, from another process or
                after a restart too, the same inputs are not taken again. An agent remembers 10,000 keys.
            on_full: `wait`, or `refuse` to raise MailboxFull or HostDraining.

        Returns: the names of the inputs.

        Raises: AgentUnknown, AskTimeout, MailboxFull, HostDraining; InputsDiffer, if the key was used for other inputs;
            HandlerMissing, if the agent was launched from here and handles another class of the message's name; what
            `encoded` raises.
        """
        host, payloads, agent = self.host, self.encoded(messages), asked_name(agent)
        self._look_at(host, agent, messages)
        check_choice("on_full", on_full, ("wait", "refuse"), "Nothing was submitted.")
        return await self._inlet.submit(host, agent, payloads, key, on_full == "wait")

    async def cancel(self, agent: AgentId, *inputs: Lineage | Receipt, why: str = "", by: str | None = None) -> None:
        """Call inputs off that wait or run: each ends as a dead letter, "called off by WHO: WHY", durably.

        A handler that runs is cancelled, as by its timeout, and what its tools have done is undone. Called off again,
        nothing more happens; so it is with what is a dead letter already, whatever for.

        Args:
            agent: whose.
            inputs: their names, as receipts, dead letters and notices have them, or receipts.
            why: for people; it stands in the log.
            by: who says so; the user of this process if left out. It stands in the log.

        Raises: InputHandled, if one has become a step, which a rollback undoes; InputUnknown, if there is none of a
            name; both once all were asked. CallerError, for what is no name; AgentUnknown, AskTimeout.
        """
        self.check_running()
        names: list[Lineage] = []
        for given in inputs:
            if not isinstance(given, Receipt):
                names.append(given)
            elif given.agent == agent:
                names.extend(given.inputs)
            else:
                raise errors.CallerError(f"the receipt is of {given.agent!r}, not {agent!r}. Nothing was called off.")
        await call_off(self._asked, agent, names, why, by)

    async def _asked(self, agent: AgentId, what: str, body: bytes) -> bytes:
        return await self.host.ask(agent, what, body)

    def _look_at(self, host: Host, agent: AgentId, messages: Sequence[Any]) -> None:
        """Look at what is about to be submitted, where more is known of the agent than its name."""

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
        check_choice("inputs", inputs, ("discard", "retry"), "Nothing changed.")
        if not isinstance(epoch, int) or epoch.bit_length() > 63:
            raise errors.CallerError(f"epoch={brief(epoch)}: it is the number of a checkpoint. Nothing changed.")
        began_us = self.host.clock.now_us()
        deadline_us = 0 if deadline_s is None else began_us + int(deadline_s * 1e6)
        ask = RestoreTo(f"{self._source}/{secrets.token_hex(8)}", epoch, inputs, reason_text(reason), deadline_us)
        number = int(await self.host.ask(self._any(), "restore", questions.encode(ask), timeout_s=timeout_s))
        while True:
            looks = await self.all_of(self._all(), "status", Status, timeout_s=timeout_s)
            if all(look.era >= number for look in looks.values()):
                seconds = (self.host.clock.now_us() - began_us) / 1e6
                return Restored(number, epoch, seconds, await self._still_undone(epoch))
            await asyncio.sleep(0.02)

    async def _still_undone(self, epoch: int) -> tuple[StepId, ...]:
        body = questions.encode(epoch)
        found = await self.all_of(self._all(), "undone since", tuple[StepId, ...], body)
        return tuple(step for steps in found.values() for step in steps)

    async def epochs(self) -> EpochsAnswer:
        """Return what is known of checkpoints and restores where the first agent lives."""
        return await self._ask(self._any(), "epochs", EpochsAnswer)

    def _any(self) -> AgentId:
        self.check_running()
        if not self.agents:
            raise errors.CallerError("there are no agents yet. Nothing changed.")
        return self.agents[0]

    async def effects(self, agent: AgentId | None = None, *, settled: bool = False) -> list[Effect]:
        """Return the effects that are to be undone or in doubt, of one agent or of all."""
        self.check_running()
        agents = self._all() if agent is None else [agent]
        return await self._effects(agents, settled)

    async def compensate(
        self, *steps: StepId | str, reason: str, by: str | None = None, timeout_s: float = 60.0
    ) -> Compensation:
        """Counter what steps, and all that followed from them, have done to the world; the steps and states stay.

        Forward in time: nothing is hidden, run again or agreed on, so it can be done where agents would refuse to go
        back. Each effect that has an undo is undone, the newest first; what can't be undone stays, and is told. It is
        handed to an agent, so it goes on over restarts, and if this program ends. Effects that come after that are not
        meant. A run again of one of the steps does anew what it did.

        Args:
            steps: the first ones.
            reason: why; it stands in the logs, at each effect.
            by: who says so; the user of this process if left out. It stands in the logs.
            timeout_s: for how long to wait for its end.

        Raises: StepUnknown, CallerError; AskTimeout, if it is not over in time: it goes on.
        """
        check_text("reason", reason, REASON_CHARS_MAX, "Nothing was countered.")
        who = check_text(
            "by", (somebody() or "somebody") if by is None else by, NAME_CHARS_MAX, "Nothing was countered."
        )
        plan = await self.preview(*steps)
        wanted = countable(plan)
        if not wanted:
            return came(None, plan, wanted, await self._called_in(plan))
        receipt = await self._inlet.submit(self.host, owner_of(wanted), (compensating(wanted, reason, who),))
        until, pause_s = time.monotonic() + timeout_s, PAUSE_S
        (step,) = await receipt.done(timeout_s)
        while is_under_way(wanted, effects := await self._called_in(plan)):
            if time.monotonic() > until:
                raise errors.AskTimeout(
                    f"{step} is countering {len(wanted)} effects still, after {timeout_s:g} s. It goes on: look at"
                    " `effects`."
                )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)
        return came(step, plan, wanted, effects)

    async def _called_in(self, plan: Plan) -> list[Effect]:
        """Return the effects of the agents that a plan is about, as they stand now."""
        agents = dict.fromkeys(agent_of(call.intent) for call in plan.calls)
        return await self._effects(agents, settled=True)

    async def dead_letters(self, agent: AgentId | None = None) -> list[DeadLetter]:
        """Return the inputs that an agent will not handle, and its messages to names that nobody has.

        Args:
            agent: whose; of all if None.
        """
        self.check_running()
        agents = self._all() if agent is None else [agent]
        return await self._letters(agents)

    async def sagas(self, agent: AgentId | None = None, status: str | None = None) -> list[SagaSeen]:
        """Return the sagas that an agent has begun, of all agents if None; with `status`, those that stand so."""
        self.check_running()
        agents = self._all() if agent is None else [agent]
        found = await self.all_of(agents, "sagas", list[SagaAnswer])
        seen = [saga_seen(each, one) for each, some in found.items() for one in some]
        return [each for each in seen if status is None or each.status == status]

    async def fail_saga(self, agent: AgentId, name: str, why: str, by: str | None = None) -> Receipt:
        """Have a saga of an agent's fail: all that belongs to it is undone. One that is over is left as it is.

        Args:
            agent: who has begun it.
            name: its name there.
            why: for people, and for the agent.
            by: who says so; the user of this process if left out.

        Raises: CallerError, for what is no name or text; AgentUnknown, AskTimeout.
        """
        self.check_running()
        return await self._inlet.submit(self.host, agent, (call_off_saga(name, why, by),))

    def _is_meant(self, agent: AgentId) -> bool:
        """Tell whether an agent is one of those that this peer looks at where all are meant."""
        return self._is_known(agent)

    def _is_known(self, agent: AgentId) -> bool:
        return agent in self.agents or agent in self.host.homes

    def known_agents(self) -> list[AgentId]:
        """Return the agents that this peer has heard of."""
        return self._all()

    # -- watching --------------------------------------------------------------------------------------------------

    def watch(self, kinds: Iterable[str] | None = None, agents: Iterable[AgentId] = ()) -> Happenings:
        """Return what happens in the cluster, to be gone through by `async for` as it happens.

        Args:
            kinds: some of `steps`, `rollbacks`, `dead_letters`, `effects`, `hosts`, `checkpoints` and `notices`; None:
                all of them.
            agents: of whom; of all if empty. Checkpoints are told in any case, and what hosts of these have noticed.

        Raises: CallerError, for what is no kind; once it is gone through, if a host has too many that watch.
        """
        return Happenings(
            lambda: self.host, checked_kinds(kinds), map(asked_name, [agents] if isinstance(agents, str) else agents)
        )

    # -- waiting --------------------------------------------------------------------------------------------------

    async def quiet(self, timeout_s: float = 60.0, pause_s: float = 0.05) -> None:
        """Wait until nothing is under way in any agent that this peer answers for.

        Nothing is under way when, in looks one after the other, every agent is idle and none has moved meanwhile.

        Raises: AskTimeout, telling who is busy, with what, and for whom it waits.
        """
        self.check_running()
        await until_quiet(
            lambda left_s: look_at(self.host, self.agents, self._is_meant, left_s), self._is_known, timeout_s, pause_s
        )  # fmt: skip
