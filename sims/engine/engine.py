"""What moves a world: its hosts up and down, its script, its judges; `sims.world` is the face of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from peer import errors
from peer.agents.resources import Opens
from peer.agents.spec import AgentSpec
from peer.host.checkpoints import LOG as HOST_LOG
from peer.host.driver import Driver
from peer.host.host import Host
from peer.replication.incoming import PREFIX
from protocol.agent.machine import PeerMachine
from protocol.ids import AgentId
from protocol.limits import CheckpointLimits, HostLimits, Limits
from protocol.wire import decode_record
from sims.checkers import Broken, Said, Watches
from sims.engine.box import Box
from sims.engine.operator import Operator
from sims.engine.promises import Promises
from sims.engine.trace import Trace, is_agents
from sims.engine.watching import Watching
from sims.engine.weather import Weather
from sims.virtual.chance import AnySpread, stream
from sims.virtual.loop import VirtualLoop
from sims.virtual.network import Network
from sims.virtual.tools import Outside

T = TypeVar("T")


class Engine:
    """The loop, the network, the machines and what is told about them."""

    def __init__(
        self, seed: int, delay: AnySpread | None, sync: AnySpread | None, thread: AnySpread | None,
        limits: Limits | None, checkpoints: CheckpointLimits | None, watches: Watches | None,
        host_limits: HostLimits | None = None,
    ) -> None:  # fmt: skip
        self.seed = seed
        self.trace = Trace()
        self.promises = Promises()
        self.said = Said()
        self.loop = VirtualLoop(stream(seed, "threads"), thread)
        self.outside = self.loop.outside = Outside()
        self.network = Network(seed, delay, self.trace)
        self.operator = Operator(seed, self.loop, self.network, limits, host_limits)
        self._host_limits = host_limits
        self.stand_ins: dict[Any, Opens] = {}
        """By `peer.agents.resources.key_of`, what hosts open in place of a resource."""
        self.boxes: dict[str, Box] = {}
        self.homes: dict[AgentId, str] = {}
        self.exempt: dict[AgentId, None] = {}
        """Liars' agents: what becomes of them is nobody's mistake."""
        self.weather = Weather(self)
        self._limits = limits
        self._checkpoints = checkpoints
        self._has_backups = checkpoints is not None and checkpoints.replicas > 0
        self._is_periodic = checkpoints is not None and (checkpoints.interval_us > 0 or checkpoints.policy is not None)
        self._sync = sync
        self._watches = watches
        self._script: dict[int, str] = {}
        self._scripted = 0
        self._broken: Broken | None = None
        self._noticed = 0
        self._is_started = False

    # -- hosts -----------------------------------------------------------------------------------------------------

    def add_host(self, name: str) -> None:
        """Add a machine."""
        if name in self.boxes:
            raise errors.CallerError(f"there is a host {name!r} already. Nothing changed.")
        operator = self.operator
        box = self.boxes[name] = Box(
            name, self.seed, self.loop, self.network, operator.authority, self._limits, (operator.address,), self._sync,
            self._checkpoints, founder=not self.boxes, host_limits=self._host_limits,
            stand_ins=self.stand_ins,
        )  # fmt: skip
        if self._is_started:
            self._start(box)

    def box(self, name: str) -> Box:
        """Return a machine by name.

        Raises: CallerError.
        """
        if name not in self.boxes:
            raise errors.CallerError(f"no host {name!r}; there are: {', '.join(self.boxes)}. Nothing changed.")
        return self.boxes[name]

    def begin(self) -> None:
        """Bring everything up, once."""
        if self._is_started:
            return
        self._is_started = True
        self.loop.run_until_complete(self.operator.start())
        for box in self.boxes.values():
            self._start(box)

    def add(self, box: Box, spec: AgentSpec) -> None:
        """Put an agent on a machine, which may be up."""
        box.specs[spec.name] = spec
        self.homes[spec.name] = box.name
        self.operator.know(spec.name)
        if box.is_up():
            self.later(None, f"bring up {spec.name}", lambda: self._bring_up(box, spec))

    def crash(self, name: str, restart_after: float | None, disk: str = "kept", keep: float = 0.5) -> None:
        """End a host's process, if it is up; see `World.crash`."""
        box = self.box(name)
        if box.host is None:
            return
        box.wants_up = restart_after is not None
        survived = box.crash(torn=disk == "torn")
        self.note(name, "crash", f"{disk}, {survived} survive" if disk == "torn" else disk)
        if disk == "lost":
            self._lose(box, keep)
        if restart_after is not None:
            self.loop.call_later(restart_after, self.restart, name)

    def _lose(self, box: Box, keep: float) -> None:
        """Take the end of a machine's logs, as far as no other has a copy of it."""
        copies = f"{PREFIX}{box.keys.host_id}/"
        if self._has_backups and not any(name.startswith(copies) for b in self.boxes.values() for name in b.disk.logs):
            # In no view yet, it has no backups: what its disk loses is lost, and no invariant can help that (CP-8).
            return
        for log in (*(name for name in box.specs if self.homes[name] == box.name), HOST_LOG):
            length = len(box.disk.logs.get(log, ()))
            copy = f"{PREFIX}{box.keys.host_id}/{log}"
            copied = max(len(other.disk.logs.get(copy, ())) for other in self.boxes.values())
            if log != HOST_LOG:
                # Its birth stays: an agent that knows nothing of itself is another one.
                gone = box.disk.lose_end(log, max(min(1, length), copied, int(length * keep)))
                self.trace.forgot(log, len(gone))
                self.promises.shortened(log, length - len(gone))
                box.lost[log] = None
            elif self._has_backups:
                box.disk.lose_end(log, max(copied, int(length * keep)))

    def bury(self, name: str) -> None:
        """End a host's process for good: another succeeds it."""
        self.crash(name, None)
        self.box(name).is_dead = True

    def restart(self, name: str) -> None:
        """Start a host again from its disk, if it is down."""
        box = self.box(name)
        if box.host is None and not box.is_dead:
            box.wants_up = True
            self.note(name, "restart")
            self._start(box)

    def _start(self, box: Box) -> None:
        life: list[Host] = []

        def wrote(agent: AgentId, records: Sequence[bytes]) -> None:
            if self.homes.get(agent, box.name) != box.name:
                if life[0].arrivals.is_taking(agent):
                    return  # the same records, at a place where they do not count yet
                self._moved(box, agent, records)
                self.weather.succeeds(box, agent, records)
                return
            if len(records) == len(box.disk.logs[agent]) and self.trace.has(agent):
                self.trace.moved(box.name, agent, records, self.loop.now_us)  # begun there before, and not for good
                return
            self.trace.wrote(box.name, agent, records, self.loop.now_us)
            self.weather.succeeds(box, agent, records)
            if is_agents(agent) and (agent in box.lost or self.weather.sees_writes()):
                found = [decode_record(data) for data in records]
                box.born(agent, found)
                self.weather.wrote(box, agent, found)

        watching = Watching(self, box, lambda agent: self.came(box, agent))
        box.start(
            opened=lambda opened: self._opened(opened, watching),
            asked=lambda agent, records: self.weather.asked(box, agent, records),
            wrote=wrote,
            failed=lambda: self.weather.failed_write(box),
            observer=watching,
        )
        assert box.host is not None
        life.append(box.host)

    def _moved(self, box: Box, agent: AgentId, records: Sequence[bytes]) -> None:
        """A machine that is not an agent's home has written to its log: its successor begins it, or it is outlived."""
        if len(box.disk.logs[agent]) > len(records):
            self.trace.outlived(records)
            return
        self.trace.moved(box.name, agent, records, self.loop.now_us)
        self.promises.shortened(agent, len(records))
        self.note(box.name, "succeeds", f"{self.homes[agent]}: {agent}")
        self.homes[agent] = box.name

    def _opened(self, box: Box, watching: Watching) -> None:
        assert box.host is not None
        for name, why in box.host.residents.broken.items():
            self.loop.failures.append(errors.LogCorrupt(f"{name}: {why}"))
        for name in box.host.drivers:
            if self.homes[name] != box.name:
                self.came(box, name)  # it had come, and this host ended before it was up
            watching.begin(name)
        for name, spec in box.specs.items():
            is_home = self.homes[name] == box.name
            if is_home and name not in box.host.drivers and name not in box.host.residents.broken:
                self.later(None, f"bring up {name}", lambda spec=spec: self._bring_up(box, spec))

    async def _bring_up(self, box: Box, spec: AgentSpec) -> None:
        if box.host is not None and box.is_up() and spec.name not in box.host.drivers:
            await box.host.add(spec)

    def came(self, box: Box, agent: AgentId) -> None:
        """An agent has come up on a machine that was up: if nobody has put it there a handler has made it."""
        home = self.homes.get(agent)
        if home is None:
            self.homes[agent] = box.name
            self.operator.know(agent)
        elif home != box.name:
            self.note(box.name, "moves", f"{home}: {agent}")
            self.homes[agent] = box.name
            # Where it came up before it was with the backups that it had come, nothing of that has left.
            length = len(box.disk.logs[agent])
            self.trace.unheard(agent, length)
            self.promises.shortened(agent, length)
            if agent in self.boxes[home].specs:
                box.specs[agent] = self.boxes[home].specs[agent]

    def judge(self, name: AgentId, machine: PeerMachine, begins: bool = False) -> None:
        """Judge an agent's machine, after an event or as a life of it begins; the first that is broken stays."""
        if self._watches is None or self._broken is not None:
            return
        try:
            self._watches.saw(name, machine, self.trace.logs.get(name, ()), begins)
        except AssertionError as error:
            self._broken = error if isinstance(error, Broken) else Broken("a machine's own assertion", str(error))

    # -- looking ---------------------------------------------------------------------------------------------------

    def drivers(self) -> dict[AgentId, Driver]:
        """Return the agents whose host is up."""
        found: dict[AgentId, Driver] = {}
        for box in self.boxes.values():
            if box.host is not None and box.is_up():
                found.update(box.host.drivers)
        return found

    def driver(self, agent: AgentId) -> Driver:
        """Return an agent's driver.

        Raises: CallerError, if there is none, or its host is down.
        """
        if agent not in self.homes:
            raise errors.CallerError(f"no agent {agent!r} was spawned in this world. Nothing changed.")
        self.begin()
        box = self.boxes[self.homes[agent]]
        if not box.is_up() and box.wants_up:
            self.run_to(None, box.is_up)
        if box.host is None or agent not in box.host.drivers:
            raise errors.CallerError(f"{box.name}, the host of {agent!r}, is down. Nothing changed.")
        return box.host.drivers[agent]

    def progress(self) -> int:
        """Return a number that changes when a step is taken or undone."""
        cores = [driver.machine.core for driver in self.drivers().values()]
        return sum(core.seq + core.undone for core in cores)

    def under_way(self) -> dict[str, list[str]]:
        """Say what is not finished: by agent, by host, and of faults and script."""
        found: dict[str, list[str]] = {}
        if self.weather.pending:
            found["faults"] = [f"{self.weather.pending} to come"]
        if self._script:
            found["script"] = list(self._script.values())[:5]
        for box in self.boxes.values():
            if not box.is_up() and box.wants_up:
                found[box.name] = ["down"]
            if box.is_dead and box.name in self.homes.values():
                found[box.name] = ["dead, and not succeeded"]
        drivers = self.drivers()
        for name, home in self.homes.items():
            if name not in drivers and self.boxes[home].is_up():
                found[name] = ["not brought up"]
        for name, driver in drivers.items():
            busy = driver.under_way()
            if busy:
                found[name] = busy
        for box in self.boxes.values():
            machine = box.host.checkpoints.machine if box.host is not None and box.host.drivers else None
            busy = [] if machine is None else machine.under_way()
            if machine is not None and self._is_periodic and machine.epochs.committed >= machine.epochs.colour - 1:
                # Where one checkpoint follows another, the present one is always under way.
                busy = [name for name in busy if not name.startswith("epoch")]
            if busy:
                found[box.name] = busy
            if box.host is not None and (moving := box.host.departures.under_way()):
                found[box.name] = [f"{name}: {what}" for name, (what,) in moving.items()]
        return found or _unheard(drivers) or _lagging(drivers)

    # -- the script ------------------------------------------------------------------------------------------------

    def note(self, host: str, what: str, detail: str = "") -> None:
        """Put something into the trace."""
        self.trace.happened(self.loop.now_us, host, what, detail)

    def later(self, at_s: float | None, what: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Let a coroutine run beside everything else, from a time on; what it raises ends the world."""
        self._scripted += 1
        number = self._scripted
        self._script[number] = what

        def done(task: asyncio.Task[Any]) -> None:
            del self._script[number]
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.loop.failures.append(error)

        def begin() -> None:
            self.loop.create_task(work()).add_done_callback(done)

        self.loop.call_at(self.loop.time() if at_s is None else at_s, begin)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until a coroutine is done, and return what it does; what it raises is the caller's."""
        self.begin()
        task = self.loop.create_task(work)
        self.run_to(None, task.done)
        return task.result()

    def run_to(self, limit_us: int | None, is_enough: Callable[[], bool] | None = None) -> None:
        """Run up to a time, or until it is enough.

        Raises: Broken; whatever our own code has raised; NothingToDo, TimeStands.
        """
        self.begin()
        if is_enough is None:
            self.loop.run_to(limit_us, self._is_broken)
        else:
            self.loop.run_to(limit_us, lambda: self._is_broken() or is_enough())
        if self._broken is not None:
            raise self._broken
        if self.loop.failures:
            raise self.loop.failures[0]
        notices = self.trace.notices
        while self._noticed < len(notices):
            agent, notice = notices[self._noticed]
            self._noticed += 1
            if notice.notice == "agent-stopped" and agent not in self.exempt:
                raise Broken("no machine stops by its own mistake", f"{agent}: {notice.detail}")

    def close(self) -> None:
        """End everything."""
        for box in self.boxes.values():
            box.crash()
        self.operator.cut_off()
        left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    def _is_broken(self) -> bool:
        return self._broken is not None or bool(self.loop.failures)


def _unheard(drivers: dict[AgentId, Driver]) -> dict[str, list[str]]:
    """Return who has not heard of an incarnation that an agent has begun after a loss."""
    found: dict[str, list[str]] = {}
    begun = {name: driver.machine.core.incarnation for name, driver in drivers.items()}
    for agent, incarnation in begun.items() if max(begun.values(), default=1) > 1 else ():
        for name, driver in drivers.items():
            if name != agent and driver.machine.core.lives.newest(agent) != incarnation:
                found.setdefault(name, []).append(f"incarnation {incarnation} of {agent}")
    return found


def _lagging(drivers: dict[AgentId, Driver]) -> dict[str, list[str]]:
    """Return who has not all the entries that the others of its spaces serve."""
    found: dict[str, list[str]] = {}
    serving: dict[str, list[tuple[AgentId, tuple[int, int]]]] = {}
    for author, driver in drivers.items():
        for space in driver.agent.spaces:
            serving.setdefault(space, []).append((author, driver.replicas.serves(space)))
    for name, driver in drivers.items():
        for space in driver.agent.spaces:
            has = driver.replicas.has().get(space, {})
            late = [author for author, position in serving[space] if author != name and has.get(author) != position]
            if late:
                found[name] = [f"entries of {author} in {space}" for author in late[:5]]
    return found
