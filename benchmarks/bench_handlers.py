"""What keeps users' code whole costs: values changed in place, threads, checks of messages and records.

python -m benchmarks.bench_handlers
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import about
from peer.store.outside.keeping import Keeping
from peer.threads import Threads, in_thread
from peer.values import arriving, payload
from peer.values.codec import Values
from peer.values.declared import Schema
from protocol.ids import StepId
from protocol.step import Input, Output, StepRecord, Write
from protocol.wire import encode_record

SIZES = (10, 1_000, 100_000)
"""Items of a list in the state, of some 10 bytes each."""


@dataclass(frozen=True)
class Row:
    """One measurement on one core."""

    what: str
    size: str
    us: float
    """Microseconds, the median of some."""
    beside_us: float
    """What the same takes without the check."""
    beside: str
    """What that is."""


@dataclass
class Order:
    """A message as most are."""

    item: str
    cents: int
    tags: list[str]


@dataclass
class Basket:
    """A message with messages inside, which is checked by making it once."""

    orders: list[Order]
    share: float = 0.5


def median_us(work: Callable[[], Any], rounds: int) -> float:
    """Return how long something takes, in microseconds: the median of some rounds."""
    times = list[int]()
    for _ in range(rounds):
        began = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - began)
    return sorted(times)[len(times) // 2] / 1e3


def in_place(items: int) -> Row:
    """A list that a handler has read is looked at once more when it returns."""
    values = Values(Schema(), Keeping.in_memory(b"secret"), lambda: 0)
    value = [{"item": at, "n": "ab"} for at in range(items // 2)]
    data = payload.encode(value)
    rounds = max(5, 20_000 // max(1, items))
    check = median_us(lambda: values.has_changed("k", data, value), rounds)
    reading = median_us(lambda: values.decode("k", data), rounds)
    return Row("a value that was read: changed?", f"{len(data):,} B", check, reading, "reading it")


def message(sent: Any, size: str) -> Row:
    """A message is checked where it is sent: quickly, as here, or by making it once."""
    checked = median_us(lambda: arriving.is_plain(sent), 3_000)
    whole = median_us(lambda: payload.encode_message(sent), 3_000)
    return Row("a message: does it arrive as it is?", size, checked, whole - checked, "encoding it")


def message_made(sent: Any, size: str) -> Row:
    """A message of which only making it tells whether it arrives."""
    data = payload.encode_message(sent)
    kinds = {type(sent).__name__: type(sent)}
    made = median_us(lambda: arriving.difference(sent, payload.decode_message(data, kinds)), 3_000)
    alone = median_us(lambda: payload.encode_message(sent), 3_000) - made
    return Row("a message: made once, and compared", size, made, alone, "encoding it")


def record(size: int) -> Row:
    """A record is decoded before it is written."""
    step = StepId("agent", 1, 7)
    item = Input("ext:source", 0, 7, b"x" * size, "ext:source#7")
    output = Output("other", 3, b"y" * size, "lineage")
    made = StepRecord(step, item, (), (Write("key", b"z" * size),), (), (output,), (), {"agent": (1, 7)}, 1)
    encoder = msgspec.msgpack.Encoder()
    alone = median_us(lambda: encoder.encode(made), 3_000)
    checked = median_us(lambda: encode_record(made), 3_000) - alone
    return Row("a record: can it be read again?", f"{3 * size:,} B", checked, alone, "encoding it")


async def thread() -> Row:
    """A plain handler runs in a thread."""
    pool = Threads("bench")

    def nothing() -> None:
        return None

    async def nothing_async() -> None:
        return None

    async def measure(work: Callable[[], Any]) -> float:
        times = list[int]()
        for _ in range(3_000):
            began = time.perf_counter_ns()
            await work()
            times.append(time.perf_counter_ns() - began)
        return sorted(times)[len(times) // 2] / 1e3

    there, here = await measure(lambda: in_thread(pool, nothing)), await measure(nothing_async)
    return Row("a plain handler: to its thread and back", "", there, here, "awaiting an async one")


def main(out: Annotated[Path, typer.Option(help="Folder for the JSON.")] = Path("out/bench")) -> None:
    """Measure what the checks around users' code cost."""
    order = Order("tea", 400, ["hot"])
    rows = [
        *map(in_place, SIZES),
        asyncio.run(thread()),
        message(order, "3 plain fields"),
        message(Basket([order] * 10), "10 messages inside"),
        message_made(Basket([order] * 10, 1), "10 messages inside"),
        record(30),
        record(10_000),
    ]
    out.mkdir(parents=True, exist_ok=True)
    shown = {"machine": about(), "rows": [asdict(row) for row in rows]}
    (out / "handlers.json").write_text(json.dumps(shown, indent=1) + "\n")
    table = Table(title="what keeps users' code whole costs")
    for column in ("what", "size", "us", "beside it", "which is"):
        table.add_column(column, justify="left" if column in ("what", "which is") else "right")
    for row in rows:
        table.add_row(row.what, row.size, f"{row.us:.1f}", f"{row.beside_us:.1f}", row.beside)
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
