"""What tools need open while they work, such as a pool of connections: opened once in a host, closed at its end.

A resource is what opens it: a function of no arguments that returns a context manager, async or plain. Whoever names
the same function shares what it has opened.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Any

from peer import errors
from peer.agents.failures import is_ours, told, traced
from peer.threads import Threads, in_thread

logger = logging.getLogger("ebbtide")

CLOSE_S = 3.0
"""For which a host that ends waits for its resources to be closed; it ends without those that take longer. Less than
what a backend waits for a host."""

PLAIN = inspect.Parameter.POSITIONAL_OR_KEYWORD
"""The kind of a parameter that can be given by place, and by its name."""

Opens = Callable[[], Any]

_POOL = Threads("resources")
"""Plain context managers are entered and left here: they may block."""


def key_of(opens: Opens) -> Any:
    """Return what a resource is known by: a function of a module is the same however it has come to this process."""
    inner: Any = inspect.unwrap(opens)
    if isinstance(inner, FunctionType) and not inner.__closure__ and "<" not in inner.__qualname__:
        return inner.__module__, inner.__qualname__, inner.__code__
    return opens


def name_of(opens: Opens) -> str:
    """Return what people know a resource by."""
    named: Any = opens.func if isinstance(opens, partial) else opens
    return str(getattr(named, "__qualname__", repr(opens)))


@dataclass
class _Held:
    """One resource, from the first call that needs it on."""

    name: str
    opened: "asyncio.Future[Any]"
    closing: asyncio.Event
    keeper: "asyncio.Task[None] | None" = None


class Resources:
    """The resources of one host.

    Args:
        stand_ins: by `key_of`, what is opened in place of a resource.
        rehearsal: what answers in the place of tools, in a branch; None: they are called.
    """

    def __init__(self, stand_ins: Mapping[Any, Opens] | None = None, rehearsal: Any = None) -> None:
        self.rehearsal = rehearsal
        self._stand_ins: Mapping[Any, Opens] = {} if stand_ins is None else stand_ins
        self._held: dict[Any, _Held] = {}
        self._is_over = False

    def lend(self, opens: Opens, value: Any) -> None:
        """Lend a value of the host's own in place of what `opens` would open."""
        self._stand_ins = {**self._stand_ins, key_of(opens): lambda: nullcontext(value)}

    async def lent(self, resources: Mapping[str, Opens], function: Callable[..., Any]) -> dict[str, Any]:
        """Return what a function is given, by parameter; raises as `get`."""
        return {name: await self.get(resources[name]) for name in taken_by(function, resources)}

    async def get(self, opens: Opens) -> Any:
        """Return what a resource has opened; the first who needs it has it opened, and others wait for that.

        Raises: ResourceFailed, if it could not be opened; the next call tries again.
        """
        key = key_of(opens)
        held = self._held.get(key)
        if held is None:
            if self._is_over:
                raise errors.ResourceFailed(f"resource {name_of(opens)} is not opened: its host ends.")
            held = self._held[key] = _Held(
                name_of(opens), asyncio.get_running_loop().create_future(), asyncio.Event()
            )  # fmt: skip
            # It is opened and closed by one task, as task groups inside want it; whoever waits may be cancelled.
            held.keeper = asyncio.create_task(self._keep(key, held, self._stand_ins.get(key, opens)))
        try:
            return await asyncio.shield(held.opened)
        except errors.ResourceFailed as error:
            raise errors.ResourceFailed(str(error)) from error.__cause__

    async def _keep(self, key: Any, held: _Held, opens: Opens) -> None:
        try:
            async with _entered(held.name, opens) as value:
                held.opened.set_result(value)
                await held.closing.wait()
        except BaseException as error:
            if held.opened.done():
                logger.warning("resource %s was not closed well: %s", held.name, told(error))
            else:
                if self._held.get(key) is held:
                    del self._held[key]
                failed = errors.ResourceFailed(f"resource {held.name} could not be opened: {told(error)}.")
                failed.__cause__ = error
                held.opened.set_exception(failed)
                held.opened.exception()  # whoever waits is told; they may all have been cancelled
                logger.warning("%s\n%s", failed, traced(error))
            if is_ours(error):
                raise

    def end(self, *, is_orderly: bool) -> None:
        """The host ends: nothing more is opened, and all is closed, or dropped as it is."""
        self._is_over = True
        for held in self._held.values():
            held.closing.set()
            if not is_orderly and held.keeper is not None:
                held.keeper.cancel()

    async def close(self) -> None:
        """Return once all is closed, or has taken too long."""
        keepers = {held.keeper: held.name for held in self._held.values() if held.keeper is not None}
        self._held.clear()
        if not keepers:
            return
        await asyncio.wait(keepers, timeout=CLOSE_S)
        for keeper, name in keepers.items():
            if not keeper.done():
                logger.warning("resource %s has not closed within %g s; its host ends without it", name, CLOSE_S)
                keeper.cancel()
        # One turn, in which those that can be are cancelled.
        await asyncio.wait(keepers, timeout=0)


@asynccontextmanager
async def _entered(name: str, opens: Opens) -> AsyncIterator[Any]:
    """Open a resource, and close it at the end: a plain one in threads."""
    inner: Any = inspect.unwrap(opens)
    # What makes a context manager only, or one of asyncio's, is called here; whatever else may block.
    is_here = inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner) or hasattr(inner, "__aenter__")
    made = opens() if is_here else await in_thread(_POOL, opens)
    kind = type(made)
    if hasattr(kind, "__aenter__"):
        async with made as value:
            yield value
    elif hasattr(kind, "__enter__"):
        value = await in_thread(_POOL, made.__enter__)
        try:
            yield value
        except BaseException:
            # Nobody waits for it: its host has stopped dead.
            asyncio.get_running_loop().run_in_executor(_POOL, made.__exit__, None, None, None)
            raise
        await in_thread(_POOL, made.__exit__, None, None, None)
    else:
        raise errors.CallerError(
            f"{name}() gave {kind.__qualname__}, which is no context manager. Let it yield what it opens, under"
            " @asynccontextmanager or @contextmanager of contextlib"
        )


def taken_by(function: Callable[..., Any], resources: Iterable[str]) -> list[str]:
    """Return which resources a function has parameters for."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return []  # not told, as of some builtins
    return [name for name in resources if name in parameters]


def check_resources(shown: str, resources: Any, functions: Iterable[Callable[..., Any] | None]) -> None:
    """Check what a tool declares as its resources.

    Args:
        shown: the tool's name.
        resources: what was given.
        functions: the tool's own, its undo and its check.

    Raises: DeclarationRefused, naming the resource and the remedy.
    """
    if resources is None:
        return
    if not isinstance(resources, Mapping):
        raise errors.DeclarationRefused(
            f"tool {shown}: resources={resources!r}: a dict of parameters and what opens them, as {{'db': open_db}}"
        )
    given = [function for function in functions if function is not None]
    named: Mapping[Any, Any] = resources
    for name, opens in named.items():
        if name == "intent" or not any(taken_by(function, (name,)) for function in given):
            raise errors.DeclarationRefused(
                f"tool {shown}: resources: neither it nor its undo or check has a parameter {name!r} for a resource."
                " Add one, or leave the resource out."
            )
        check_opens(f"tool {shown}: resource {name}", opens)


def check_places(shown: str, resources: Mapping[str, Any], function: Callable[..., Any]) -> None:
    """Check that what callers give by place, while they leave resources out, comes to the right parameters.

    Raises: DeclarationRefused, naming the resource and the remedy.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return  # not told, as of some builtins
    by_place = (inspect.Parameter.POSITIONAL_ONLY, PLAIN, inspect.Parameter.VAR_POSITIONAL)
    places = [each for each in parameters if each.kind in by_place and each.name != "intent"]
    first = next((at for at, each in enumerate(places) if each.name in resources), len(places))
    if not all(each.name in resources and each.kind is PLAIN for each in places[first:]):
        name = places[first].name
        raise errors.DeclarationRefused(
            f"tool {shown}: resource {name} is a parameter by place, which callers leave out, and others come after it,"
            f" or it has no name. Write it as the last, after a star: (..., *, {name})."
        )


def check_opens(what: str, opens: Any) -> None:
    """Check that something can be what opens a resource.

    Raises: DeclarationRefused, naming it and the remedy.
    """
    remedy = "Write a function of no arguments that yields what it opens, under @asynccontextmanager of contextlib."
    if not callable(opens):
        raise errors.DeclarationRefused(f"{what} is {opens!r}, which is no function. {remedy}")
    if inspect.iscoroutinefunction(opens) or inspect.isgeneratorfunction(opens) or inspect.isasyncgenfunction(opens):
        raise errors.DeclarationRefused(f"{what} gives no context manager when it is called. {remedy}")
    try:
        signature = inspect.signature(opens)
    except (TypeError, ValueError):
        return  # not told, as of some builtins
    try:
        signature.bind()
    except TypeError as error:
        raise errors.DeclarationRefused(
            f"{what} is {signature}: it is called without arguments ({error}). Give it those by functools.partial."
        ) from None
