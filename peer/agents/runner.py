"""Runs one agent's handlers: user code goes in, a draft of a step comes out."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.attempts import Attempts
from peer.agents.calls import Calls
from peer.agents.context import Context
from peer.agents.earlier import Earlier
from peer.agents.failures import GIVEN_UP_S, is_ours, leaves, one_line, told, traced, where
from peer.agents.functions import is_async
from peer.agents.hooks import Hooks
from peer.agents.licence import Licence
from peer.agents.making import Origin
from peer.agents.outside import CatchUp, Outside, alone
from peer.agents.request import result_of
from peer.agents.resources import Resources
from peer.agents.retry import POISON
from peer.agents.spaces import Spaces
from peer.agents.suspecting import seen_by_watchers
from peer.agents.terms import NO_TERMS, Terms
from peer.agents.tool import Tool
from peer.agents.tracked import Lock, Tracked
from peer.agents.turn import Turn, turn_of
from peer.agents.whose import WHOSE, Whose
from peer.ports import KeyVault
from peer.threads import in_thread, pool_of
from peer.values.personal import using
from protocol.action import CutOff, Resume, RunStep, Tell, UseTool
from protocol.agent.versions import Versions
from protocol.event import Event, StepRan
from protocol.step import StepDraft
from protocol.wire import check_draft

logger = logging.getLogger("ebbtide")

Feed = Callable[[Event], None]

CUT_S = 1.0
"""For which a handler that was cut off may clean up, before its agent goes on without it."""


class CalledOff(Exception):  # it is no error of anybody's
    """An input was called off while its handler ran."""


@dataclass
class Run:
    """One run of a handler."""

    order: RunStep
    tracked: Tracked
    method: str = ""
    """Whose turn it is; empty until that is known."""
    task: asyncio.Task[None] | None = None
    cut: Exception | None = None
    """Why it was cut off, if it was: whatever it comes to since is that."""
    is_told: bool = False
    """The machine knows what came of it."""
    outside: Outside | None = None
    """What its tools have touched."""


class Runner:
    """One agent's user code: at most one handler at a time, and any number of tools beside it."""

    def __init__(
        self, agent: Agent, versions: Versions, feed: Feed, vault: KeyVault, tell: Callable[[Tell], None], lock: Lock,
        attempts: Attempts, hooks: Hooks, origin: Origin, resources: Resources, earlier: Earlier, licence: Licence,
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            agent: whose code.
            versions: its state.
            feed: takes events for its machine, in the loop's thread.
            vault: has the keys of personal data.
            tell: takes what people should know.
            lock: held while the machine changes the versions: plain handlers read them in threads.
            attempts: notes what runs, for the next life of the process.
            hooks: those of the agent; no handler runs before it knows that it is up.
            origin: how the agent has come to be.
            resources: what tools need open.
            earlier: tells what its inputs' earlier runs did.
            licence: says what it may do by itself.
        """
        self._agent = agent
        self._vault = vault
        self._versions = versions
        self._feed = feed
        self._lock = lock
        self._attempts = attempts
        self._hooks = hooks
        self._origin = origin
        self._earlier = earlier
        self._licence = licence
        self._calls = Calls(agent, feed, tell, attempts, resources, licence)
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._left: dict[asyncio.Task[None], None] = {}
        """Handlers that were cut off and go on: nobody waits for them."""
        self._current: Run | None = None
        """The newest run."""
        self._idle: list[Callable[[], None]] = []
        """Called when no user code runs."""
        self._tell = tell
        self.catch_up: CatchUp = alone
        """Hears what others have written outside."""
        self._returned: set[str] = set()

    def start(self, order: RunStep) -> None:
        """Run the handler for an input."""

        run = Run(order, Tracked(self._versions, self._lock, f"step {order.step} ({order.input})"))

        def given_up() -> None:
            self._ran(run, StepDraft(error="the handler has cancelled itself"))

        self._current = run
        run.task = self._spawn(self._run(run), given_up)

    def cut_off(self, order: CutOff) -> None:
        """Stop the handler that runs: its input is called off."""
        run = self._current
        if run is not None and run.order.run == order.run:
            self._cut(run, CalledOff(order.why))

    def resume(self, action: Resume) -> None:
        """Give a waiting handler its tool's answer."""
        self._calls.resume(action)

    def use(self, order: UseTool) -> None:
        """Call, undo or check a tool."""
        self._spawn(self._calls.use(order), lambda: self._calls.given_up(order))

    def pardon(self, intent: str) -> None:
        """Somebody wants an undo tried, whatever it has done to the process."""
        self._calls.pardon(intent)

    def is_writing(self, space: str) -> bool:
        """Tell whether the step at hand has written there by its tools (SH-5)."""
        run = self._current
        return run is not None and run.outside is not None and not run.is_told and space in run.outside.writes

    def spaces_of(self, tools: Iterable[str]) -> set[str]:
        """Return the spaces in which tools of these names write."""
        return self._calls.spaces_of(tools)

    def undoing_of(self, name: str) -> str:
        """Return what undoing a tool means, for people."""
        return self._calls.undoing_of(name)

    def kind_of(self, name: str) -> str:
        """Return what undoing a tool means, or `unknown` if this agent's code does not have it any more."""
        return self._calls.kind_of(name)

    def when_idle(self, then: Callable[[], None]) -> None:
        """Go on once no user code runs."""
        self._idle.append(then)
        self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        while self._idle and not self._tasks:
            self._idle.pop(0)()

    def stop(self) -> None:
        """Drop everything that runs: it never was. A thread can't be stopped; what it does goes nowhere."""
        self._calls.is_stopping = True
        # In the order in which they began: a set's would differ from run to run.
        for task in (*self._tasks, *self._left):
            task.cancel()

    def _spawn(self, work: Any, given_up: Callable[[], None]) -> asyncio.Task[None]:
        with using(self._vault):
            task = asyncio.ensure_future(work)
        self._tasks[task] = None

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.pop(task, None)
            self._left.pop(task, None)
            if task.cancelled() and not self._calls.is_stopping:
                # Either user code has cancelled its own task, or the loop is about to end: then nobody will call.
                task.get_loop().call_later(GIVEN_UP_S, given_up)
            self._look_whether_idle()

        task.add_done_callback(ended)
        return task

    async def _run(self, run: Run) -> None:
        order = run.order
        WHOSE.set(Whose(self._agent.name, str(order.step), order.input.lineage))
        try:
            agent = self._agent
            await self._hooks.up()
            async with self._attempts.noted(f"{agent.name}/{order.input.lineage}", agent.tries):
                draft = await self.handled(run)
        except BaseException as error:
            run.tracked.end()
            was_cut = run.cut is not None and isinstance(error, asyncio.CancelledError)
            if is_ours(error) and (self._calls.is_stopping or not was_cut):
                raise
            draft = self._failure(run, error)
        else:
            # It may have swallowed that it was cut off: what it has come to since is too late.
            draft = draft if run.cut is None else self._failure(run, run.cut)
        finally:
            run.tracked.end()
            self._calls.end(order.run, run.tracked)
        self._ran(run, draft)

    def _ran(self, run: Run, draft: StepDraft) -> None:
        if not run.is_told:
            run.is_told = True
            self._feed(StepRan(run.order.run, draft))

    def _cut(self, run: Run, why: Exception) -> None:
        """Cancel a run, which can do nothing more from here on; one that goes on all the same is not waited for."""
        if run.cut is not None or run.is_told or run.task is None:
            return
        run.cut = why
        run.tracked.end()
        run.task.cancel()
        # Whoever still awaits a call is cancelled above; what a thread awaits is ended here.
        self._calls.end(run.order.run, run.tracked)
        asyncio.get_running_loop().call_later(CUT_S, self._leave, run)

    def _leave(self, run: Run) -> None:
        """Go on without a run that was cut off and has not ended."""
        if run.is_told or run.task is None or run.cut is None or self._calls.is_stopping:
            return
        text = f"{self._shown(run.method)} goes on although it was cut off ({run.cut}): it swallows its cancellation"
        logger.warning("%s: %s; what it does to state and ctx goes nowhere", run.order.step, text)
        self._tell(Tell("handler-goes-on", str(run.order.input), text))
        self._tasks.pop(run.task, None)
        self._left[run.task] = None
        self._ran(run, self._failure(run, run.cut))
        self._look_whether_idle()

    async def handled(self, this: Run) -> StepDraft:
        """Run the handler. Raises: whatever user code raises."""
        agent, order, run = self._agent, this.order, this.tracked
        loop = self._licence.loop = asyncio.get_running_loop()

        async def call_tool(
            tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None
        ) -> Any:
            called = outside.around(
                tool, args, kwargs, lambda: self._calls.call(order.run, run, tool, args, kwargs, key)
            )
            if asyncio.get_running_loop() is loop:
                return await called
            # A plain handler has begun a loop of its own in its thread.
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(called, loop))

        spaces = Spaces(run, agent.spaces)
        outside = this.outside = Outside(spaces, agent.spaces, self.catch_up)

        def wants(tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._calls.know(tool)
            outside.requested(tool, args, kwargs)

        origin = self._origin
        ctx = Context(
            agent.name, order.step, order.input, run, spaces, call_tool, self._licence, owner=type(agent),
            origin=origin, wants=wants, spoken_for=agent,
        )  # fmt: skip
        ctx.look_back = partial(self._earlier.runs, order.input.lineage)
        agent.state.bind(run)
        turn = turn_of(agent, ctx)
        if turn is not None and turn.dropped:
            self._tell(Tell("answer-dropped", agent.name, turn.dropped))
        elif turn is not None:
            this.method = turn.name
            if turn.requested is not None:
                told = self._calls.told_of(order.run, turn.requested[0])
                result = await result_of(*turn.requested, told)
                await outside.answered(self._calls.find(result.tool), result.args, result.kwargs)
                turn = turn._replace(arguments=(result, ctx))
            await self._take(turn, this)
        agent.state.settle(run)
        await agent.state.place(run)
        draft = self._draft(ctx)
        check_draft(draft)
        return draft

    async def _take(self, turn: Turn, run: Run) -> None:
        agent, name = self._agent, turn.name
        run.tracked.read_only = name in agent.read_only_handlers
        method = getattr(agent, name)
        with self._timed(run, is_async(method)):
            if is_async(method):
                result = await method(*turn.arguments)
            else:
                result = await in_thread(pool_of(type(agent), "handlers"), method, *turn.arguments)
                if inspect.isawaitable(result):
                    result = await result
        self._check_result(name, result)

    @contextmanager
    def _timed(self, run: Run, can_be_stopped: bool) -> Iterator[None]:
        """Cut a run off that takes longer than its terms allow, in the loop's time."""
        timeout_s = self._terms(run).timeout_s
        if timeout_s is None:
            yield
            return
        text = f"{self._shown(run.method)} has not returned within {timeout_s:g} s"
        if not can_be_stopped:
            text += "; its thread can't be stopped, and what it still does to state and ctx goes nowhere"
        timer = asyncio.get_running_loop().call_later(timeout_s, self._cut, run, errors.HandlerTimeout(text))
        try:
            yield
        finally:
            timer.cancel()

    def _terms(self, run: Run) -> Terms:
        return type(self._agent).terms.get(run.method, NO_TERMS)

    def _shown(self, method: str) -> str:
        return f"{type(self._agent).__name__}.{method}" if method else f"a handler of {self._agent.name}"

    def what(self, places: Mapping[str, Any]) -> str:
        """Return whose code runs, from the names in a frame of `handled`."""
        turn = places.get("turn")
        return f"{type(self._agent).__name__}.{turn.name if turn else 'handler_of'} of {self._agent.name}"

    def tell_held(self, text: str) -> None:
        """Let people know that the handler holds the loop."""
        self._tell(Tell("loop-held", self._agent.name, text))

    def _check_result(self, name: str, result: Any) -> None:
        if result is None:
            return
        what = f"{self._shown(name)} returned {type(result).__name__}"
        if inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise errors.CallerError(f"{what}, whose body has not run. Nothing changed. Leave out yield.")
        if name not in self._returned:
            self._returned.add(name)
            text = f"{what}, which goes nowhere: to answer, send a message (ctx.send)"
            logger.warning("%s", text)
            self._tell(Tell("result-dropped", self._agent.name, text))

    def _failure(self, run: Run, error: BaseException) -> StepDraft:
        """Return the draft of a run that user code has ended, whatever by."""
        order, place = run.order, where(error, type(self._agent).__module__)
        if run.cut is not None and error is not run.cut:
            # What it ended with tells where it stood.
            run.cut.__cause__, error = error, run.cut
        if run.is_told or isinstance(run.cut, CalledOff):
            # What it ended with tells people only; the machine has gone on without it.
            logger.info("%s was cut off (%s), and has ended: %s", order.step, error, told(error.__cause__ or error))
            return StepDraft(error=told(error))
        ends = list(leaves(error))
        text = told(error)
        if any(isinstance(end, POISON) for end in ends):
            return StepDraft(error=text, poison=True)
        if any(isinstance(end, errors.Unready) for end in ends):
            level = logging.INFO if any(isinstance(end, errors.NotMade) for end in ends) else logging.WARNING
            logger.log(level, "%s: %s waits: %s", self._agent.name, order.input, text)
            return StepDraft(error=text, waits=True)
        logger.warning(
            "%s: a handler failed on %s: %s%s\n%s",
            order.step, order.input, one_line(text), place and f", at {place}", traced(error).rstrip(),
        )  # fmt: skip
        policy = self._terms(run).retry or self._agent.retry
        if policy is None:
            return StepDraft(error=text)
        ruling = policy.ruling(error, order.failed, self._agent.tries)
        again_us = round(ruling.wait_s * 1_000_000)
        return StepDraft(error=text, poison=not ruling.left, rule=ruling.rule, again_us=again_us)

    def _draft(self, ctx: Context) -> StepDraft:
        reads, writes = ctx.run.draft()
        outputs = (*ctx.outputs, *seen_by_watchers(ctx, len(reads), len(writes)))
        return StepDraft(
            reads=reads,
            writes=writes,
            entries=tuple(ctx.spaces.drafts),
            outputs=outputs,
            confidence=ctx.confidence,
            scores=dict(ctx.scores),
            rollbacks=tuple(ctx.rollbacks),
            observed=tuple(ctx.run.observed),
            tolerated=tuple(ctx.run.tolerated),
            model=ctx.model,
            read_only=ctx.run.read_only,
            cancels=tuple(ctx.cancels),
            backwards=ctx.backwards,
        )
