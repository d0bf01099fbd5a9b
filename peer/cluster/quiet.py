"""When nothing is under way any more: told from what every agent says of itself, again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from peer import errors
from peer.host.questions import Status
from protocol.ids import AgentId

QUIET_LOOKS = 2
"""How often in a row nothing may have moved before a cluster counts as quiet."""


async def until_quiet(
    ask: Callable[[], list[Awaitable[Status]]], is_known: Callable[[AgentId], bool], timeout_s: float, pause_s: float
) -> None:
    """Return once, in looks one after the other, every agent is idle and none has moved meanwhile.

    What waits for a name that nobody knows is not under way; if whoever asks knows it, it is about to be.

    Raises: AskTimeout, naming who is busy, and with what; and what `ask` raises.
    """
    loop = asyncio.get_running_loop()
    until, last, quiet = loop.time() + timeout_s, None, 0
    while True:
        looks = await asyncio.gather(*ask())
        busy = {look.agent: look.under_way for look in looks if look.under_way} or lagging(looks)
        busy = busy or {
            look.agent: (f"messages for {name}",) for look in looks for name in look.unplaced if is_known(name)
        }
        moves = [(look.host, look.steps, look.undone) for look in looks]
        quiet = quiet + 1 if not busy and moves == last else 0
        last = moves
        if quiet >= QUIET_LOOKS:
            return
        if loop.time() > until:
            agent, what = next(iter(busy.items()), ("nobody", ()))
            raise errors.AskTimeout(f"not quiet within {timeout_s:g} s: {agent} has {', '.join(what)} under way")
        await asyncio.sleep(pause_s)


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
