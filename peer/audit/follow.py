"""The logs of hosts as they grow: what happened since the last look, whichever host goes on with an agent."""

from pathlib import Path

from peer.audit.events import Happening, Telling
from peer.audit.gaps import Gap, gaps_beside, records_of
from peer.audit.logs import fork, is_agents, is_hosts, newest_life
from peer.errors import ConfigInvalid
from peer.store.reading import Logs, open_logs
from protocol.ids import AgentId
from protocol.wire import decode_record


class _Agent:
    """How far an agent's log has been followed, and in which folder."""

    def __init__(self, name: AgentId, logs: Logs) -> None:
        self.logs = logs
        self.telling = Telling(name)
        self.next = 1
        self.looked: dict[Path, int] = {}
        """How long its logs in other folders were when they were looked at."""


class Follower:
    """Follows a host's folder, or all hosts' folders in a folder; hosts may come, die and be succeeded meanwhile."""

    def __init__(self, folder: Path, from_start: bool) -> None:
        """Begin.

        Args:
            folder: need not hold any log yet.
            from_start: tell what is there already, too.

        Raises: ConfigInvalid, if there is no such folder.
        """
        if not folder.is_dir():
            raise ConfigInvalid(f"there is no folder {str(folder)!r}. Name a host's folder, or that of all hosts.")
        self._folder = folder
        self._hosts: dict[Path, Logs] = {}
        self._agents: dict[AgentId, _Agent] = {}
        self._broken: set[AgentId] = set()
        self.notes: list[str] = []
        """What whoever follows should know; to be taken from here and shown."""
        self.gaps: list[Gap] = []
        """What was not told, though it was written: records that can't be read."""
        if not from_start:
            # Read all the same: later records name what earlier ones tell.
            self.look()
            self.notes = [str(gap) for gap in self.gaps]

    def look(self) -> list[Happening]:
        """Return what has happened since the last look, in the order of time."""
        self._find_hosts()
        found: list[Happening] = []
        for logs in self._hosts.values():
            logs.refresh()
            for gap in gaps_beside([logs]):
                self._miss(gap)
            for name in logs.agents():
                if is_agents(name) and name not in self._broken:
                    self._meet(name, logs)
        for name, agent in self._agents.items():
            if name not in self._broken:
                found += self._read(name, agent)
        return sorted(found, key=lambda happening: happening.time_us)

    def _find_hosts(self) -> None:
        for place in (self._folder, *sorted(path for path in self._folder.iterdir() if path.is_dir())):
            if place not in self._hosts and is_hosts(place):
                self._hosts[place] = open_logs(place)

    def _meet(self, name: AgentId, logs: Logs) -> None:
        """Take up an agent's log, or go on with it here if this host has succeeded the one that was followed."""
        agent = self._agents.setdefault(name, _Agent(name, logs))
        length = logs.length(name)
        if agent.logs is logs or agent.looked.get(logs.folder) == length:
            return
        agent.looked[logs.folder] = length
        at = fork(agent.logs, logs, name)
        if at is None and length >= agent.next:
            agent.logs = logs
        elif at is not None and newest_life(logs, name, at) > newest_life(agent.logs, name, at):
            self.notes.append(f"{logs.folder.name} goes on with {name} from record {at}")
            agent.logs, agent.next = logs, at

    def _read(self, name: AgentId, agent: _Agent) -> list[Happening]:
        found: list[Happening] = []
        for record in records_of(agent.logs, name, decode_record, agent.next):
            if not isinstance(record, Gap):
                found += agent.telling.take(*record)
                agent.next = record[0] + 1
            elif record.last is not None:
                self._miss(record)
                agent.next = record.last + 1
            else:
                self._miss(record)
                self._broken.add(name)
                self.notes.append(f"{name} is not followed any further")
        return found

    def _miss(self, gap: Gap) -> None:
        if gap not in self.gaps:
            self.gaps.append(gap)
            self.notes.append(str(gap))
