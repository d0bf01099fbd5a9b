"""When nothing is under way any more: told from what every host says of its agents, again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from peer import errors
from peer.agents.failures import clean
from peer.host import questions
from peer.host.host import Host
from peer.host.together import REST, AtRest, InSpaces
from protocol.ids import AgentId, HostId

QUIET_LOOKS = 2
"""How often in a row nothing may have moved before a cluster counts as quiet."""
NAMED = 6
"""Agents whose work is told, of all that are busy."""
CHARS_MAX = 300
"""Of what is told of one agent."""
LOOK_S_MIN = 1.0
"""How long a look waits for answers at least, though the time is nearly over."""
HOST_S = 5.0
"""For how long one host is asked in one look: its agents may live elsewhere by the next."""
SILENT = ("no answer from its host, which may be down",)
UNSETTLED = ("who lives on its host is not heard yet",)


@dataclass
class Looked:
    """What one look at all hosts has found."""

    rests: dict[HostId, AtRest] = field(default_factory=dict[HostId, AtRest])
    busy: dict[AgentId, tuple[str, ...]] = field(default_factory=dict[AgentId, tuple[str, ...]])
    """Who can't be called idle, though no host says so."""

    def moves(self) -> dict[HostId, tuple[int, int]]:
        """Return what is the same at two looks if nothing has moved between them."""
        return {host: (rest.life, rest.moved) for host, rest in self.rests.items()}

    def all_busy(self, is_known: Callable[[AgentId], bool]) -> tuple[dict[AgentId, tuple[str, ...]], int]:
        """Return who is busy, with what, and how many these are: not all are named.

        What waits for a name that nobody knows is not under way; if whoever asks knows it, it is about to be.
        """
        named = dict(pair for rest in self.rests.values() for pair in rest.named) | self.busy
        count = sum(rest.busy for rest in self.rests.values()) + len(self.busy)
        if not named:
            named = lagging({agent: each for rest in self.rests.values() for agent, each in rest.spaces.items()})
            unplaced = [pair for rest in self.rests.values() for pair in rest.unplaced]
            named = named or {
                agent: (f"messages for {name}",) for agent, names in unplaced for name in names if is_known(name)
            }
        return named, max(count, len(named))


async def look_at(host: Host, agents: Iterable[AgentId], is_meant: Callable[[AgentId], bool], left_s: float) -> Looked:
    """Ask each host that has agents whether these are at rest.

    Args:
        host: asks.
        agents: who must be somewhere.
        is_meant: tells whether an agent that can't start is one of those that are looked at.
        left_s: how much time is left.

    Raises: AgentUnknown, for one of `agents` that nobody has heard of; AgentBroken, LogCorrupt.
    """
    homes = host.homes
    asked = list(dict.fromkeys((*homes.values(), *((host.host_id,) if host.drivers else ()))))
    strays = [agent for agent in agents if agent not in homes and agent not in host.drivers]
    wait_s = min(HOST_S, left_s)
    looked = Looked()

    async def ask(each: HostId) -> None:
        try:
            answer = await host.asking.ask_host(each, REST, b"", timeout_s=wait_s)
        except errors.AskTimeout:
            looked.busy.update(dict.fromkeys((agent for agent, home in homes.items() if home == each), SILENT))
            return
        rest = looked.rests[each] = questions.decode(answer, AtRest)
        for said in rest.broken:
            if is_meant(said.agent):
                raise questions.failure(said.error, said.body)

    met = asyncio.create_task(host.asking.each(strays, "status", timeout_s=left_s))
    try:
        await asyncio.gather(met, *map(ask, asked))
    finally:
        met.cancel()
    for agent, answer in met.result().items():
        if isinstance(answer, errors.EbbtideError) and not isinstance(answer, errors.AskTimeout):
            raise answer
        looked.busy[agent] = SILENT if isinstance(answer, errors.AskTimeout) else UNSETTLED
    versions = {fact.host: fact.version for fact in host.known_hosts()}
    for each, rest in looked.rests.items():
        if each in versions and versions[each] < rest.version:
            first = next((agent for agent, home in host.homes.items() if home == each), str(each))
            looked.busy.setdefault(first, UNSETTLED)
    return looked


async def until_quiet(
    look: Callable[[float], Awaitable[Looked]], is_known: Callable[[AgentId], bool], timeout_s: float, pause_s: float
) -> None:
    """Return once, in looks one after the other, every agent is idle and none has moved meanwhile.

    Args:
        look: looks at all agents: handlers may make more meanwhile; it is told how much time is left.
        is_known: tells whether there is an agent of a name, as far as whoever asks knows.
        timeout_s: how long to wait.
        pause_s: from one look to the next.

    Raises: AskTimeout, telling who waits for what, and who does not answer; and what else `look` raises.
    """
    loop = asyncio.get_running_loop()
    until, last, quiet = loop.time() + timeout_s, None, 0
    while True:
        looked = await look(max(LOOK_S_MIN, until - loop.time()))
        busy, count = looked.all_busy(is_known)
        moves = looked.moves()
        quiet = quiet + 1 if not busy and moves == last else 0
        last = moves
        if quiet >= QUIET_LOOKS:
            return
        if loop.time() > until:
            raise errors.AskTimeout(told(busy, count, timeout_s))
        await asyncio.sleep(pause_s)


def told(busy: Mapping[AgentId, tuple[str, ...]], count: int, timeout_s: float) -> str:
    """Return in one line who is busy, and with what; those whose hosts do not answer come first."""
    if not busy:
        return (
            f"not quiet within {timeout_s:g} s: nothing is under way at this moment, and steps are still being made."
            " Wait longer, or stop handing in."
        )
    ranked = sorted(busy, key=lambda agent: not busy[agent][0].startswith("no answer"))
    names = [f"{agent} ({clean(', '.join(busy[agent]), CHARS_MAX)})" for agent in ranked[:NAMED]]
    more = f"; and {count - NAMED} more agents" if count > NAMED else ""
    return f"not quiet within {timeout_s:g} s. Under way: {'; '.join(names)}{more}. It goes on; wait again."


def lagging(agents: Mapping[AgentId, InSpaces]) -> dict[AgentId, tuple[str, ...]]:
    """Return who has not all the entries that the others of its spaces serve."""
    authors: dict[str, list[tuple[AgentId, tuple[int, int]]]] = {}
    for agent, each in agents.items():
        for space, position in each.serves.items():
            authors.setdefault(space, []).append((agent, position))
    late: dict[AgentId, tuple[str, ...]] = {}
    for agent, each in agents.items():
        for space in each.serves:
            had = each.has.get(space, {})
            for author, position in authors[space]:
                if author != agent and had.get(author) != position:
                    late[agent] = (f"entries of {author} in space {space}",)
    return late
