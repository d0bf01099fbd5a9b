"""Runs one agent's handlers: user code goes in, a draft of a step comes out."""

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.context import Context
from peer.agents.spaces import Spaces
from peer.agents.state import Tracked
from peer.agents.tool import PURE, Call, Happened, NotHappened, Tool, decode_args, encode_args
from peer.ports import KeyVault
from peer.values import payload
from peer.values.personal import using
from protocol.action import Resume, RunStep, UseTool
from protocol.agent.versions import Versions
from protocol.event import Event, StepRan, ToolUsed, ToolWanted
from protocol.step import StepDraft

logger = logging.getLogger("ebbtide")

WHY_CHARS_MAX = 500
"""Of what an undo has raised, as people are told."""

Feed = Callable[[Event], None]


class Runner:
    """One agent's user code: at most one handler at a time, and any number of undos beside it."""

    def __init__(self, agent: Agent, versions: Versions, feed: Feed, vault: KeyVault) -> None:
        self._agent = agent
        self._vault = vault
        self._versions = versions
        self._feed = feed
        self._tools = type(agent).tools()
        self._awaiting: asyncio.Future[Resume] | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}

    def start(self, order: RunStep) -> None:
        """Run the handler for an input."""
        self._spawn(self._run(order))

    def resume(self, action: Resume) -> None:
        """Give a waiting handler its tool's answer."""
        if self._awaiting is not None and not self._awaiting.done():
            self._awaiting.set_result(action)

    def use(self, order: UseTool) -> None:
        """Call, undo or check a tool."""
        self._spawn(self._use(order))

    def kind_of(self, name: str) -> str:
        """Return what undoing a tool means, or `unknown` if this agent's code does not have it any more."""
        tool = self._tools.get(name)
        return "unknown" if tool is None else tool.kind

    def stop(self) -> None:
        """Drop everything that runs: it never was."""
        # In the order in which they began: a set's would differ from run to run.
        for task in list(self._tasks):
            task.cancel()

    def _spawn(self, work: Any) -> None:
        with using(self._vault):
            task = asyncio.ensure_future(work)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _run(self, order: RunStep) -> None:
        agent, tracked = self._agent, Tracked(self._versions)
        spaces = Spaces(tracked, agent.spaces)

        async def call_tool(
            tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None
        ) -> Any:
            return await self._call(order.run, tool, args, kwargs, key)

        ctx = Context(agent.name, order.step, order.input, tracked, spaces, call_tool)
        agent.state.bind(tracked)
        try:
            name, message = agent.handler_of(order.input.payload)
            tracked.read_only = name in agent.read_only_handlers
            result = getattr(agent, name)(message, ctx)
            if inspect.isawaitable(result):
                await result
            await agent.state.place()
            draft = self._draft(ctx)
        except asyncio.CancelledError:
            raise
        except (errors.HandlerMissing, errors.PayloadInvalid, errors.ReadOnly) as error:
            draft = StepDraft(error=f"{type(error).__name__}: {error}", poison=True)
        except errors.Unready as error:
            logger.warning("%s: %s waits: %s", agent.name, order.input, error)
            draft = StepDraft(error=f"{type(error).__name__}: {error}", waits=True)
        except Exception as error:  # noqa: BLE001  # whatever user code raises undoes its step alone
            logger.warning("%s: a handler failed on %s\n%s", agent.name, order.input, traceback.format_exc())
            draft = StepDraft(error=f"{type(error).__name__}: {error}")
        finally:
            agent.state.bind(None)
        self._feed(StepRan(order.run, draft))

    def _draft(self, ctx: Context) -> StepDraft:
        reads, writes = ctx.run.draft()
        return StepDraft(
            reads=reads,
            writes=writes,
            entries=tuple(ctx.spaces.drafts),
            outputs=tuple(ctx.outputs),
            confidence=ctx.confidence,
            scores=ctx.scores,
            rollbacks=tuple(ctx.rollbacks),
            observed=tuple(ctx.run.observed),
            tolerated=tuple(ctx.run.tolerated),
            model=ctx.model,
            read_only=ctx.run.read_only,
        )

    # -- tools -----------------------------------------------------------------------------------------------------

    async def _call(
        self, run: int, tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None
    ) -> Any:
        self._tools.setdefault(tool.name, tool)
        if tool.kind == PURE:
            return await _invoke(tool.function, *args, **kwargs)
        if self._awaiting is not None:
            raise errors.CallerError(f"{tool.name}: one call at a time; await each before the next")
        self._awaiting = asyncio.get_running_loop().create_future()
        try:
            checks = tool.check is not None
            self._feed(ToolWanted(run, tool.name, tool.kind, encode_args(args, kwargs), key, checks))
            answer = await self._awaiting
        finally:
            self._awaiting = None
        if answer.answer == "done":
            return payload.decode(answer.result)
        if answer.answer == "waits":
            why = answer.result.decode(errors="replace")
            raise errors.UndoPending(f"{tool.name}: what it did before is not undone yet, and is in the way ({why})")
        if answer.answer == "failed":
            raise errors.ToolFailed(str(payload.decode(answer.result)))
        raise errors.EffectInDoubt(
            f"{tool.name}: nobody can tell whether it happened, so it is not repeated. Look, then settle it by hand."
        )

    async def _use(self, order: UseTool) -> None:
        tool = self._tools.get(order.tool)
        if tool is None:
            logger.error("%s: tool %s is not known to %s", self._agent.name, order.tool, type(self._agent).__name__)
            answer = "unknown" if order.verb != "undo" else "failed"
            self._feed(ToolUsed(order.intent, order.verb, answer))
            return
        args, kwargs = decode_args(order.args)
        result = payload.decode(order.result) if order.result else None
        call = Call(order.intent, args, kwargs, result)
        if order.verb == "call":
            used = await self._do(tool, call)
        elif order.verb == "undo":
            used = await self._undo(tool, call)
        else:
            used = await self._check(tool, call)
        self._feed(used)

    async def _do(self, tool: Tool[..., Any], call: Call) -> ToolUsed:
        extra = {"intent": call.intent} if tool.takes_intent else {}
        try:
            result = await _invoke(tool.function, *call.args, **call.kwargs, **extra)
            return ToolUsed(call.intent, "call", "done", payload.encode(result))
        except Exception as error:  # noqa: BLE001  # a tool may raise anything; whether it took effect is asked, not guessed
            text = payload.encode(f"{type(error).__name__}: {error}")
            logger.warning("%s: tool %s failed: %s", self._agent.name, tool.name, error)
            if tool.check is None:
                return ToolUsed(call.intent, "call", "failed" if tool.kind != "compensable" else "unknown", text)
            checked = await self._check(tool, call)
            answer = {"yes": "done", "no": "failed"}.get(checked.answer, "unknown")
            return ToolUsed(call.intent, "call", answer, checked.result if answer == "done" else text)

    async def _undo(self, tool: Tool[..., Any], call: Call) -> ToolUsed:
        if tool.undo is None:
            return ToolUsed(call.intent, "undo", "done")
        try:
            await _invoke(tool.undo, call)
        except Exception as error:  # noqa: BLE001  # it is tried again, and told to a person in the end
            logger.warning("%s: undo of %s (%s) failed: %s", self._agent.name, tool.name, call.intent, error)
            return ToolUsed(call.intent, "undo", "failed", f"{type(error).__name__}: {error}"[:WHY_CHARS_MAX].encode())
        if tool.check is not None and (await self._check(tool, call)).answer == "yes":
            return ToolUsed(call.intent, "undo", "failed", b"its check says that it still stands")
        return ToolUsed(call.intent, "undo", "done")

    async def _check(self, tool: Tool[..., Any], call: Call) -> ToolUsed:
        if tool.check is None:
            return ToolUsed(call.intent, "check", "unknown")
        try:
            found = await _invoke(tool.check, call)
        except Exception as error:  # noqa: BLE001  # a check that fails has told nothing
            logger.warning("%s: check of %s (%s) failed: %s", self._agent.name, tool.name, call.intent, error)
            return ToolUsed(call.intent, "check", "unknown")
        if isinstance(found, Happened):
            return ToolUsed(call.intent, "check", "yes", payload.encode(found.result))
        return ToolUsed(call.intent, "check", "no" if isinstance(found, NotHappened) else "unknown")


async def _invoke(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
