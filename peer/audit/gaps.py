"""What a log lacks: which records are not told, and reading on behind them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from peer.audit.logs import is_agents, places_in
from peer.audit.premises import Premises
from peer.errors import LogCorrupt, LogFailed
from peer.store.reading import Logs, Stored, open_logs
from protocol.errors import WireInvalid
from protocol.ids import AgentId

T = TypeVar("T")


class Gap(NamedTuple):
    """Records that should be there and can't be read, or something that may have held some."""

    host: str
    """The name of the host's folder."""
    agent: AgentId | None
    """Whose log; None: nobody can tell."""
    first: int
    last: int | None
    """None: all from the first on, as far as anybody can tell."""
    why: str
    """What is wrong, where, and the remedy."""

    def __str__(self) -> str:
        if self.agent is None:
            return f"{self.host}: {self.why}"
        whose = f"the log of {self.agent}" if is_agents(self.agent) else f"log {self.agent}"
        if self.last is None:
            return f"{self.host}: of {whose} all from record {self.first} on is not told. {self.why}"
        which = f"record {self.first} is" if self.first == self.last else f"records {self.first} to {self.last} are"
        return f"{self.host}: of {whose} {which} not told. {self.why}"


def records_of(
    logs: Logs, agent: AgentId, decode: Callable[[bytes], T], first: int = 1
) -> Iterator[tuple[int, T] | Gap]:
    """Yield all records of a log that can be read, decoded, with their numbers, and a gap for those that can't."""
    number = max(first, logs.first(agent))
    while True:
        broken: LogCorrupt | None = None
        try:
            for stored in logs.read(agent, number):
                number = stored.number + 1
                yield _decoded(logs, agent, stored, decode)
        except LogCorrupt as error:
            broken = error
        if broken is None:
            return
        following = logs.after(agent, number)
        yield Gap(logs.folder.name, agent, number, None if following is None else following - 1, str(broken))
        if following is None:
            return
        number = following


def _decoded(logs: Logs, agent: AgentId, stored: Stored, decode: Callable[[bytes], T]) -> tuple[int, T] | Gap:
    try:
        return stored.number, decode(stored.body)
    except WireInvalid as error:
        why = f"{logs.folder}: {error} It is as it was written: use the release that wrote it."
        return Gap(logs.folder.name, agent, stored.number, stored.number, why)


def opened(folder: Path) -> tuple[list[Logs], list[Gap]]:
    """Open a host's folder, or all hosts' folders in a folder; those whose logs can't be opened are gaps.

    Raises: ConfigInvalid, as `hosts_in`; LogFailed or LogCorrupt, if no log can be opened.
    """
    hosts: list[Logs] = []
    gaps: list[Gap] = []
    places = places_in(folder)
    for place in places:
        try:
            logs = open_logs(place)
            logs.agents()
            hosts.append(logs)
        except (LogFailed, LogCorrupt) as error:
            if len(gaps) + 1 == len(places):
                raise
            gaps.append(Gap(place.name, None, 1, None, f"nothing of its agents is told. {error}"))
    return hosts, gaps


def gaps_beside(hosts: Sequence[Logs], premises: Premises | None = None) -> list[Gap]:
    """Return what may be missing that no log here tells of: logs without a name, and hosts that are not here."""
    known = {name for logs in hosts for name in logs.agents()}
    gaps: list[Gap] = []
    for logs in hosts:
        for damage in logs.nameless():
            why = (
                f"{damage.file}: {damage.what}. Whole logs may have stood there, and nobody can tell whose: what was in"
                " them is not told. Keep a copy of the file, then restore it from a backup."
            )
            gaps.append(Gap(logs.folder.name, None, damage.first, damage.end, why))
    for place, agents in premises.untold(sorted(known)) if premises is not None else ():
        whose = f"what {', '.join(agents)} did" if agents else "what its agents did"
        why = f"its log is not in {place}, so {whose} is not told. Restore that folder, or bring it here."
        gaps.append(Gap(place.name, None, 1, None, why))
    return gaps
