"""What does a message take in its sender's memory while it waits for a receiver that is away?

One machine on a disk that forgets, with a shelf on a real one. Each row is a process of its own, and the most that it
ever took counts, bases included. `python -m benchmarks.bench_waiting`.
"""

import resource
import sys
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from peer.store.shelf import DiskShelves
from protocol.action import Append, RunStep
from protocol.agent.machine import PeerMachine
from protocol.agent.shelf import Shelf
from protocol.event import Appended, CutWanted, Event, Recovered, Settled, StepRan, Submitted
from protocol.limits import Limits
from protocol.step import OutputDraft, StepDraft
from protocol.wire import encode_record

BYTES = 100
"""Of a message's content."""
EVERY = 20_000
"""Messages between two checkpoints."""


@dataclass(frozen=True)
class Row:
    """One way to send."""

    messages: int
    fan_out: int
    checkpoints: bool
    memory: float
    """Bytes a message, at most, above those of the process before."""
    log: float
    per_s: float


class Sender:
    """An agent whose receiver is away."""

    def __init__(self, shelf: Shelf) -> None:
        self.machine = PeerMachine("sender", Limits(backlog_max=1 << 60), shelf=shelf)
        self.log_bytes = 0
        self._run = 0
        self._steps = 0
        self.feed(Recovered((), False))

    def feed(self, event: Event) -> None:
        """Feed an event and what comes of it; nothing that is sent arrives."""
        todo: deque[Event] = deque([event])
        while todo:
            for action in self.machine.handle(todo.popleft(), self._steps * 1000):
                if isinstance(action, Append):
                    self.log_bytes += sum(len(encode_record(record)) for record in action.records)
                    todo.append(Appended(action.ticket))
                elif isinstance(action, RunStep):
                    self._run = action.run

    def step(self, fan_out: int) -> None:
        """Handle an input, and send some messages for it."""
        self._steps += 1
        self.feed(Submitted(self._steps, "edge", self._steps, (b"",)))
        first = self._steps * fan_out
        drafts = tuple(OutputDraft("away", b"%0*d" % (BYTES, first + at)) for at in range(fan_out))
        self.feed(StepRan(self._run, StepDraft(outputs=drafts)))

    def checkpoint(self) -> None:
        """An epoch is cut and committed, and everything before it is behind the horizon."""
        epoch = self.machine.core.epoch + 1
        self.feed(CutWanted(epoch))
        self.feed(Settled(epoch, (), epoch))


def measure(messages: int, fan_out: int, checkpoints: bool) -> Row:
    """Measure one row, in this process."""
    with TemporaryDirectory() as folder:
        sender = Sender(DiskShelves(Path(folder), lambda notice: None).of("sender"))
        before, began_s = _most_bytes(), time.perf_counter()
        for number in range(1, messages // fan_out + 1):
            sender.step(fan_out)
            if checkpoints and number * fan_out % EVERY < fan_out:
                sender.checkpoint()
        took_s = time.perf_counter() - began_s
        memory = (_most_bytes() - before) / messages
        assert sender.machine.core.outbox.count == messages
        return Row(messages, fan_out, checkpoints, memory, sender.log_bytes / messages, messages / took_s)


def _most_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(
    messages: Annotated[int, typer.Option(help="How many wait.")] = 1_000_000,
    fan_outs: Annotated[str, typer.Option(help="Messages of one step, with commas.")] = "1000,100",
) -> None:
    """Measure what waiting messages take."""
    table = Table(title=f"{messages:,} messages of {BYTES} bytes wait", title_justify="left", box=None)
    for column in ("a step sends", "checkpoints", "memory at most, B a message", "log, B a message", "a second"):
        table.add_column(column, justify="right")
    for fan_out in (int(text) for text in fan_outs.split(",")):
        for checkpoints in (True, False):
            with get_context("spawn").Pool(1) as pool:
                row = pool.apply(measure, (messages, fan_out, checkpoints))
            table.add_row(
                f"{row.fan_out:,}", f"every {EVERY:,}" if row.checkpoints else "none", f"{row.memory:,.0f}",
                f"{row.log:,.0f}", f"{row.per_s:,.0f}",
            )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
