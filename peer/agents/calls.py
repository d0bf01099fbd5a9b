"""Tools, called for one agent's handlers, checked and undone (EF-1 to EF-7): the call itself, and what came of it."""

import asyncio
import copy
import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import ref

import msgspec
from tenacity import AsyncRetrying

from peer import errors
from peer.agents import naming
from peer.agents.agent import Agent
from peer.agents.approval import PERSON_TOOL
from peer.agents.attempts import Attempts
from peer.agents.failures import clean, told
from peer.agents.invoking import Invoker, Late
from peer.agents.keys import outside_space
from peer.agents.licence import Licence
from peer.agents.resources import Resources
from peer.agents.tool import (
    COMPENSABLE,
    IRREVERSIBLE,
    PURE,
    Call,
    Happened,
    NotHappened,
    Tool,
    Unknown,
    decode_args,
    encode_args,
)
from peer.agents.tracked import Tracked
from peer.agents.whose import NOBODY, WHOSE, Whose
from peer.values import payload
from protocol.action import Resume, Tell, UseTool
from protocol.event import Event, ToolUsed, ToolWanted

logger = logging.getLogger("ebbtide")

WHY_CHARS_MAX = 500
"""Of what an undo has raised, as people are told."""
LOST = b""
"""What the log has for a result that could not be stored: no value has no bytes."""


class _Used(NamedTuple):
    """What came of one try: what the machine is told, and the error that it ended with."""

    event: ToolUsed
    error: Exception | None = None


class _Known(NamedTuple):
    """A tool by a name, and whether whoever declared it still has it."""

    tool: Tool[..., Any]
    original: "ref[Tool[..., Any]]"


class Calls:
    """One agent's calls, undos and checks of tools."""

    def __init__(
        self, agent: Agent, feed: Callable[[Event], None], tell: Callable[[Tell], None], attempts: Attempts,
        resources: Resources, licence: Licence,
    ) -> None:  # fmt: skip
        """Begin.

        Args:
            agent: whose; its class's tools are known from the start.
            feed: takes events for the machine, in the loop's thread.
            tell: takes what people should know.
            attempts: notes what runs, for the next life of the process.
            resources: what tools need open.
            licence: says what it may still do of what it has requested.
        """
        self._agent = agent
        self._licence = licence
        self._invoker = Invoker(agent, tell, resources)
        self._feed = feed
        self._tell = tell
        self._attempts = attempts
        self._known: dict[str, _Known] = {}
        self._pending: dict[tuple[int, int], asyncio.Future[Resume]] = {}
        self._calls = 0
        self._caller = NOBODY
        """Whose run has called last."""
        self.is_stopping = False
        """The agent stops: whoever is cancelled is cancelled by that."""
        self._unstorable: dict[str, str] = {}
        """By tool, why its last result could not be stored."""
        for tool in (PERSON_TOOL, *type(agent).tools().values()):
            self.know(tool)

    # -- for handlers ----------------------------------------------------------------------------------------------

    async def call(
        self, number: int, run: Tracked, tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        key: str | None,
    ) -> Any:  # fmt: skip
        """Call a tool for a handler, and return what it returned (EF-7: others may be under way).

        Raises: ToolFailed, EffectInDoubt, ResultLost; CallerError, if nobody could tell which tool this is.
        """
        self.know(tool)
        tool.check_call(kwargs)
        if tool.kind == PURE:
            return await self._pure(tool, args, kwargs)
        if tool.kind == IRREVERSIBLE:
            raise errors.CallerError(
                f"tool {tool.name} can't be undone, so a step can't call it. Nothing happened. Have it called when the"
                " step is settled: ctx.request(tool, ..., then=method)."
            )
        wanted = ToolWanted(number, tool.name, tool.kind, encode_args(args, kwargs), key, tool.check is not None)
        answer = await self._wanted(wanted)
        run.check_lives(f"go on after calling {tool.name}")
        return self._answered(tool.name, answer)

    async def _wanted(self, wanted: ToolWanted) -> Resume:
        self._calls += 1
        self._caller = WHOSE.get()
        place = (wanted.run, self._calls)
        future = self._pending[place] = asyncio.get_running_loop().create_future()
        try:
            self._feed(msgspec.structs.replace(wanted, call=self._calls))
            return await future
        finally:
            self._pending.pop(place, None)

    async def told_of(self, number: int, name: str) -> Any:
        """Return what a call has returned that an earlier step has requested, and whose answer a run handles (RQ-1).

        Raises: as `call`; AskTimeout, if it was not let go in time.
        """
        answer = await self._wanted(ToolWanted(number, name, "", b"", None, False, was_requested=True))
        if answer.answer == "absent":
            raise errors.AskTimeout(f"{name} was not let go in time: it was not called")
        return self._answered(name, answer)

    def _answered(self, name: str, answer: Resume) -> Any:
        if answer.answer == "done":
            if answer.result == LOST:
                why = self._unstorable.get(name, "it could not be stored")
                raise errors.ResultLost(
                    f"{name} has happened, and what it returned is lost: {why} It is undone if this input is not"
                    " handled. Let the tool return what can be stored."
                )
            return payload.decode(answer.result)
        if answer.answer == "waits":
            why = answer.result.decode(errors="replace")
            raise errors.UndoPending(f"{name}: what it did before is not undone yet, and is in the way ({why})")
        said = str(payload.decode(answer.result)) if answer.result else ""
        if answer.answer == "failed":
            raise errors.ToolFailed(said or f"{name} did not happen")
        raise errors.EffectInDoubt(
            f"{name}: nobody can tell whether it happened, so it is not repeated{f' ({said})' if said else ''}."
            " Look, then settle it by hand."
        )

    def resume(self, action: Resume) -> None:
        """Give a waiting handler its tool's answer."""
        future = self._pending.get((action.run, action.call))
        if future is not None and not future.done():
            future.set_result(action)

    def end(self, number: int, run: Tracked) -> None:
        """A run is over: whoever still awaits a call of it is told so. The call itself runs to its end."""
        for (of, _), future in list(self._pending.items()):
            if of == number and not future.done():
                future.set_exception(
                    errors.CallerError(
                        f"{run.name} is over, and a call of its handler was still awaited. The call runs to its end."
                        " Await it in the handler."
                    )
                )
                future.exception()  # told above, if anybody is there to hear it

    async def _pure(self, tool: Tool[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        async def once() -> Any:
            return await self._invoker.invoke(tool, "call", tool.function, "", *args, **kwargs)

        if tool.retry is None:
            return await once()
        return await _policy(tool.retry)(once)

    # -- which tool ------------------------------------------------------------------------------------------------

    def know(self, tool: Tool[..., Any]) -> None:
        """A tool may be called for the agent from now on. Raises: DeclarationRefused, if it is not the one known."""
        name = tool.name
        known = self._known.get(name)
        if known is not None and known.original() is not tool:
            same = known.tool.identity
            is_made_anew = (same.code, same.values) == (tool.identity.code, tool.identity.values)
            if not tool.identity.is_same(same) and not (is_made_anew and known.original() is None):
                raise errors.DeclarationRefused(
                    f"two tools are called {name}, and nobody could tell which one a call in the log means, so that it"
                    " could be undone by the other. Nothing happened. Give each a name of its own: @tool(name=...)."
                )
        self._known[name] = _Known(copy.copy(tool), ref(tool))

    def find(self, name: str) -> Tool[..., Any] | None:
        """Return a tool by its name; None if this agent's code does not have it any more."""
        known = self._known.get(name)
        found = naming.found(name) if known is None else known.tool
        return found if isinstance(found, Tool) else None

    def kind_of(self, name: str) -> str:
        """Return what undoing a tool means, or `unknown` if this agent's code does not have it any more."""
        tool = self.find(name)
        return "unknown" if tool is None else tool.kind

    def spaces_of(self, names: Iterable[str]) -> set[str]:
        """Return the spaces in which tools of these names write (SH-5)."""
        tools = [tool for name in names if (tool := self.find(name)) is not None]
        return {outside_space(scope) for tool in tools for scope in tool.writes}

    def undoing_of(self, name: str) -> str:
        """Return what undoing a tool means, for people."""
        tool = self.find(name)
        return "not known to this agent's code" if tool is None else tool.undoing

    # -- for the machine -------------------------------------------------------------------------------------------

    async def use(self, order: UseTool) -> None:
        """Call, undo or check a tool, and tell the machine what came of it."""
        WHOSE.set(Whose.of_intent(order.intent, self._caller))
        tool = self.find(order.tool)
        if tool is None:
            logger.error("%s: tool %s is not known to %s", self._agent.name, order.tool, type(self._agent).__name__)
            answer = "unknown" if order.verb != "undo" else "failed"
            why = f"tool {order.tool} is not known to this class" if order.verb == "undo" else ""
            self._feed(ToolUsed(order.intent, order.verb, answer, why.encode()))
            return
        if order.verb == "call" and (why := self._licence.why_not(tool, order.intent)):
            self._feed(ToolUsed(order.intent, order.verb, "failed", payload.encode(f"{why} It was not called.")))
            return
        args, kwargs = decode_args(order.args)
        result = payload.decode(order.result) if order.result else None
        call = Call(order.intent, args, kwargs, result)
        if order.verb == "call":
            used = await self._call_until(tool, call)
        else:
            used = await self._noted(order.verb, tool, call)
        self._feed(used)

    async def _noted(self, verb: str, tool: Tool[..., Any], call: Call) -> ToolUsed:
        """Undo or check by itself: a call that ends the process is its handler's."""
        try:
            async with self._attempts.noted(f"{verb} {call.intent}", type(self._agent).tries):
                return await self._undo(tool, call) if verb == "undo" else (await self._check(tool, call)).event
        except errors.ProcessEnded as error:
            logger.error("%s: %s of %s (%s): %s", self._agent.name, verb, tool.name, call.intent, error)
            if verb == "undo":
                return ToolUsed(call.intent, verb, "failed", str(error).encode())
            return ToolUsed(call.intent, verb, "unknown")

    def pardon(self, intent: str) -> None:
        """Somebody wants an undo or a check tried, whatever it has done to the process."""
        for verb in ("undo", "check"):
            self._attempts.pardon(f"{verb} {intent}")

    def given_up(self, order: UseTool) -> None:
        """Tell the machine of a tool that has cancelled its own task: nobody knows how far it came."""
        answer = "failed" if order.verb == "undo" else "unknown"
        self._feed(ToolUsed(order.intent, order.verb, answer, payload.encode("the tool has cancelled itself")))

    async def _call_until(self, tool: Tool[..., Any], call: Call) -> ToolUsed:
        """Call, and again as the tool's policy says, as long as it is known that nothing happened."""
        used = None
        if tool.retry is None:
            return (await self._try(tool, call)).event
        try:
            async for attempt in _policy(tool.retry):
                with attempt:
                    used = await self._try(tool, call)
                    if used.event.answer == "failed" and used.error is not None:
                        raise used.error
        except Exception as error:  # noqa: BLE001  # the last failure, or what the policy itself has raised
            if used is None or error is not used.error:
                logger.warning("%s: the retry of tool %s failed: %s", self._agent.name, tool.name, told(error))
        if used is None:
            return ToolUsed(call.intent, "call", "failed", payload.encode("its retry policy lets it not be called"))
        return used.event

    async def _try(self, tool: Tool[..., Any], call: Call) -> _Used:
        extra = {"intent": call.intent} if tool.takes_intent else {}
        try:
            async with self._invoker.told_if_it_hangs(tool, call, "call"):
                result = await self._invoker.invoke(
                    tool, "call", tool.function, call.intent, *call.args, **call.kwargs, **extra
                )
        except (NotHappened, errors.ResourceFailed) as error:
            said = told(error) if str(error) else "NotHappened"
            return _Used(ToolUsed(call.intent, "call", "failed", payload.encode(said)), error)
        except Exception as error:  # noqa: BLE001  # a tool may raise anything; whether it took effect is asked, not guessed
            return await self._failed(tool, call, error)
        return _Used(ToolUsed(call.intent, "call", "done", self._stored(tool, result)))

    async def _failed(self, tool: Tool[..., Any], call: Call, error: Exception) -> _Used:
        said = payload.encode(told(error))
        logger.warning("%s: tool %s failed: %s", self._agent.name, tool.name, told(error))
        if tool.check is None:
            answer = "unknown" if tool.kind in (COMPENSABLE, IRREVERSIBLE) else "failed"
            return _Used(ToolUsed(call.intent, "call", answer, said), error)
        checked = (await self._check(tool, call)).event
        if checked.answer == "yes":
            return _Used(ToolUsed(call.intent, "call", "done", checked.result))
        # What still runs in a thread may happen after the check has looked.
        is_sure = checked.answer == "no" and not (isinstance(error, Late) and error.goes_on)
        return _Used(ToolUsed(call.intent, "call", "failed" if is_sure else "unknown", said), error)

    def _stored(self, tool: Tool[..., Any], result: Any) -> bytes:
        """Return a result for the log; one that can't be stored is lost, and what was done is done all the same."""
        try:
            return payload.encode(result)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it
            self._unstorable[tool.name] = told(error)
            logger.warning("%s: what tool %s returned is lost: %s", self._agent.name, tool.name, told(error))
            return LOST

    async def _undo(self, tool: Tool[..., Any], call: Call) -> ToolUsed:
        if tool.undo is None:
            return ToolUsed(call.intent, "undo", "done")
        try:
            async with self._invoker.told_if_it_hangs(tool, call, "undo"):
                await self._invoker.invoke(tool, "undo", tool.undo, call.intent, call)
        except Exception as error:  # noqa: BLE001  # it is tried again, and told to a person in the end
            logger.warning("%s: undo of %s (%s) failed: %s", self._agent.name, tool.name, call.intent, told(error))
            return ToolUsed(call.intent, "undo", "failed", clean(told(error), WHY_CHARS_MAX).encode())
        if tool.check is not None and (await self._check(tool, call)).event.answer == "yes":
            return ToolUsed(call.intent, "undo", "failed", b"its check says that it still stands")
        return ToolUsed(call.intent, "undo", "done")

    async def _check(self, tool: Tool[..., Any], call: Call) -> _Used:
        if tool.check is None:
            return _Used(ToolUsed(call.intent, "check", "unknown"))
        try:
            async with self._invoker.told_if_it_hangs(tool, call, "check"):
                found = await self._invoker.invoke(tool, "check", tool.check, call.intent, call)
        except NotHappened as error:
            found = error
        except Exception as error:  # noqa: BLE001  # a check that fails has told nothing
            logger.warning("%s: check of %s (%s) failed: %s", self._agent.name, tool.name, call.intent, told(error))
            return _Used(ToolUsed(call.intent, "check", "unknown"), error)
        if isinstance(found, Happened) or found is Happened:
            result = found.result if isinstance(found, Happened) else None
            return _Used(ToolUsed(call.intent, "check", "yes", self._stored(tool, result)))
        if isinstance(found, NotHappened) or found is NotHappened:
            return _Used(ToolUsed(call.intent, "check", "no"))
        if not isinstance(found, Unknown) and found is not Unknown:
            logger.warning(
                "%s: check of %s returned %s, which says nothing: return Happened(result), NotHappened() or Unknown()",
                self._agent.name, tool.name, type(found).__name__,
            )  # fmt: skip
        return _Used(ToolUsed(call.intent, "check", "unknown"))


def _policy(retry: Any) -> AsyncRetrying:
    """Return a policy as one that awaits its pauses, whichever kind the user has given."""
    return AsyncRetrying(
        sleep=asyncio.sleep, stop=retry.stop, wait=retry.wait, retry=retry.retry, before=retry.before,
        after=retry.after, before_sleep=retry.before_sleep, reraise=True,
    )  # fmt: skip
