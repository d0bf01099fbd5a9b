"""What hosts say to each other of an agent that moves from one to another (MB-9)."""

from msgspec import Struct

from protocol.checkpoints.messages import MovedRecord
from protocol.ids import AgentId, HostId

ROOM = "room"
"""The question whether an agent of a class may come."""
TAKE = "take"
"""The question to take an agent that has moved: asked until it is answered."""
OF_THE_HOST = (ROOM, TAKE)
"""They name an agent that need not be up: its host answers."""
MOVE = "move"
"""The question to have an agent move elsewhere."""


class Room(Struct, frozen=True, array_like=True):
    """May an agent of this class come?"""

    kind: str
    """As `module:qualname`."""


class Take(Struct, frozen=True, array_like=True):
    """A part of the log of an agent that is to live where this is said."""

    moved: MovedRecord
    """What the host that had it has written; who has succeeded the one that was to have it has it instead."""
    first: int
    """The number of the first record of the whole that is handed over."""
    prev: bytes
    """The hash that this one follows."""
    term: int
    """The term by which it is to live there (MB-8)."""
    at: int
    """How many records of it come before this part."""
    records: tuple[bytes, ...]
    is_last: bool
    is_lost: bool = False
    """The end of its log was lost before."""


class Taken(Struct, frozen=True, array_like=True):
    """What has come of it."""

    have: int
    """How many records are here, if the agent is not here yet."""
    is_taken: bool = False
    """It has come, in all of its lives from now on."""
    term: int = 0
    """By which the agent lives here; 0: it does not, or has gone on since."""
    epoch: int = 0
    """It is spoken for here in cuts after this one."""
    proof: bytes = b""
    """Of the claim by that term: whoever had the agent may pass it on (TR-2)."""


class Passing:
    """An agent that is on its way: what copies of its log need to know of it, though it is up nowhere."""

    def __init__(self, life: int, kind: str, options: bytes) -> None:
        self.life = life
        self.kind = kind
        self.options = options


def on_its_way(agent: AgentId, to: HostId) -> str:
    """Say that an agent moves."""
    return f"{agent} moves to host {to}"
