"""Ends hosts that are actors of Ray: in order where that can be done, and in any case."""

import logging
from pathlib import Path
from typing import Any

from peer.agents.failures import clean, one_line
from peer.backends.admission import Address
from peer.backends.ray_import import RayActorError, RayTaskError, ray
from protocol.ids import AgentId

logger = logging.getLogger("ebbtide")

END_S = 5.0
"""How long hosts may take to close what they have open; nothing that counts waits for it."""
CHARS_MAX = 500
"""Of what Ray says of an error: its traceback is in it."""


class Place:
    """A host's actor, and who lives there."""

    def __init__(self, folder: Path, actor: Any, names: list[AgentId]) -> None:
        self.folder = folder
        self.actor = actor
        self.names = names
        self.address = Address("", "", 0)
        """Where it is, once it has said so."""


def end_all(places: list[Place]) -> list[Path]:
    """Have hosts close their logs, all at once, and end their processes, also where that can't be done.

    Returns: the folders of those that have closed, and said so in their last lines.
    """
    ends = {place.actor.end.remote(): place for place in places}
    done = ray.wait(list(ends), num_returns=len(ends), timeout=END_S)[0] if ends else []
    closed: list[Path] = []
    for end in done:
        try:
            ray.get(end)
        except RayActorError:
            continue  # dead for good, before now
        except RayTaskError as error:
            said = one_line(str(error))
            logger.warning("%s did not close in order, and is ended: %s", ends[end].folder.name, clean(said, CHARS_MAX))
            continue
        closed.append(ends[end].folder)
    for place in places:
        ray.kill(place.actor, no_restart=True)
    return closed
