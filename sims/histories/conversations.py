"""Conversations of a history: each turn answers the last, round a ring of agents."""

from protocol.ids import AgentId
from protocol.step import OutputDraft


def turn(left: int, ring: int) -> bytes:
    """Return a turn of a conversation round a ring of so many agents, after which so many are left."""
    return b"%d" % -(10 * left + ring)


def answer(payload: int, agent: AgentId, names: list[AgentId]) -> OutputDraft:
    """Return the turn that follows one, to the next in the ring."""
    left, ring = divmod(-payload, 10)
    at = names.index(agent)
    first = at - at % ring
    return OutputDraft(names[(first + (at - first + 1) % ring) % len(names)], turn(left - 1, ring))
