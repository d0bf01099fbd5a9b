"""Groups of agents whose requests are let go together, or not at all (RQ-4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from peer import errors
from peer.agents.every import checked_seconds
from peer.values.fields import text
from protocol.ids import AgentId, StepId
from protocol.limits import GROUP_MEMBERS_MAX
from protocol.step import Grouped


@dataclass(frozen=True)
class Group:
    """Agents whose requests in it are let go together, or none is; `ctx.group` makes one, to be put into messages."""

    id: str
    """The step that has made it, and its name: another run of that input makes another group."""
    members: tuple[AgentId, ...]
    deadline: float | None = None
    """How many seconds a member takes, from when it has heard of the group, before it says no; None: without end."""


def group_of(step: StepId, name: Any, members: Any, deadline: Any) -> Group:
    """Return a new group; see `Context.group`. Raises: CallerError, naming the value."""
    named = text("name of a group", name, is_empty_ok=False)
    if isinstance(members, str) or not isinstance(members, Iterable):
        raise errors.CallerError(f"members={members!r}: the names of the agents, in a tuple. Nothing was made.")
    listed: tuple[Any, ...] = tuple(members)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    group = Group(f"{step}/{named}", listed, deadline)
    return Group(group.id, grouped_of(group).members, deadline)


def grouped_of(group: Any, agent: AgentId | None = None) -> Grouped:
    """Return a group as the protocol knows it, for a member if one is named. Raises: CallerError, naming the value."""
    if not isinstance(group, Group):
        raise errors.CallerError(f"group={group!r}: it is what ctx.group has made. Nothing was requested.")
    members = tuple(text("member of a group", name, is_empty_ok=False) for name in group.members)
    if not members or len(set(members)) < len(members) or len(members) > GROUP_MEMBERS_MAX:
        raise errors.CallerError(
            f"members={members!r}: from 1 to {GROUP_MEMBERS_MAX} agents, each once. Nothing was made."
        )
    if agent is not None and agent not in members:
        raise errors.CallerError(f"{agent} is none of the members of group {group.id}. Nothing was requested.")
    wait_s = 0.0 if group.deadline is None else checked_seconds("deadline", group.deadline)
    if group.deadline is not None and wait_s <= 0:
        raise errors.CallerError("deadline=0: it is more than 0 seconds; None for no deadline. Nothing was made.")
    return Grouped(text("id of a group", group.id, is_empty_ok=False), members, round(wait_s * 1_000_000))
