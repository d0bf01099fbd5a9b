"""Who has not seen all that the others share: told from what every agent says of itself."""

from collections.abc import Sequence

from peer.asks import Status
from protocol.ids import AgentId


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
