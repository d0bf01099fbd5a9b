"""What a rollback protocol is to the rig: a process for each agent, events in, effects out; no clock, no chance.

Channels are reliable and first in, first out, as most of the papers ask. What a process keeps it may look at for free;
what it has to survive by is written (`Write`), and is durable only when `Durable` says so.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import Struct, msgpack

from sims.baselines.application import Item, content_bytes
from sims.topology import Graph

Kind = Literal["application", "acknowledgment", "report", "checkpoint", "rollback"]
"""`report`: what a step costs an orchestrator. All but the first are the protocol's own."""

KINDS: tuple[Kind, ...] = ("application", "acknowledgment", "report", "checkpoint", "rollback")

VALUE_BYTES = 100
"""Size of one value of an agent's state in a checkpoint."""


class Frame(Struct, frozen=True):
    """What one process sends another."""

    kind: Kind
    body: Any
    size: int
    """Bytes as encoded."""
    content: int = 0
    """How many of them the application itself had to say."""


def frame(kind: Kind, body: Any, item: Item | None = None) -> Frame:
    """Make a frame of a body, measured by MessagePack; `item` is what the application says in it."""
    return Frame(kind, body, len(msgpack.encode(body)), 0 if item is None else content_bytes(item))


class Outcome(NamedTuple):
    """What a step has done."""

    step: int
    """Its number in the rig: unique among all agents."""
    reads: tuple[tuple[str, int], ...]
    """Keys, and the steps that had written them; 0: nobody had."""
    writes: tuple[tuple[str, int], ...]
    """Keys and their new values: a value is the number of its writer."""
    sends: tuple[tuple[int, Item], ...]


class _Event(Struct, frozen=True):
    """Something that has happened."""


class Started(_Event, frozen=True):
    """The first event."""


class Submitted(_Event, frozen=True):
    """An input from outside; it is durable already, and is never handed in again."""

    item: Item


class Received(_Event, frozen=True):
    """A frame of another process."""

    sender: int
    frame: Frame


class Ran(_Event, frozen=True):
    """A step has run."""

    run: int
    outcome: Outcome


class Durable(_Event, frozen=True):
    """What was written will survive."""

    ticket: int


class Elapsed(_Event, frozen=True):
    """A timer has come."""

    timer: str


class FoundWrong(_Event, frozen=True):
    """A step of this process was wrong: undo it, and all that hangs on it, and handle its input again."""

    step: int


Event = Started | Submitted | Received | Ran | Durable | Elapsed | FoundWrong


class _Effect(Struct, frozen=True):
    """Something to do."""


class RunStep(_Effect, frozen=True):
    """Handle an input; answered by `Ran`. One at a time."""

    run: int
    item: Item
    replays: int = 0
    """The step that this repeats exactly, as protocols do that rely on deterministic handlers; 0: a new one."""


class CallOff(_Effect, frozen=True):
    """Stop the run under way: its step never was."""


class Send(_Effect, frozen=True):
    receiver: int
    frame: Frame


class Write(_Effect, frozen=True):
    """Make so many bytes durable; answered by `Durable`, in order."""

    ticket: int
    size: int


class SetTimer(_Effect, frozen=True):
    timer: str
    after_us: int
    periodic: bool = False
    """It is there for checkpoints, not for progress: it no longer comes once no more inputs come from outside."""


class Pause(_Effect, frozen=True):
    """This agent begins no step until `Resume`, whatever waits."""


class Resume(_Effect, frozen=True):
    pass


class Undo(_Effect, frozen=True):
    """These steps of this process are undone."""

    steps: tuple[int, ...]


Effect = RunStep | CallOff | Send | Write | SetTimer | Pause | Resume | Undo


class Process(Protocol):
    """One agent's end of a protocol, or a process of the protocol's own (an orchestrator)."""

    def handle(self, event: Event, now_us: int) -> list[Effect]:
        """Take in one event; deterministic."""
        ...

    def value(self, key: str) -> int | None:
        """Return the current value of a key of the agent's state: the step that wrote it."""
        ...

    def waiting(self) -> int:
        """Return how many inputs wait to be handled."""
        ...


class Setting:
    """What a protocol's processes are told about where they are.

    Args:
        graph: by agent, whom it writes to: the channels.
        seed: of what a protocol leaves to chance.
        checkpoint_us: how far apart an agent's checkpoints are; 0: a protocol that can do without makes none.
    """

    def __init__(self, graph: Mapping[int, tuple[int, ...]], seed: int, checkpoint_us: int) -> None:
        self.graph = graph
        self.seed = seed
        self.checkpoint_us = checkpoint_us
        self.agents = len(graph)

    @cached_property
    def senders(self) -> Graph:
        """By agent, who writes to it."""
        senders: dict[int, list[int]] = {agent: [] for agent in self.graph}
        for sender, receivers in self.graph.items():
            for receiver in receivers:
                senders[receiver].append(sender)
        return {agent: tuple(found) for agent, found in senders.items()}
