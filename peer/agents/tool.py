"""Tools: what agents do to the world outside, with their undo declared beside them.

A tool is a plain function, sync or async; a sync one runs in a thread. What undoing it means is part of its
declaration, so the runtime can undo a call long after the agent that made it has forgotten why.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from tenacity import BaseRetrying

from peer import errors
from peer.agents.functions import check_callable
from peer.agents.identity import identity_of
from peer.agents.keys import Keys, checked_keys
from peer.agents.naming import declared, name_of
from peer.agents.resources import Opens, check_places, check_resources, taken_by
from peer.values import payload
from peer.values.fields import NAME_CHARS_MAX, number, text

P = ParamSpec("P")
R = TypeVar("R")

PURE, IDEMPOTENT, COMPENSABLE, IRREVERSIBLE = "pure", "idempotent", "compensable", "irreversible"


@dataclass(frozen=True)
class Call:
    """One call of a tool, as its `undo` and `check` are told of it."""

    intent: str
    """Unique name of the call: the same for every try, so a good key for the outside world to recognise it by."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any = None
    """What the call returned, if that is known."""


@dataclass(frozen=True)
class Happened:
    """A check's answer: the call took effect, and returned this."""

    result: Any = None


@dataclass(frozen=True)
class Canary:
    """What a tool's undo may be tried on: a call that does no harm, and where its effect is seen.

    Args:
        args: of the call, such as an account that is there for tests.
        kwargs: of the call.
        look: returns what the call changes, to be compared before and after: any plain value; plain or async. None: the
            tool's check alone tells.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    look: Callable[[], Any] | None = None


class NotHappened(Exception):  # the word of tools and checks, whether returned or raised
    """The call did not take effect, or was undone: a check's answer, or what a tool raises where it knows."""


class Unknown:
    """A check's answer: nobody can tell."""


Undo = Callable[..., Awaitable[None] | None]
"""Takes a `Call`, and resources by their names."""
Check = Callable[..., Any]


class Tool(Generic[P, R]):
    """A declared tool; call it from a handler by `await ctx.call(tool, ...)`, never directly."""

    def __init__(
        self, function: Callable[P, Any], kind: str, undo: Undo | None, check: Check | None, name: str | None = None,
        *, timeout_s: float | None = None, retry: BaseRetrying | None = None, concurrency: int | None = None,
        resources: Mapping[str, Opens] | None = None, canary: Canary | None = None, undo_cost: str = "",
        reads: Mapping[str, Callable[..., Any] | None] | None = None,
        writes: Mapping[str, Callable[..., Any] | None] | None = None,
    ) -> None:  # fmt: skip
        self.reads, self.writes = dict(reads or {}), dict(writes or {})
        """By scope, what tells the keys of it that a call touches; None: the scope as a whole."""
        self.canary = canary
        self.undo_cost = undo_cost
        self.function = function
        self.kind = kind
        self.undo = undo
        self.check = check
        self.timeout_s = timeout_s
        self.retry = retry
        self.concurrency = concurrency
        self.resources: dict[str, Opens] = dict(resources or {})
        """By parameter, what is opened for the tool, its undo and its check."""
        self.takes_intent = "intent" in inspect.signature(function).parameters
        self.identity = identity_of((function, undo, check))
        self.has_own_name = name is not None
        self.base = name if name is not None else _path_of(function)
        """Its name, where no other tool has it."""
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self.__doc__ = function.__doc__
        declared(self)

    @property
    def name(self) -> str:
        """What logs call it: a call that they hold finds its undo by this name.

        Tools that one factory or loop makes are told apart by a mark of the values that they were made with.
        """
        return name_of(self)

    @property
    def undoing(self) -> str:
        """What undoing a call means, for people: by what, and at what cost; or that nobody can."""
        if self.kind != COMPENSABLE:
            return "can't be undone" if self.kind == IRREVERSIBLE else "nothing to undo"
        by = getattr(inspect.unwrap(self.undo), "__name__", type(self.undo).__name__) if self.undo else ""
        return f"undone by {by}{f', at a cost of {self.undo_cost}' if self.undo_cost else ''}"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Refuse: a direct call could not be undone."""
        shown = getattr(self.function, "__name__", self.name)
        raise errors.CallerError(
            f"tool {self.name} was called directly, so nobody could undo it. Nothing happened."
            f" Use 'await ctx.call({shown}, ...)' in a handler."
        )

    def check_call(self, kwargs: Mapping[str, Any]) -> None:
        """Check that a call gives nothing that the runtime gives.

        Raises: CallerError, naming the resource.
        """
        for name in self.resources:
            if name in kwargs:
                raise errors.CallerError(
                    f"tool {self.name} is given {name} by the runtime, as its declaration says. Nothing happened. Leave"
                    f" {name}= out of the call."
                )

    def __repr__(self) -> str:
        return f"<{self.kind} tool {self.name}>"

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until fewer calls than `concurrency` are under way in this process."""
        if self.concurrency is None:
            yield
            return
        loop = asyncio.get_running_loop()
        turns = self._turns.get(loop)
        if turns is None:
            turns = self._turns[loop] = asyncio.Semaphore(self.concurrency)
        async with turns:
            yield


def tool(
    *,
    undo: Undo | None = None,
    check: Check | None = None,
    kind: str | None = None,
    name: str | None = None,
    timeout: float | None = None,
    retry: BaseRetrying | None = None,
    concurrency: int | None = None,
    resources: Mapping[str, Opens] | None = None,
    canary: Canary | None = None,
    undo_cost: str = "",
    reads: Keys = (),
    writes: Keys = (),
) -> Callable[[Callable[P, Any]], Tool[P, Any]]:
    """Declare a tool.

    Args:
        undo: takes a `Call` and reverses it. It may be called again for the same intent, after a crash: key what it
            does by `call.intent`. Makes the tool `compensable`.
        check: takes a `Call` and answers `Happened(result)`, `NotHappened()` or `Unknown()`. With it, a crash between
            a call and its result leaves no doubt.
        kind: `pure` (no effect at all), `idempotent` (safe to repeat, nothing to undo) or `irreversible` (nobody can
            undo it: only `ctx.request` calls it), where there is no undo.
        name: what logs call the tool; its module and name if left out. Give the old one after a move or a renaming, so
            that calls in logs still find their undo.
        timeout: seconds for which a call, an undo or a check may take. A call that takes longer has failed, as one that
            raises. A plain function's thread can't be stopped: it goes on, so a check that says no is not believed.
        retry: when a call that has failed is tried again, as tenacity's `Retrying(stop=..., wait=..., retry=...)` says.
            Tried again is only what is known not to have happened, or does no harm twice.
        concurrency: calls of this tool at once in one process; others wait.
        resources: by parameter of the function, of its undo or its check, what opens the value that it is given: a
            function of no arguments that returns a context manager, async or plain. It is opened once in a host, when
            it is first needed, shared by all tools that name it, and closed when the host ends.
        canary: a call that does no harm, on which `ebbtide drill` tries whether the undo does what it says.
        reads: which keys of the world outside a call reads: by scope, such as a table, a function of the tool's
            arguments that returns a key, or a list of keys; or only the scope's name. Who reads what another agent's
            step has written hangs on that step.
        writes: which keys a call writes; a write hangs on what was written before, too.
        undo_cost: what an undo costs, for people: it is shown before they agree to a call, and in previews.

    A function with a parameter `intent` is given the call's unique name. It raises `NotHappened(why)` where it knows
    that nothing has happened: then there is nothing to undo, and no doubt.

    Raises: DeclarationRefused, if neither an undo nor a kind says what undoing means, or something can't be meant so.
    """

    def declare(function: Callable[P, Any]) -> Tool[P, Any]:
        shown = getattr(function, "__qualname__", repr(function))
        chosen = COMPENSABLE if undo is not None else kind
        if chosen not in (PURE, IDEMPOTENT, COMPENSABLE, IRREVERSIBLE) or (
            undo is not None and kind not in (None, COMPENSABLE)
        ):
            raise errors.DeclarationRefused(
                f"tool {shown}: say what undoing it means: undo=..., or kind='idempotent', 'pure' or 'irreversible'"
            )
        if chosen == COMPENSABLE and undo is None:
            raise errors.DeclarationRefused(f"tool {shown}: kind='compensable' needs an undo=..., a function of a Call")
        check_callable(f"tool {shown}", function)
        check_resources(shown, resources, (function, undo, check))
        for what, given in (("undo", undo), ("check", check)):
            if given is not None:
                filled = partial(given, **dict.fromkeys(taken_by(given, resources or {})))
                check_callable(f"{what} of tool {shown}", filled, 1)
                check_places(shown, resources or {}, given)
        check_places(shown, resources or {}, function)
        _check_options(shown, name, timeout, retry, concurrency)
        if canary is not None and not isinstance(canary, Canary):
            raise errors.DeclarationRefused(f"tool {shown}: canary={canary!r}: a Canary(args, look=...).")
        text(f"undo_cost of tool {shown}", undo_cost)
        read, written = checked_keys(f"tool {shown}: reads", reads), checked_keys(f"tool {shown}: writes", writes)
        return Tool(
            function, chosen, undo, check, name, timeout_s=timeout, retry=retry, concurrency=concurrency,
            resources=resources, canary=canary, undo_cost=undo_cost, reads=read, writes=written,
        )  # fmt: skip

    return declare


def _check_options(
    shown: str, name: str | None, timeout: float | None, retry: BaseRetrying | None, concurrency: int | None
) -> None:
    if name is not None:
        text(f"name of tool {shown}", name, NAME_CHARS_MAX, is_empty_ok=False)
    if timeout is not None and not number(f"timeout of tool {shown}", timeout) > 0:
        raise errors.DeclarationRefused(f"tool {shown}: timeout={timeout!r}: seconds, more than 0")
    if retry is not None and not isinstance(retry, BaseRetrying):
        raise errors.DeclarationRefused(
            f"tool {shown}: retry={retry!r}: a policy as tenacity has them, such as"
            " tenacity.Retrying(stop=tenacity.stop_after_attempt(3))"
        )
    if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise errors.DeclarationRefused(f"tool {shown}: concurrency={concurrency!r}: an int from 1 on")


def _path_of(function: Any) -> str:
    try:
        return f"{function.__module__}:{function.__qualname__}"
    except AttributeError:
        raise errors.DeclarationRefused(
            f"{function!r} has no name of its own, by which logs could call the tool. Give it one: @tool(name=...)."
        ) from None


def encode_args(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Encode a call's arguments: equal arguments give equal bytes."""
    return payload.encode([list(args), dict(sorted(kwargs.items()))])


def decode_args(data: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Decode a call's arguments."""
    args, kwargs = payload.decode(data)  # type: ignore[misc]
    return tuple(args), kwargs
