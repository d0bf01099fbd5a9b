"""Ports into somebody else's simulation: what agents sense there, and what they do there, each by name.

    world.attach("ore", model.ore_at)  # a sensor: any function
    world.attach("claim", Reversible(model.claim, undo=model.give_up))  # an actuator

    from sims.ports import act, sense  # by name, in the agent's own module

    found = await ctx.call(sense, "ore", x, y)
    await ctx.call(act, "claim", self.name, x, y)

A reading is logged before the handler sees it: a step that runs again, after a rollback or a crash, reads what it read
then (with another `key=`, such as `key=f"look {ctx.attempt}"`, it looks again). An act is an effect: when its step is
rolled back it is undone, dependent steps' acts first, so the other simulation follows by itself. Both are the ordinary
tools of `peer.agents.tool`, and the rules EF-1 to EF-6 are theirs.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from peer.agents.tool import Call, Happened, NotHappened, Unknown, tool
from peer.errors import CallerError
from sims.virtual.tools import Outside, outside


@runtime_checkable
class Sensor(Protocol):
    """What agents can see of the other simulation.

    It changes nothing there. Arguments and the reading are plain values, as in messages.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what there is to see now."""
        ...


@runtime_checkable
class Actuator(Protocol):
    """What agents can do in the other simulation, and take back. Calls of one actuator never overlap.

    What must hold, for every intent (the unique name of one act, the same whenever it is tried again):

    - `act` of an intent that stands does nothing more, and returns what it returned.
    - `undo` of an intent that does not stand does nothing; it may come more than once, and long after the act.
    - `check` tells the truth. It is asked after a crash, and after each undo: an undo after which the act still stands
      counts as failed, is tried again, and is reported in the end.

    An act that the other simulation does not allow had best say so by what it returns. If `act` raises, nothing must
    have changed; the handler sees `ToolFailed`.
    """

    def act(self, intent: str, *args: Any) -> Any:
        """Do it, once for each intent; return a plain value."""
        ...

    def undo(self, intent: str) -> None:
        """Take it back, if it stands."""
        ...

    def check(self, intent: str) -> Happened | NotHappened | Unknown:
        """Tell whether it stands, and what it returned."""
        ...


@dataclass(frozen=True)
class Act:
    """One act that stands."""

    args: tuple[Any, ...]
    result: Any


class Reversible:
    """An actuator made of two plain functions: it keeps the books of what stands.

    Args:
        do: does it; its arguments are the call's. What it returns goes to the handler.
        undo: takes it back; it gets what `do` returned, then the same arguments. It must not need anything that others
            may have changed since: acts that do not depend on each other are undone in any order.
    """

    def __init__(self, do: Callable[..., Any], undo: Callable[..., None]) -> None:
        self._do = do
        self._undo = undo
        self.standing: dict[str, Act] = {}
        """What stands, by intent, in the order in which it was done."""

    def act(self, intent: str, *args: Any) -> Any:
        """Do it, unless it stands."""
        if intent not in self.standing:
            self.standing[intent] = Act(args, self._do(*args))
        return self.standing[intent].result

    def undo(self, intent: str) -> None:
        """Take it back, if it stands."""
        found = self.standing.get(intent)
        if found is not None:
            self._undo(found.result, *found.args)
            del self.standing[intent]

    def check(self, intent: str) -> Happened | NotHappened | Unknown:
        """Tell whether it stands."""
        found = self.standing.get(intent)
        return NotHappened() if found is None else Happened(found.result)


def attach(where: Outside, name: str, port: Sensor | Actuator) -> None:
    """Let agents sense or act by a name.

    Raises: CallerError, if the name is taken, or the port is neither.
    """
    if name in where.ports:
        raise CallerError(f"there is a port {name!r} already. Nothing changed. Attach each under a name of its own.")
    if not isinstance(port, Sensor | Actuator):
        raise CallerError(
            f"port {name!r}: {port!r} is no sensor (a function) and no actuator (act, undo, check). Nothing changed."
        )
    where.ports[name] = port


@tool(kind="idempotent")
async def sense(port: str, *args: Any) -> Any:
    """Read a sensor; what it shows is logged with the step."""
    return _port(port, Sensor)(*args)


async def _undo(call: Call) -> None:
    where, name = outside(), call.args[0]
    where.take_back(call.intent)
    where.ports[name].undo(call.intent)


async def _check(call: Call) -> Happened | NotHappened | Unknown:
    port = outside().ports.get(call.args[0])
    # Ports are never taken away: what is not there now has never acted.
    return NotHappened() if port is None else port.check(call.intent)


@tool(undo=_undo, check=_check)
async def act(port: str, *args: Any, intent: str) -> Any:
    """Do something by an actuator; it is undone with the step."""
    result = _port(port, Actuator).act(intent, *args)
    outside().post(intent, port, *args)
    return result


def _port(name: str, kind: Any) -> Any:
    """Return a port; one that is missing is a mistake of who built the world, and ends it."""
    ports = outside().ports
    if isinstance(ports.get(name), kind):
        return ports[name]
    known = ", ".join(known for known, port in ports.items() if isinstance(port, kind)) or "none"
    error = CallerError(
        f"no {kind.__name__.lower()} {name!r} is attached (there are: {known}). Attach it with World.attach before the"
        " world runs."
    )
    failures: list[BaseException] = getattr(asyncio.get_running_loop(), "failures", [])
    failures.append(error)
    raise error
