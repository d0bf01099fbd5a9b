"""Brings the agents of a dead host up on this one, from the copies of their logs (CP-8)."""

from functools import partial
from typing import TYPE_CHECKING

from peer.errors import LogCorrupt
from peer.kept import Kept
from protocol.action import CutReady, Tell
from protocol.event import CutWanted
from protocol.ids import AgentId, HostId
from protocol.wire import decode_host_record

if TYPE_CHECKING:
    from peer.host import Host


class Heir:
    """The successions that this host carries out."""

    def __init__(self, host: "Host", kept: Kept, log: str) -> None:
        self._host = host
        self._kept = kept
        self._log = log
        self._waits: dict[HostId, dict[AgentId, CutReady | None]] = {}
        """By dead host, its agents, and their cuts here once they have made them."""

    def take_over(self, dead: HostId) -> None:
        """Bring its agents up: each from its copy, or from its own log here if that was begun in an earlier life.

        Those that an heir of it had brought up already come from the copies of that one's logs.
        """
        later = dict.fromkeys(name for heir in self._heirs(dead) for name in self._kept.of(heir))
        agents = [name for name in self._kept.of(dead) if name != self._log and name not in later]
        for agent in self._host.agents_of(dead):
            if agent not in agents and agent not in later:
                self._host.noticed(agent, Tell("not-succeeded", agent, f"there is no copy of its log of {dead} here"))
        self._waits[dead] = dict.fromkeys(agents)
        for name in agents:
            try:
                self._begin(dead, name)
            except LogCorrupt as error:
                self._breaks(dead, name, str(error))
        self._finish(dead)

    def _heirs(self, dead: HostId) -> list[HostId]:
        """Return the hosts that have succeeded a dead one before this one did, and are dead, too."""
        found: list[HostId] = []
        heirs = self._host.checkpoints.machine.succession.heirs
        while (dead := heirs[dead]) != self._host.host_id:
            found.append(dead)
        return found

    def _source(self, dead: HostId, name: AgentId) -> HostId:
        """Return whose log an agent is brought up from: its own host's, or that of one which its host had succeeded.

        The latter if its host died before its buddies had all that it had taken over.
        """
        for before, by in self._host.checkpoints.machine.succession.heirs.items():
            if by == dead and name in self._kept.of(before):
                source = self._source(before, name)
                if self._kept.is_part(dead, name, source):
                    return source
        return dead

    def _begin(self, dead: HostId, name: AgentId) -> None:
        # Its end may have been lost here since it was begun, as that of any agent's log.
        why = self._host.checkpoints.hurt.get(name)
        if why:
            self._breaks(dead, name, why)
        elif self._host.store.length(name):
            self._bring_up(dead, name, lost=why is not None or self._host.store.is_lost(name))
        else:
            first, prev, records = self._kept.read(self._source(dead, name), name)
            up = partial(self._bring_up, dead, name, lost=True)
            self._host.store.begin_at(name, first, prev, records, up, lost=True)

    def _breaks(self, dead: HostId, agent: AgentId, why: str) -> None:
        """One agent can't come up: the others do."""
        self._waits[dead].pop(agent, None)
        self._host.noticed(agent, Tell("not-succeeded", agent, why))
        self._host.breaks(agent, why)

    def _bring_up(self, dead: HostId, agent: AgentId, lost: bool) -> None:
        spec = self._kept.spec(dead, agent, lost)
        if spec is None:
            self._waits[dead].pop(agent, None)
            self._finish(dead)
            return
        self._host.adopt(spec)
        self._host.drivers[agent].feed(CutWanted(self._host.checkpoints.machine.epochs.colour))

    def ready(self, agent: AgentId, action: CutReady) -> None:
        """An agent has made this host's cut."""
        for dead, waits in list(self._waits.items()):
            if agent in waits:
                waits[agent] = action
                self._finish(dead)

    def gone(self, agent: AgentId) -> None:
        """An agent lives elsewhere after all: nobody waits for its cut here."""
        for dead, waits in list(self._waits.items()):
            if waits.pop(agent, self) is not self:
                self._finish(dead)

    def _finish(self, dead: HostId) -> None:
        waits = self._waits.get(dead)
        if waits is None:
            return  # cuts made in an earlier life are there at once: the last of them has ended it
        ready = [action for action in waits.values() if action is not None]
        if len(ready) < len(waits):
            return
        del self._waits[dead]
        begun = tuple(began for action in ready for began in action.begun)
        # What an heir has said for it stands in that one's log.
        logs = [host for host in (dead, *self._heirs(dead)) if self._log in self._kept.of(host)]
        said = [data for host in logs for data in self._kept.read(host, self._log)[2]]
        self._host.checkpoints.taken_over(dead, tuple(decode_host_record(data) for data in said), begun)
