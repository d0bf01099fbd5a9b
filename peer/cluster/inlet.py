"""Hands agents inputs from outside, numbered, so that each is taken once however often it is handed over (ST-10)."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from peer import errors
from peer.cluster.calling_off import Ask, call_off
from peer.host import questions
from peer.host.host import Host
from peer.host.questions import HeldAnswer, Submit
from peer.values.texts import check_text
from protocol.ids import AgentId, Lineage, StepId
from protocol.step import EXTERNAL

BATCH = 200
"""Inputs handed over at a time; each batch is durable before the next."""
KEY_CHARS_MAX = 256
"""Of an idempotency key."""


Look = Callable[[AgentId, Sequence[Lineage]], Awaitable[list[HeldAnswer]]]

PAUSE_S = 0.01
PAUSE_S_MAX = 0.5
"""From one look at what has become of inputs to the next: doubles from the first to the second."""


@dataclass(frozen=True)
class Receipt:
    """Inputs that an agent has taken on, durably."""

    agent: AgentId
    inputs: tuple[Lineage, ...]
    """Their names, in order: the same for a repeated key. Logs and audits know each input by it."""
    repeated: int = 0
    """How many of them had been taken on before, under the same key."""
    _look: Look | None = field(default=None, repr=False, compare=False)
    _ask: Ask | None = field(default=None, repr=False, compare=False)

    async def cancel(self, why: str = "", *, by: str | None = None) -> None:
        """Call the inputs off, those that run too: they end as dead letters; see `Cluster.cancel`.

        Raises: InputHandled, once all were asked, if one has become a step; InputUnknown, CallerError, AgentUnknown,
            AskTimeout.
        """
        if self._ask is None:
            raise errors.CallerError("this receipt was not given by a cluster. Nothing was called off.")
        await call_off(self._ask, self.agent, self.inputs, why, by)

    async def steps(self) -> list[StepId | None]:
        """Return by which step each input is handled now, in order.

        Of an input that a rollback has given back it is the step that holds it since. None where there is none: it
        waits, it is a dead letter, or its step is compacted.

        Raises: AgentUnknown, AskTimeout.
        """
        return [held.step for held in await self._looked()]

    async def done(self, timeout_s: float = 60.0) -> list[StepId | None]:
        """Wait until none of the inputs waits to be handled, and return the steps that hold them; see `steps`.

        A rollback may still undo those steps; then ask again.

        Raises: AskTimeout, naming an input that waits; AgentUnknown.
        """
        clock = asyncio.get_running_loop().time
        until, pause_s = clock() + timeout_s, PAUSE_S
        while True:
            found = await self._looked()
            waits = next((name for name, held in zip(self.inputs, found, strict=True) if held.where == "waits"), None)
            if waits is None:
                return [held.step for held in found]
            if clock() > until:
                raise errors.AskTimeout(f"{self.agent} has not handled {waits} within {timeout_s:g} s. It still waits.")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    async def _looked(self) -> list[HeldAnswer]:
        if self._look is None:
            raise errors.CallerError("this receipt was not given by a cluster. Nothing was asked.")
        return await self._look(self.agent, self.inputs)


class Inlet:
    """One source of inputs."""

    def __init__(self, source: str, timeout_s: float, look: Look, ask: Ask) -> None:
        self._look = look
        self._ask_host = ask
        self._source = source
        self._timeout_s = timeout_s
        self._sources: dict[AgentId, str] = {}
        """By agent, the name of the source where it is another one."""
        self._numbers: dict[AgentId, int] = {}
        self._turns: dict[AgentId, asyncio.Lock] = {}

    def turn(self, agent: AgentId) -> asyncio.Lock:
        """Return what is held while inputs are handed to an agent.

        Two calls at once would give their inputs the same numbers, and one would be taken for the other's repetition.
        """
        return self._turns.setdefault(agent, asyncio.Lock())

    async def submit(
        self, host: Host, agent: AgentId, payloads: Sequence[bytes], key: str | None = None, waits: bool = True
    ) -> Receipt:
        """Hand over inputs; when this returns they are durable.

        Args:
            host: who asks.
            agent: whose inputs they are.
            payloads: the inputs, encoded.
            key: the caller's name for them: whoever hands in the same under the same key does nothing.
            waits: for as long as it takes, if as many inputs wait there as may, or the host is about to leave.

        Raises: AgentUnknown, AskTimeout; InputsDiffer, for a key that was used for other inputs; CallerError, for what
            is no key; MailboxFull, HostDraining, if it does not wait, telling how many were taken on.
        """
        if key is not None:
            check_text("key", key, KEY_CHARS_MAX, "Nothing was submitted.")
        names: list[Lineage] = []
        fresh = 0
        async with self.turn(agent):
            for at in range(0, len(payloads), BATCH):
                batch = tuple(payloads[at : at + BATCH])
                pause_s = PAUSE_S
                while True:
                    try:
                        source, first, taken = await self._hand_in(host, agent, batch, key, at + 1)
                        break
                    except (errors.MailboxFull, errors.HostDraining) as error:
                        if not waits:
                            raise type(error)(
                                f"{error} Of {len(payloads)} inputs {len(names)} are taken on. Hand in the others"
                                " later, or wait: on_full='wait'."
                            ) from None
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, PAUSE_S_MAX)
                fresh += taken
                names.extend(f"{EXTERNAL}{source}#{number}" for number in range(first, first + len(batch)))
        return Receipt(agent, tuple(names), len(names) - fresh, self._look, self._ask_host)

    async def _hand_in(
        self, host: Host, agent: AgentId, batch: tuple[bytes, ...], key: str | None, first: int
    ) -> tuple[str, int, int]:
        """Hand over one batch; return its source, its first number, and how many of it were new."""
        if key is None:
            return *await self._hand_over(host, agent, batch), len(batch)
        source = f"key:{key}"
        return source, first, int(await self._ask(host, agent, Submit(source, first, batch)))

    async def _hand_over(self, host: Host, agent: AgentId, batch: tuple[bytes, ...]) -> tuple[str, int]:
        """Hand over one batch under numbers that nothing else ever has; return the source and the first number."""
        first = self._numbers.get(agent, 0) + 1
        source = self._sources.get(agent, self._source)
        try:
            await self._ask(host, agent, Submit(source, first, batch))
        except errors.InputsOutOfOrder:
            if first == 1:
                raise
            # It has lost the end of its log, and what it had taken on with it: it knows no source by this name.
            self._begin_anew(agent)
            return await self._hand_over(host, agent, batch)
        except (errors.MailboxFull, errors.HostDraining):
            raise  # none of it was taken: the numbers stay free
        except BaseException:
            # Whoever gives up does not know whether these numbers were taken: they are never used for anything else.
            self._begin_anew(agent)
            raise
        self._numbers[agent] = first + len(batch) - 1
        return source, first

    def _begin_anew(self, agent: AgentId) -> None:
        self._sources[agent], self._numbers[agent] = f"{self._source}.{secrets.token_hex(4)}", 0

    async def _ask(self, host: Host, agent: AgentId, inputs: Submit) -> bytes:
        return await host.ask(agent, "submit", questions.encode(inputs), timeout_s=self._timeout_s)
