"""Hosts that die in the middle of their first start: what is sent to their process arms it."""

import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from peer import Agent, Context, handles
from peer.backends import ray_host
from peer.keys import HostKeys


class Dying:
    """An option of an agent that kills the process which unpickles it, once, at a place of its start."""

    def __init__(self, marker: Path, where: str) -> None:
        self.marker = marker
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return arm, (str(self.marker), self.where)


def arm(marker: str, where: str) -> None:
    """Have this process die at a place, unless one has before."""
    if Path(marker).exists():
        return

    def die() -> None:
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def dying(function: Callable[..., Any], before: bool) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if before:
                die()
            result = function(*args, **kwargs)
            die()
            return result

        return call

    if where == "before anything":
        die()
    elif where == "folder made":
        HostKeys.generate = dying(HostKeys.generate, True)  # type: ignore[method-assign]
    elif where == "key not written":
        HostKeys.save = dying(HostKeys.save, True)  # type: ignore[method-assign]
    elif where == "key written":
        HostKeys.save = dying(HostKeys.save, False)  # type: ignore[method-assign]
    elif where == "opened":
        ray_host.open_folder = dying(ray_host.open_folder, False)
    else:
        raise ValueError(where)


class Newborn(Agent):
    def __init__(self, dying: None = None) -> None:
        pass

    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
