"""One peer of a cluster, as whoever uses it has it: it asks, hands in, waits, and has all go back to a checkpoint.

What it needs no backend for: whoever launches a cluster does the same as whoever comes later (`peer.cluster.attached`).
"""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

from peer import errors
from peer.cluster.asker import ASK_S, Asker
from peer.cluster.calling_off import call_off
from peer.cluster.effects import Effect
from peer.cluster.happenings import Happenings, checked_kinds
from peer.cluster.inlet import Inlet, Receipt
from peer.cluster.letters import DeadLetter
from peer.cluster.outcome import Restored
from peer.cluster.quiet import until_quiet
from peer.cluster.requests import PendingRequest, pause, pending, unseen
from peer.cluster.signals import Watch
from peer.host import questions
from peer.host.host import Host
from peer.host.questions import EpochsAnswer, RequestAnswer, RestoreTo
from peer.people.person import Person
from peer.store.outside.keeping import Keeping
from peer.threads import HOUSE, in_thread
from peer.values.personal import key_name, using
from peer.values.texts import natural
from protocol.ids import AgentId, Lineage, StepId


class Member(Asker, ABC):
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
        agent as may (`Limits.mailbox_max`), it waits until some are handled.

        Args:
            agent: who is to handle them.
            messages: one input each.
            key: your name for this call, of 1 to 256 characters. Handed in again under it, from another process or
                after a restart too, the same inputs are not taken again. An agent remembers 10,000 keys.
            on_full: `wait`, or `refuse` to raise MailboxFull.

        Returns: the names of the inputs.

        Raises: AgentUnknown, AskTimeout, MailboxFull; InputsDiffer, if the key was used for other inputs;
            HandlerMissing, if the agent was launched from here and handles another class of the message's name; what
            `encoded` raises.
        """
        host, payloads = self.host, self.encoded(messages)
        self._look_at(host, agent, messages)
        if on_full not in ("wait", "refuse"):
            raise errors.CallerError(f"on_full={on_full!r}: it is wait or refuse. Nothing was submitted.")
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
        if inputs not in ("discard", "retry"):
            raise errors.CallerError(f"inputs={inputs!r}: it is discard or retry. Nothing changed.")
        began_us = self.host.clock.now_us()
        deadline_us = 0 if deadline_s is None else began_us + int(deadline_s * 1e6)
        ask = RestoreTo(f"{self._source}/{secrets.token_hex(8)}", epoch, inputs, reason, deadline_us)
        number = int(await self.host.ask(self._any(), "restore", questions.encode(ask), timeout_s=timeout_s))
        while True:
            looks = await asyncio.gather(*(self.status(agent, timeout_s=timeout_s) for agent in self._all()))
            if all(look.era >= number for look in looks):
                seconds = (self.host.clock.now_us() - began_us) / 1e6
                return Restored(number, epoch, seconds, await self._still_undone(epoch))
            await asyncio.sleep(0.02)

    async def _still_undone(self, epoch: int) -> tuple[StepId, ...]:
        body = questions.encode(epoch)
        asked = (self._ask(agent, "undone since", tuple[StepId, ...], body) for agent in self._all())
        return tuple(step for steps in await asyncio.gather(*asked) for step in steps)

    async def epochs(self) -> EpochsAnswer:
        """Return what is known of checkpoints and restores where the first agent lives."""
        return await self._ask(self._any(), "epochs", EpochsAnswer)

    def _all(self) -> list[AgentId]:
        """Return the agents that this peer looks at, and all others that it has heard of: handlers make some."""
        return list(dict.fromkeys((*self.agents, *sorted(self.host.homes, key=natural))))

    def _any(self) -> AgentId:
        self.check_running()
        if not self.agents:
            raise errors.CallerError("there are no agents yet. Nothing changed.")
        return self.agents[0]

    async def effects(self, agent: AgentId | None = None, *, settled: bool = False) -> list[Effect]:
        """Return the effects that are to be undone or in doubt, of one agent or of all."""
        self.check_running()
        agents = self._all() if agent is None else [agent]
        found = await asyncio.gather(*(self.effects_of(each, settled=settled) for each in agents))
        return [effect for effects in found for effect in effects]

    async def dead_letters(self, agent: AgentId | None = None) -> list[DeadLetter]:
        """Return the inputs that an agent will not handle, and its messages to names that nobody has.

        Args:
            agent: whose; of all if None.
        """
        self.check_running()
        agents = self._all() if agent is None else [agent]
        found = await asyncio.gather(*(self.dead_letters_of(each) for each in agents))
        return [letter for letters in found for letter in letters]

    async def requests(self, agent: AgentId | None = None) -> list[PendingRequest]:
        """Return the tools that an agent has requested and that are not called yet, oldest first; of all if None."""
        self.check_running()
        agents = self._all() if agent is None else [agent]
        found = await asyncio.gather(*(self._ask(each, "requests", list[RequestAnswer]) for each in agents))
        with using(self._keeping.vault):
            seen = [pending(each, one, self.host.ask) for each, some in zip(agents, found, strict=True) for one in some]
        return sorted(seen, key=lambda each: (each.since_us, each.name))

    async def inbox(self, who: Person | str | None = None) -> list[PendingRequest]:
        """Return what waits for people, oldest first.

        Args:
            who: a person, or the name of one or of a role: what they are asked by now. None: all of it.
        """
        names = who if who is None else {who} if isinstance(who, str) else {who.name, *who.roles}
        now_us = self.host.clock.now_us()
        return [
            each
            for each in await self.requests()
            if each.waits_for_people
            and (
                names is None
                or not each.stages
                or any(name in names and each.since_us + after_us <= now_us for name, after_us in each.stages)
            )
        ]

    async def release(
        self, agent: AgentId, request: Lineage, note: str, by: str | None = None, *, as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Let go now what an agent has requested and nobody can undo, though its step is not settled.

        From then on the agent rejects rollbacks that would undo that step. Durable when this returns.

        Args:
            agent: whose request.
            request: its name, as `requests` has it.
            note: why; it stands in the log.
            by: who says so; the user of this process if left out. It stands in the log.
            as_: who signs it; what asks certain people can be released by one of them alone.

        Raises: CallerError, if no such request waits; NotEntitled, AgentUnknown, AskTimeout.
        """
        await (await self._request(agent, request)).release(note, by=by, as_=as_)

    async def approve(
        self, agent: AgentId, request: Lineage, note: str = "", by: str | None = None, *, as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Agree that a tool is called which an agent may not call without; the first word counts.

        One that is irreversible still waits for its step to be settled. Durable when this returns; said again it
        changes nothing. Args and errors as of `release`.
        """
        await (await self._request(agent, request)).approve(note, by=by, as_=as_)

    async def reject(
        self, agent: AgentId, request: Lineage, note: str = "", by: str | None = None, *, as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Have a tool not called, or a question not answered: the agent gets a `Result` whose `error` says who and why.

        Durable when this returns; said again it changes nothing. Args and errors as of `release`.
        """
        await (await self._request(agent, request)).reject(note, by=by, as_=as_)

    async def answer(
        self, agent: AgentId, request: Lineage, value: Any, note: str = "", by: str | None = None, *,
        as_: Person | None = None,
    ) -> None:  # fmt: skip
        """Answer a question of `ctx.ask_person`; the first answer counts. Args and errors as of `release`."""
        await (await self._request(agent, request)).answer(value, note, by=by, as_=as_)

    async def pause(
        self, agent: AgentId, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """Have an agent begin no step and let no request go until it is resumed, also over restarts.

        What it is at work on comes to its end; it goes on voting, being undone, and taking on inputs, which wait.
        Durable when this returns; whoever pauses it again changes the reason.

        Args:
            agent: which.
            note: why; it stands in the log.
            by: who says so; the user of this process if left out.
            as_: who signs it.

        Raises: NotEntitled, AgentUnknown, AskTimeout.
        """
        self.check_running()
        await pause(self.host.ask, agent, True, note, by, as_)

    async def resume(
        self, agent: AgentId, note: str = "", by: str | None = None, *, as_: Person | None = None
    ) -> None:  # fmt: skip
        """Let a paused agent go on; one that is not paused does anyhow. Args and errors as of `pause`."""
        self.check_running()
        await pause(self.host.ask, agent, False, note, by, as_)

    async def _request(self, agent: AgentId, name: Lineage) -> PendingRequest:
        """Return a request that waits, or one of that name alone, of which its agent says what has become."""
        self.check_running()
        for each in await self.requests(agent):
            if each.name == name:
                return each
        return unseen(agent, name, self.host.ask)

    def _is_known(self, agent: AgentId) -> bool:
        return agent in self.agents or agent in self.host.homes

    # -- watching --------------------------------------------------------------------------------------------------

    def watch(self, kinds: Iterable[str] | None = None, agents: Iterable[AgentId] = ()) -> Happenings:
        """Return what happens in the cluster, to be gone through by `async for` as it happens.

        Args:
            kinds: some of `steps`, `rollbacks`, `dead_letters`, `effects`, `hosts`, `checkpoints` and `notices`; None:
                all of them.
            agents: of whom; of all if empty. Checkpoints are told in any case, and what hosts of these have noticed.

        Raises: CallerError, for what is no kind; once it is gone through, if a host has too many that watch.
        """
        return Happenings(lambda: self.host, checked_kinds(kinds), [agents] if isinstance(agents, str) else agents)

    # -- waiting --------------------------------------------------------------------------------------------------

    async def quiet(self, timeout_s: float = 60.0, pause_s: float = 0.05) -> None:
        """Wait until nothing is under way in any agent that this peer answers for.

        Nothing is under way when, in looks one after the other, every agent is idle and none has moved meanwhile.

        Raises: AskTimeout, telling who is busy, with what, and for whom it waits.
        """
        self.check_running()
        await until_quiet(self._all, self.status, self._is_known, timeout_s, pause_s)
