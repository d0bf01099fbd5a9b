"""What detectors see of a run that is over, from its logs."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from peer.agents.suspecting import seen_in_log
from peer.audit.reader import read_trail
from peer.detectors.port import Watch
from peer.detectors.seen import Finding, Seen
from peer.errors import CallerError
from protocol.ids import AgentId


class Found(NamedTuple):
    """A step that a detector calls wrong."""

    step: Seen
    finding: Finding
    undone_by: str
    """What has undone it; empty: it stands."""


def steps_of(
    folder: Path, agents: Collection[AgentId] = (), handled: str = "", undone: bool = False
) -> list[tuple[Seen, str]]:
    """Return the steps of a run, in their order, and what has undone each; empty: it stands.

    Args:
        folder: a host\'s folder, or that of all hosts.
        agents: whose; empty: everybody\'s.
        handled: only those that handled a message of a class of this name; empty: any.
        undone: those that were undone, too.

    Raises: CallerError, if there are none; and as `read_trail`.
    """
    trail = read_trail(folder)
    found = [
        (seen_in_log(step.record), step.undone.by if step.undone else "")
        for step in trail.steps.values()
        if (undone or step.undone is None) and (not agents or step.id.agent in agents)
    ]
    wanted = [pair for pair in found if not handled or pair[0].handled == handled]
    if not wanted:
        raise CallerError(f"{folder} has no step that is meant{' of ' + ', '.join(agents) if agents else ''}.")
    return wanted


def scored(detector: Any, steps: Sequence[tuple[Seen, str]], limit: float) -> list[Found]:
    """Return the steps whose score is at the limit or above, each agent\'s looked at by a watch of its own."""
    watches: dict[AgentId, Watch] = {}
    found: list[Found] = []
    for seen, by in steps:
        finding = watches.setdefault(seen.agent, detector.begin()).see(seen)
        if finding is not None and finding.score >= limit:
            found.append(Found(seen, finding, by))
    return found
