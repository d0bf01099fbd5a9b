"""Asks one agent whether it agrees to a rollback, while its host goes on (RB-12): user code in tasks and threads."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from peer.agents.agent import Agent
from peer.agents.attempts import Attempts
from peer.agents.conditions import Condition
from peer.agents.envelope import handled_by_name
from peer.agents.failures import clean, is_ours, one_line, told, traced
from peer.agents.functions import is_async
from peer.agents.oversight import OVERSEER, Oversight
from peer.agents.past import check_past
from peer.agents.resources import Resources
from peer.agents.state import View
from peer.agents.tracked import Lock, Wanted
from peer.agents.whose import WHOSE, Whose
from peer.ports import Clock, KeyVault
from peer.threads import in_thread, pool_of
from peer.values.codec import Values
from peer.values.key_text import is_own
from peer.values.personal import using
from protocol.action import Consult, Tell
from protocol.agent.core import Core
from protocol.event import Consulted, Event
from protocol.ids import StepId
from protocol.proposal import Finding, Proposal

logger = logging.getLogger("ebbtide")

WHY_CHARS_MAX = 2_000
"""Of one reason: a vote carries it to everybody who has a part."""


class Standing:
    """An agent's state as it stands, or stood right before a step: looked up when it is read; nobody depends on that.

    Args:
        core: whose.
        lock: held while it is looked up: the machine changes it in another thread.
        before: an own step; None: as it stands.
    """

    def __init__(self, core: Core, lock: Lock, before: StepId | None = None) -> None:
        self._core = core
        self._lock = lock
        self._before = before
        self._until = None if before is None else before._replace(seq=before.seq - 1)

    def _check(self) -> None:
        if self._before is not None:
            # Each time: while somebody looks, the horizon may pass it.
            check_past(self._core, self._before)

    def read(self, key: str) -> bytes | None:
        """Return a key's value, or None. Raises: StepUnknown, once the step is behind the horizon."""
        with self._lock:
            self._check()
            return self._core.versions.read(key, self._until)[0]

    def read_all(self, wanted: Wanted) -> dict[str, bytes]:
        """Return every wanted key that has a value. Raises: as `read`."""
        with self._lock:
            self._check()
            found = list(self._core.versions.read_all(self._until))
        return {key: data for key, data, _ in found if data is not None and wanted(key) and not is_own(key)}


class Consent:
    """What one agent says to the rollbacks that it has a part in."""

    def __init__(
        self, agent: Agent, core: Core, values: Values, lock: Lock, clock: Clock, vault: KeyVault, attempts: Attempts,
        resources: Resources, feed: Callable[[Event], None], tell: Callable[[Tell], None], oversight: Oversight,
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            agent: whose.
            core: its machine's.
            values: how its values are kept.
            lock: held while the machine changes its state.
            clock: dates what is found.
            vault: has the keys of personal data.
            attempts: notes what runs, for the next life of the process.
            resources: what its preconditions need open.
            feed: takes what it says, in the loop's thread.
            tell: takes what people should know.
            oversight: the people who are to agree, too.
        """
        self._agent = agent
        self._core = core
        self._values = values
        self._lock = lock
        self._clock = clock
        self._vault = vault
        self._attempts = attempts
        self._resources = resources
        self._feed = feed
        self._tell = tell
        self._oversight = oversight
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def ask(self, order: Consult) -> None:
        """Ask the agent; its answer is fed later, never from inside."""
        due = [each for each in type(self._agent).conditions if self._concerns(each, order.part)]
        if not due and not self._oversight.has_rules:
            self._clock.wake(0, lambda: self._feed(Consulted(order.proposal.id, True)))
            return
        with using(self._vault):
            self._begin(self._answer(order, due))

    def stop(self) -> None:
        """Ask no more. A thread can't be stopped; what it says goes nowhere."""
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Any) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    def _concerns(self, condition: Condition, part: tuple[StepId, ...]) -> bool:
        cone, names = self._core.cone, condition.handled
        return not names or any(
            handled_by_name(cone.record(step).input.payload) in names for step in part if step in cone
        )

    async def _answer(self, order: Consult, due: list[Condition]) -> None:
        WHOSE.set(Whose(self._agent.name))
        oldest = order.part[0] if order.part else None
        now = View(self._values, lambda: Standing(self._core, self._lock))
        then = View(self._values, lambda: Standing(self._core, self._lock, oldest))
        # All at once: what they take together is bounded as each is.
        found = await asyncio.gather(*(self._found(each, order.proposal, then, now) for each in due))
        whys = [why for _, why in found if why]
        looked_back = any(each.looks_back for each in due)
        findings = tuple(finding for finding, _ in found)
        if not whys:
            # Last, since a person takes long: what the agent itself refuses nobody need look at.
            said, why = await self._overseen(order)
            findings, whys = findings + said, why
        overseen = self._oversight.has_rules
        self._feed(Consulted(order.proposal.id, not whys, "; ".join(whys), findings, looked_back, overseen))

    async def _overseen(self, order: Consult) -> tuple[tuple[Finding, ...], list[str]]:
        """Ask the people who are to agree; return what they say, and why not."""
        try:
            standing = tuple(step for step in order.part if step not in self._core.retraction)
            found = await self._oversight.found(order.proposal, standing)
        except Exception as error:  # noqa: BLE001  # a rule may raise anything: who can't tell whether to ask refuses
            why = clean(f"its rule for overseers failed: {told(error)}", WHY_CHARS_MAX)
            logger.warning("%s: %s\n%s", self._agent.name, why, traced(error))
            return (Finding(OVERSEER, False, why, self._clock.now_us()),), [why]
        if found is None:
            return (), []
        finding, why = found
        return (finding,), [why] if why else []

    async def _found(self, condition: Condition, proposal: Proposal, then: View, now: View) -> tuple[Finding, str]:
        """Return what came of one condition, and why the agent rejects by it; empty if it does not."""
        name, agent = condition.name, self._agent
        try:
            async with self._attempts.noted(f"{agent.name} {name}", agent.tries, forgives=True):
                answer, failed = await self._timed(condition, proposal, then, now)
        except BaseException as error:
            if is_ours(error):
                raise
            logger.warning("%s: %s failed: %s\n%s", agent.name, name, told(error), traced(error))
            answer, failed = None, f"failed: {told(error)}"
        holds = not failed and (answer is True or (isinstance(answer, np.bool_) and bool(answer)))
        text = clean(failed or str(answer or ""), WHY_CHARS_MAX)
        if holds:
            return Finding(name, True, "", self._clock.now_us()), ""
        if condition.is_own_word and not failed:
            why = text or "the agent does not agree"
        elif failed:
            why = f"{name} {text}"
        else:
            why = f"{name}: {text}" if text else f"{name} does not hold"
        return Finding(name, False, text, self._clock.now_us()), why

    async def _timed(self, condition: Condition, proposal: Proposal, then: View, now: View) -> tuple[Any, str]:
        """Return what a condition says, or how it has failed. Raises: whatever user code raises."""
        seconds = self._agent.consent_s
        task = self._begin(self.looked(condition, proposal, then, now))
        # It may swallow its cancellation, or hang in a thread: nobody waits for its end.
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if not done:
            task.cancel()
            task.add_done_callback(self._came_late)
            logger.warning("%s: %s has not answered within %g s", self._agent.name, condition.name, seconds)
            return None, f"has not answered within {seconds:g} s"
        if task.cancelled():
            return None, "failed: it has cancelled itself"
        return task.result(), ""

    def _came_late(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.info("%s: what was not awaited any more has failed: %s", self._agent.name, one_line(told(error)))

    async def looked(self, condition: Condition, proposal: Proposal, then: View, now: View) -> Any:
        """Call a condition's method. Raises: whatever user code raises."""
        method = getattr(self._agent, condition.name)
        given = (proposal, then, now) if condition.looks_back else (proposal,)
        lent = await self._resources.lent(condition.resources, method)
        if is_async(method):
            return await method(*given, **lent)
        answer = await in_thread(pool_of(type(self._agent), "consent"), method, *given, **lent)
        return await answer if inspect.isawaitable(answer) else answer

    def what(self, places: Any) -> str:
        """Return whose code runs, from the names in a frame of `looked`."""
        condition = places.get("condition")
        name = condition.name if isinstance(condition, Condition) else "a condition"
        return f"{type(self._agent).__name__}.{name} of {self._agent.name}"

    def tell_held(self, text: str) -> None:
        """Let people know that a condition holds the loop."""
        self._tell(Tell("loop-held", self._agent.name, text))
