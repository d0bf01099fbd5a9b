"""Looks on at one life of a simulated machine's host: every event goes into the trace, and is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from peer.host.driver import Driver
from protocol.action import Action, Tell
from protocol.agent.machine import PeerMachine
from protocol.event import Event, Settled
from protocol.ids import AgentId
from sims.engine.promises import Promises
from sims.engine.trace import Trace
from sims.virtual.loop import VirtualLoop


class Judge(Protocol):
    """The engine, as far as looking on needs it."""

    trace: Trace
    promises: Promises
    loop: VirtualLoop

    def judge(self, name: AgentId, machine: PeerMachine, begins: bool = False) -> None:
        """Judge an agent's machine, after an event or as a life of it begins."""
        ...


class Watched(Protocol):
    """The simulated machine whose host is looked at."""

    def is_up(self) -> bool:
        """Tell whether its host runs and has read its logs."""
        ...

    def driver(self, agent: AgentId) -> Driver:
        """Return the driver of an agent that is up there."""
        ...


class Watching:
    """Implements `peer.ports.Observer` for one life of a host; agents are looked at from when their host is up."""

    def __init__(self, judge: Judge, box: Watched, came: Callable[[AgentId], None]) -> None:
        self._judge = judge
        self._came = came
        self._box = box
        self._machines: dict[AgentId, PeerMachine] = {}

    def begin(self, agent: AgentId) -> None:
        """Look at an agent from now on."""
        machine = self._machines[agent] = self._box.driver(agent).machine
        self._judge.judge(agent, machine, begins=True)

    def came(self, agent: AgentId) -> None:
        """An agent has come up."""
        self._came(agent)
        if self._box.is_up():
            self.begin(agent)

    def handled(self, agent: AgentId, event: Event, actions: Sequence[Action]) -> None:
        """An agent's machine has handled an event."""
        machine = self._machines.get(agent)
        # One that has moved away and come back is looked at once it is up again.
        if machine is not None and self._box.driver(agent).machine is machine:
            self._judge.trace.event(agent, event, actions, self._judge.loop.now_us)
            self._judge.judge(agent, machine)

    def placed(self, log: AgentId, length: int) -> None:
        """Others have so many records of a log."""
        self._judge.promises.placed(log, length)

    def settled(self, event: Settled) -> None:
        """An epoch is committed: the judge sees what agents make of it."""

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """A line for whoever audits."""
        self._judge.promises.noticed(agent, notice)
