"""What happened in a world, as it happened: a hash to compare runs, and logs that other people's tools read.

The hash covers every frame that arrived and every record that became durable, with their times: two runs with the same
hash have done the same.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from protocol.action import Action, RunStep, Tell
from protocol.event import Event, Received
from protocol.ids import AgentId, HostId, StepId
from protocol.message import ROLLBACK
from protocol.records import DecisionRecord, ForcedRecord, Record, RestoredRecord
from protocol.step import StepRecord
from protocol.wire import decode_record

SHIVIZ_PATTERN = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"
"""What ShiViz has to be told of the log's form."""


def is_agents(log: str) -> bool:
    """Tell whether a log is an agent's: not the host's own, and no copy."""
    return ":" not in log


@dataclass
class Happening:
    """Something that people want to see on a line of time."""

    at_us: int
    host: str
    what: str
    detail: str = ""


@dataclass
class Tally:
    """What one agent has done; virtual microseconds."""

    events: int = 0
    messages: int = 0
    rollback_messages: int = 0
    begun_us: dict[int, int] = field(default_factory=dict)
    running: int | None = None


class Trace:
    """One world's trace."""

    def __init__(self) -> None:
        self.began_us: dict[StepId, int] = {}
        self.lost: list[StepRecord] = []
        self.lost_records = 0
        self.notices: list[tuple[AgentId, Tell]] = []
        self.heard: dict[str, dict[AgentId, None]] = {}
        """By proposal, who was sent a message of it."""
        self.frames: dict[str, int] = {}
        """How many frames were sent, lost, cut off, doubled, ..., arrived."""
        self.happenings: list[Happening] = []
        self.tallies: dict[AgentId, Tally] = {}
        self.events = 0
        self._digest = blake2b(digest_size=16)
        self._logs: dict[AgentId, list[Record]] = {}
        self._durable_us: dict[StepId, int] = {}
        self._decided_us: list[tuple[int, AgentId, DecisionRecord]] = []
        self._unread: list[tuple[int, AgentId, Sequence[bytes]]] = []
        """What is durable and nobody has looked at: decoded it takes ten times as much room."""

    # -- what is durable -------------------------------------------------------------------------------------------

    @property
    def logs(self) -> dict[AgentId, list[Record]]:
        """Every record that is durable, decoded; those that a lost disk forgot are in `lost`."""
        self._read()
        return self._logs

    @property
    def durable_us(self) -> dict[StepId, int]:
        """When each step became durable, in virtual microseconds."""
        self._read()
        return self._durable_us

    @property
    def decided_us(self) -> list[tuple[int, AgentId, DecisionRecord]]:
        """When each elector's decision became durable, in order of time."""
        self._read()
        return self._decided_us

    def _read(self) -> None:
        for at_us, agent, records in self._unread:
            log = self._logs.setdefault(agent, [])
            for data in records:
                record = decode_record(data)
                log.append(record)
                if isinstance(record, StepRecord):
                    self._durable_us[record.step] = at_us
                elif isinstance(record, DecisionRecord):
                    self._decided_us.append((at_us, agent, record))
        self._unread.clear()

    # -- what the ports see ----------------------------------------------------------------------------------------

    def frame(self, what: str, sender: HostId, receiver: HostId | None, body: bytes, at_us: int) -> None:
        """Note what became of a frame."""
        self.frames[what] = self.frames.get(what, 0) + 1
        if what == "arrived":
            self._digest.update(f"{at_us} {sender} {receiver} ".encode())
            self._digest.update(body)

    def wrote(self, host: str, agent: AgentId, records: Sequence[bytes], at_us: int) -> None:
        """Note what has become durable."""
        self._digest.update(f"{at_us} {host} {agent} ".encode())
        for data in records:
            self._digest.update(data)
        if is_agents(agent):
            self._unread.append((at_us, agent, records))

    def forgot(self, agent: AgentId, count: int) -> None:
        """The last `count` records of an agent went with its disk."""
        log = self.logs.get(agent, [])
        gone = log[len(log) - count :]
        del log[len(log) - count :]
        self.lost_records += len(gone)
        self.lost.extend(record for record in gone if isinstance(record, StepRecord))

    def has(self, agent: AgentId) -> bool:
        """Tell whether anything of an agent has ever been durable."""
        return bool(self.logs.get(agent))

    def moved(self, host: str, agent: AgentId, records: Sequence[bytes], at_us: int) -> None:
        """A successor goes on from its copy of an agent's log; what is not in it is lost."""
        self._digest.update(f"{at_us} {host} takes over {agent} ".encode())
        log = self.logs.get(agent, [])
        assert [decode_record(data) for data in records] == log[: len(records)], f"not a copy of the log of {agent}"
        self.lost.extend(record for record in log[len(records) :] if isinstance(record, StepRecord))
        del log[len(records) :]

    def unheard(self, agent: AgentId, length: int) -> None:
        """An agent goes on from so many records: whatever followed them has never left the host that had them."""
        if length < len(self.logs.get(agent, ())):
            self._digest.update(f"{agent} from {length} on ".encode())
            del self.logs[agent][length:]

    def outlived(self, records: Sequence[bytes]) -> None:
        """A host that has been succeeded has written: nobody will ever read it."""
        self.lost.extend(found for found in map(decode_record, records) if isinstance(found, StepRecord))

    def event(self, agent: AgentId, event: Event, actions: Iterable[Action], at_us: int) -> None:
        """Note what a machine was told, and what it said."""
        self.events += 1
        tally = self.tallies.get(agent)
        if tally is None:
            tally = self.tallies[agent] = Tally()
        tally.events += 1
        if isinstance(event, Received):
            tally.messages += 1
            message = event.message
            if isinstance(message, ROLLBACK):
                tally.rollback_messages += 1
                name = message.proposal if isinstance(message.proposal, str) else message.proposal.id
                self.heard.setdefault(name, {})[agent] = None
        for action in actions:
            if isinstance(action, RunStep):
                self.began_us[action.step] = at_us
            elif isinstance(action, Tell):
                self.notices.append((agent, action))

    def happened(self, at_us: int, host: str, what: str, detail: str = "") -> None:
        """Note a crash, a partition, or the like."""
        self.happenings.append(Happening(at_us, host, what, detail))
        self._digest.update(f"{at_us} {host} {what} {detail}".encode())

    def hash(self) -> str:
        """Return a hash of everything so far."""
        return self._digest.hexdigest()

    def steps(self) -> list[StepRecord]:
        """Return every durable step that no disk has lost, by agent and in the agent's order."""
        return [r for agent in sorted(self.logs) for r in self.logs[agent] if isinstance(r, StepRecord)]

    def retracted_by(self) -> dict[StepId, str]:
        """Return the steps that a durable record undoes, each with the first that does: a proposal, loss or restore."""
        found: dict[StepId, str] = {}
        for log in self.logs.values():
            for record in log:
                match record:
                    case DecisionRecord():
                        name = record.proposal.id
                    case ForcedRecord():
                        name = f"loss/{record.began.agent}/{record.began.incarnation}"
                    case RestoredRecord():
                        name = f"restore/{record.restore.number}"
                    case _:
                        continue
                for step in record.retracted:
                    found.setdefault(step, name)
        return found

    # -- for other people's tools ----------------------------------------------------------------------------------

    def write_shiviz(self, path: Path, retracted_by: Mapping[StepId, str]) -> None:
        """Write steps and decisions with vector clocks, for ShiViz (`SHIVIZ_PATTERN`)."""
        clocks: dict[StepId, dict[str, int]] = {}
        last: dict[AgentId, dict[str, int]] = {}
        lines: list[str] = []
        events: list[tuple[int, int, AgentId, StepRecord | DecisionRecord]] = [
            (self.durable_us[record.step], 0, record.step.agent, record) for record in (*self.steps(), *self.lost)
        ]
        events.extend((at_us, 1, agent, record) for at_us, agent, record in self.decided_us)
        for _, _, agent, record in sorted(events, key=lambda entry: entry[:3]):
            clock = dict(last.get(agent, {}))
            if isinstance(record, StepRecord):
                causes = [record.input.producer, *(read.writer for read in record.reads)]
            else:
                causes = [credit.producer for credit in record.credits]
            for cause in causes:
                for name, count in clocks.get(cause, {}).items() if cause is not None else ():
                    clock[name] = max(count, clock.get(name, 0))
            clock[agent] = clock.get(agent, 0) + 1
            last[agent] = clock
            if isinstance(record, StepRecord):
                clocks[record.step] = clock
                undone = retracted_by.get(record.step)
                text = f"{record.step} handled {record.input}" + (f" (undone by {undone})" if undone else "")
            else:
                text = f"{record.decision} {record.proposal.id}: {len(record.retracted)} steps undone here"
            lines.append(f"{agent} {json.dumps(clock)}\n{text}\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
