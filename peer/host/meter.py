"""Counts what happens at one host, and says how it stands: numbers for operators, and whether it is well."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from peer.host.checkpoints import Checkpoints
from peer.host.health import Health
from peer.host.measures import Measured
from peer.host.neighbours import Neighbours
from peer.host.questions import Costs
from peer.host.residents import Residents
from peer.host.waiting import waiting_at
from peer.ports import Clock, LogStore, Observer, Transport, Unobserved
from protocol.action import Action, Append, Tell
from protocol.event import Event, Recovered, Settled
from protocol.fact import State
from protocol.ids import AgentId, HostId
from protocol.message import ROLLBACK
from protocol.records import EffectRecord, OutcomeRecord
from protocol.step import StepRecord

logger = logging.getLogger("ebbtide")

_ROLLBACK = tuple(kind.__name__ for kind in ROLLBACK)
_COUNTED = {"frames_sent", "frames_received", "bytes_sent", "bytes_received", "cut"}
"""Of what a transport counts, what is no loss."""
_WORDS = {State.ALIVE: "up", State.SUSPECT: "suspect", State.FAILED: "failed"}


class Metered(Protocol):
    """The host that is looked at."""

    host_id: HostId
    clock: Clock
    store: LogStore
    stall: str
    transport: Transport
    residents: Residents
    neighbours: Neighbours
    homes: Mapping[AgentId, HostId]

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints."""
        ...

    def costs(self) -> Costs:
        """Return what it has sent."""
        ...

    def living(self) -> list[HostId]:
        """Return the other hosts that have agents, and answer."""
        ...


class Meter:
    """What one host counts in its present life; implements `Observer`.

    Args:
        host: is looked at when somebody asks.
        inner: looks on, too.
    """

    def __init__(self, host: Metered, inner: Observer | None) -> None:
        self._host = host
        self._inner: Observer = inner or Unobserved()
        self._began_us = host.clock.now_us()
        self._steps = self._undone = self._letters = self._rollback_us = 0
        self._seen: dict[AgentId, tuple[int, int]] = {}
        """By agent, how many steps it had undone and inputs given up, when that was looked at last."""
        self._effects, self._rollbacks, self._notices = Counter[str](), Counter[str](), Counter[str]()
        self._settled = self._settled_us = 0

    # -- looking on ------------------------------------------------------------------------------------------------

    def came(self, agent: AgentId) -> None:
        """An agent has come up."""
        self._inner.came(agent)

    def handled(self, agent: AgentId, event: Event, actions: Sequence[Action]) -> None:
        """An agent's machine has handled an event."""
        self._inner.handled(agent, event, actions)
        driver = self._host.residents.drivers.get(agent)
        if driver is not None:
            core = driver.machine.core
            now = (core.undone, core.dead_letters.added)
            before = self._seen.get(agent)
            if now != before:
                self._seen[agent] = now
                if before is not None and not isinstance(event, Recovered):  # what its log tells is no news
                    self._undone += now[0] - before[0]
                    self._letters += now[1] - before[1]
        for action in actions:
            if isinstance(action, Append):
                for record in action.records:
                    if isinstance(record, StepRecord):
                        self._steps += 1
                    elif isinstance(record, EffectRecord):
                        self._effects[record.state] += 1
                    elif isinstance(record, OutcomeRecord):
                        self._rollbacks[record.decision] += 1
                        self._rollback_us += record.decided_us - record.began_us

    def placed(self, log: AgentId, length: int) -> None:
        """The backups have so many records of a log."""
        self._inner.placed(log, length)

    def settled(self, event: Settled) -> None:
        """An epoch is committed."""
        self._inner.settled(event)
        if event.epoch > self._settled:
            self._settled, self._settled_us = event.epoch, self._host.clock.now_us()

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """A line for whoever audits: it goes to the log of the process, too."""
        about = {"host": self._host.host_id, "whose": agent, "notice": notice.notice, "subject": notice.subject}
        logger.info("%s: %s %s %s", agent, notice.notice, notice.subject, notice.detail, extra=about)
        self._inner.noticed(agent, notice)
        self._notices[notice.notice] += 1

    # -- being asked -----------------------------------------------------------------------------------------------

    def measured(self) -> Measured:
        """Return all numbers, as they stand."""
        host, residents = self._host, self._host.residents
        costs, counts = host.costs(), asdict(host.transport.counts)
        seen = [waiting_at(driver) for driver in residents.drivers.values()]
        coming = [agent for agent in residents.coming if residents.is_awaited(agent)]
        looks = [
            ("agents", {"up": len(residents.drivers), "coming": len(coming), "broken": len(residents.broken)}),
            ("messages_total", dict(costs.messages)),
            ("frames_lost_total", {name: count for name, count in counts.items() if name not in _COUNTED}),
            ("effects_total", dict(self._effects)),
            ("rollbacks_total", {"commit": 0, "abort": 0, **self._rollbacks}),
            ("hosts", self._hosts()),
            ("notices_total", dict(self._notices)),
        ]
        single = {
            "steps_total": self._steps,
            "steps_undone_total": self._undone,
            "inputs_waiting": sum(each.inputs for each in seen),
            "rollback_messages_total": sum(costs.messages.get(name, 0) for name in _ROLLBACK),
            "frames_sent_total": counts["frames_sent"],
            "frames_received_total": counts["frames_received"],
            "sent_bytes_total": counts["bytes_sent"],
            "received_bytes_total": counts["bytes_received"],
            "connections_cut_total": counts["cut"],
            "effects_in_doubt": sum(each.doubts for each in seen),
            "effects_undoing": sum(each.undoing for each in seen),
            "requests_held": sum(each.held for each in seen),
            "rollback_seconds_total": self._rollback_us / 1e6,
            "rollbacks_undecided": sum(each.undecided for each in seen),
            "dead_letters": sum(each.letters for each in seen),
            "dead_letters_total": self._letters,
            "checkpoint_epoch": max(host.checkpoints.machine.epochs.committed, 0),
            "checkpoint_timestamp_seconds": self._settled_us / 1e6,
            "log_stalled": int(bool(host.stall)),
            "draining": int(bool(residents.draining)),
            "log_bytes": self._log_bytes(),
            "start_timestamp_seconds": self._began_us / 1e6,
        }
        return {name: dict(found) for name, found in looks} | {name: {"": value} for name, value in single.items()}

    def health(self) -> Health:
        """Return how the host stands."""
        host, residents = self._host, self._host.residents
        with_agents = dict.fromkeys(host.homes.values())
        failed = tuple(each for each in host.neighbours.machine.membership.failed() if each in with_agents)
        return Health(
            host=host.host_id,
            now_us=host.clock.now_us(),
            agents=len(residents.drivers),
            coming=tuple(agent for agent in residents.coming if residents.is_awaited(agent)),
            broken=dict(residents.broken),
            stall=host.stall,
            draining=residents.draining,
            failed=failed,
            knows=tuple(with_agents),
            process=os.getpid(),
            stays=self._why_it_stays(),
        )

    def _why_it_stays(self) -> str:
        if not self._host.checkpoints.copies.backups():
            return "nobody keeps copies of its logs"
        if not self._host.checkpoints.machine.succession.could_decide(self._host.living()):
            return "the others that answer are no majority of its last two checkpoints' hosts: three are the least"
        return ""

    def _hosts(self) -> dict[str, int]:
        found = {"up": 1, "suspect": 0, "failed": 0}
        with_agents = dict.fromkeys(self._host.homes.values())
        for each in with_agents:
            standing = self._host.neighbours.machine.standing(each)
            if each != self._host.host_id and standing is not None and standing in _WORDS:
                found[_WORDS[standing]] += 1
        return found

    def folder(self) -> Path | None:
        """Return where the host's log is; None, if it is in memory."""
        store = self._host.store.mendable()
        return None if store is None else store.folder

    def _log_bytes(self) -> int:
        folder = self.folder()
        if folder is None:
            return 0
        try:
            with os.scandir(folder) as entries:
                return sum(entry.stat().st_size for entry in entries if entry.is_file())
        except OSError:
            return 0  # it is being compacted, or gone: whoever writes there tells of it
