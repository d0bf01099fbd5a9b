"""When nothing is under way any more: told from what every agent says of itself, again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from peer import errors
from peer.agents.failures import clean
from peer.host.questions import Status
from protocol.ids import AgentId

QUIET_LOOKS = 2
"""How often in a row nothing may have moved before a cluster counts as quiet."""
NAMED = 6
"""Agents whose work is told, of all that are busy."""
CHARS_MAX = 300
"""Of what is told of one agent."""
LOOK_S_MIN = 1.0
"""How long a look waits for answers at least, though the time is nearly over."""


async def until_quiet(
    agents: Callable[[], Sequence[AgentId]], ask: Callable[[AgentId, float], Awaitable[Status]],
    is_known: Callable[[AgentId], bool], timeout_s: float, pause_s: float,
) -> None:  # fmt: skip
    """Return once, in looks one after the other, every agent is idle and none has moved meanwhile.

    What waits for a name that nobody knows is not under way; if whoever asks knows it, it is about to be.

    Args:
        agents: says who is looked at: handlers may make more meanwhile.
        ask: asks one of them, for so many seconds at most.
        is_known: tells whether there is an agent of a name, as far as whoever asks knows.
        timeout_s: how long to wait.
        pause_s: from one look to the next.

    Raises: AskTimeout, telling who waits for what, and who does not answer; and what else `ask` raises.
    """
    loop = asyncio.get_running_loop()
    until, last, quiet = loop.time() + timeout_s, None, 0
    while True:
        left_s = max(LOOK_S_MIN, until - loop.time())
        names = agents()
        found = await asyncio.gather(*(ask(agent, left_s) for agent in names), return_exceptions=True)
        looks = [look for look in found if isinstance(look, Status)]
        busy = {look.agent: look.under_way for look in looks if look.under_way} or lagging(looks)
        busy = busy or {
            look.agent: (f"messages for {name}",) for look in looks for name in look.unplaced if is_known(name)
        }
        for agent, look in zip(names, found, strict=True):
            if isinstance(look, errors.AskTimeout):
                busy[agent] = ("no answer from its host, which may be down",)
            elif isinstance(look, BaseException) and agent in agents():
                raise look
        moves = [(look.host, look.steps, look.undone) for look in looks]
        quiet = quiet + 1 if not busy and moves == last else 0
        last = moves
        if quiet >= QUIET_LOOKS:
            return
        if loop.time() > until:
            raise errors.AskTimeout(told(busy, timeout_s))
        await asyncio.sleep(pause_s)


def told(busy: Mapping[AgentId, tuple[str, ...]], timeout_s: float) -> str:
    """Return in one line who is busy, and with what; those whose hosts do not answer come first."""
    if not busy:
        return (
            f"not quiet within {timeout_s:g} s: nothing is under way at this moment, and steps are still being made."
            " Wait longer, or stop handing in."
        )
    ranked = sorted(busy, key=lambda agent: not busy[agent][0].startswith("no answer"))
    names = [f"{agent} ({clean(', '.join(busy[agent]), CHARS_MAX)})" for agent in ranked[:NAMED]]
    more = f"; and {len(busy) - NAMED} more agents" if len(busy) > NAMED else ""
    return f"not quiet within {timeout_s:g} s. Under way: {'; '.join(names)}{more}. It goes on; wait again."


def lagging(looks: Sequence[Status]) -> dict[AgentId, tuple[str, ...]]:
    """Return who has not all the entries that the others of its spaces serve."""
    late: dict[AgentId, tuple[str, ...]] = {}
    for look in looks:
        for author in looks:
            for space, position in author.serves.items():
                shares = space in look.serves and author is not look
                if shares and look.has.get(space, {}).get(author.agent) != position:
                    late[look.agent] = (f"entries of {author.agent} in space {space}",)
    return late
