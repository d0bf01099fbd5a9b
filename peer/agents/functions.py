"""What a function of the user's may look like: refused where it is declared; and how it is called, plain or async."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from peer import errors
from peer.threads import Threads, in_thread


def is_async(function: Any) -> bool:
    """Tell whether calling a function gives something to await, as `async def` does."""
    while isinstance(function, partial):
        function = function.func
    call = inspect.getattr_static(type(function), "__call__", None)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def check_callable(what: str, function: Any, takes: int | None = None) -> None:
    """Check that something can be called, and does its work when it is.

    Args:
        what: how the caller calls it.
        function: what was given.
        takes: how many arguments it will be given by position; None: any.

    Raises: DeclarationRefused, with the reason.
    """
    if not callable(function) or isinstance(function, type):
        raise errors.DeclarationRefused(f"{what} is {function!r}, which is no function")
    inner = inspect.unwrap(function.func if isinstance(function, partial) else function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise errors.DeclarationRefused(
            f"{what} yields, so calling it does nothing of what it says. Leave out yield; send, or return a list."
        )
    if takes is None:
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # not told, as of some builtins
    try:
        signature.bind(*([None] * takes))
    except TypeError as error:
        given = "one argument" if takes == 1 else f"{takes} arguments"
        raise errors.DeclarationRefused(f"{what} is to take {given}, and is {signature}: {error}") from None


async def called(pool: Threads, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of users': a plain one in a thread of the pool; what it returns is awaited, if it can be.

    Raises: whatever it raises.
    """
    if is_async(function):
        return await function(*args, **kwargs)
    found = await in_thread(pool, function, *args, **kwargs)
    return await found if inspect.isawaitable(found) else found
