"""How fast does a backlog drain once its receiver is back? The same traffic with an outage and without, as a ratio.

In a world, so the times are virtual and the same on every machine: one agent sends messages to another, whose host is
down meanwhile or not. `python -m benchmarks.bench_backlog`.
"""

import logging
from dataclasses import dataclass
from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ebbtide import Agent, Context, handles
from sims.world import World

SEED = 1


class Letter(Struct, frozen=True):
    """One message."""

    number: int


class Sender(Agent):
    """Passes on what it gets."""

    @handles(Letter)
    async def passes_on(self, message: Letter, ctx: Context) -> None:
        """Send it to the receiver."""
        ctx.send("receiver", message)


class Receiver(Agent):
    """Notes what it gets."""

    @handles(Letter)
    async def notes(self, message: Letter) -> None:
        """Keep the last."""
        self.state["last"] = message.number


@dataclass(frozen=True)
class Row:
    """One number of messages."""

    messages: int
    steady_s: float
    """Virtual seconds from the first input to the last acknowledgment, without an outage."""
    down_s: float
    drained_s: float
    """Virtual seconds from the receiver's return to the last acknowledgment."""

    @property
    def ratio(self) -> float:
        """How many times as long the backlog took as the traffic alone."""
        return self.drained_s / self.steady_s


def measure(messages: int, down_s: float) -> Row:
    """Measure one size, without the outage and with it."""
    return Row(messages, _play(messages, 0.0), down_s, _play(messages, down_s) - down_s)


def _play(messages: int, down_s: float) -> float:
    with World(SEED, 2, checking="end") as world:
        world.spawn("sender", Sender, host="host-1")
        world.spawn("receiver", Receiver, host="host-2")
        world.run(until=1.0)
        if down_s:
            world.crash("host-2", restart_after=down_s)
        began_s = world.now
        world.submit("sender", *(Letter(number) for number in range(messages)))
        world.run(until=lambda there: _is_acknowledged(there, messages))
        return world.now - began_s


def _is_acknowledged(world: World, messages: int) -> bool:
    core = world.machine("sender").core
    return len(core.cone) == messages and core.outbox.unsent() == 0


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of messages, with commas.")] = "400,1000,4000",
    down: Annotated[float, typer.Option(help="How long the receiver's host is down, in virtual seconds.")] = 8.0,
) -> None:
    """Measure how a backlog drains."""
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    table = Table(title=f"a backlog after {down:g} s (virtual seconds)", title_justify="left", box=None)
    for column in ("messages", "without outage", "drained", "ratio", "a second"):
        table.add_column(column, justify="right")
    for size in (int(text) for text in sizes.split(",")):
        row = measure(size, down)
        table.add_row(
            f"{size:,}", f"{row.steady_s:.2f}", f"{row.drained_s:.2f}", f"{row.ratio:.1f}",
            f"{size / row.drained_s:,.0f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
