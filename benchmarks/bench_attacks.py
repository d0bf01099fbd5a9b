"""What is left to members of a host while strangers attack it?

A host and a member, each a process, on one machine: the member hands in messages at a steady pace, each durable before
it is confirmed. Then the same under each attack (`benchmarks/attacks/attackers.py`), which is another process, for as
long. `python -m benchmarks.bench_attacks`; `--write docs/security.md` puts the table there.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.attacks.attackers import ATTACKS
from benchmarks.attacks.relay import Relay
from benchmarks.machine import about
from peer import Agent, Cluster, Context, handles
from peer.backends.admission import addresses_in
from peer.cluster.attached import Attached

AT_ONCE = 16
"""Messages that the member hands in and waits for at a time."""
SHARE = 0.6
"""Of what it can hand in at most: a machine of two cores has to have some left for who attacks."""
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"


class Counter(Agent):
    """Counts what it is handed."""

    @handles(int)
    async def count(self, message: int, ctx: Context) -> None:
        """Count one."""
        self.state["n"] = self.state.get("n", 0) + 1


@dataclass(frozen=True)
class Row:
    """What the member had under one attack."""

    attack: str
    what: str
    tried: int
    per_s: float
    share: float
    memory_mb: float
    lives: bool


def _host(folder: str, ready: Any, stop: Any) -> None:
    async def run() -> None:
        async with Cluster("local", folder=folder, listen=True) as cluster:
            await cluster.spawn("counter", Counter)
            ready.put(os.getpid())
            while not stop.is_set():
                await asyncio.sleep(0.05)

    asyncio.run(run())


def _attacker(name: str, address: str, seconds: float, captured: tuple[bytes, ...], done: Any) -> None:
    work = ATTACKS[name][1]
    done.put(work(address, seconds, captured) if name == "replay" else work(address, seconds))


async def _handed_in(cluster: Attached, seconds: float, per_s: float | None) -> float:
    """Hand messages in for so long, at a pace or as fast as can be; return how many a second were confirmed."""
    began, count, due = time.monotonic(), 0, 0

    async def one() -> None:
        nonlocal count, due
        while (now := time.monotonic()) < began + seconds:
            if per_s is not None and due >= (now - began) * per_s:
                await asyncio.sleep(0.002)
                continue
            due += 1
            await cluster.submit("counter", 1)
            count += 1

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return count / (time.monotonic() - began)


async def captured_from(folder: Path) -> tuple[bytes, ...]:
    """Return what a member has sent on its connections while it handed something in, and rolled it back."""
    address = next(iter(addresses_in(folder).values())).address
    relay = Relay(address)
    through = await relay.open()
    cluster = Cluster.attach(folder)
    async with cluster:
        cluster.host.transport.connect(next(iter(addresses_in(folder).values())).host, through)
        await cluster.submit("counter", 1, 2, 3)
        last = [step async for step in cluster.steps("counter")][-1]
        await cluster.rollback(last.id, inputs="discard", reason="to be captured")
    relay.close()
    return tuple(bytes(stream) for stream in relay.streams if stream)


def measured(seconds: float, only: tuple[str, ...] = ()) -> tuple[float, list[Row]]:
    """Return how many messages a second were handed in before, and a row for each attack."""
    context = get_context("spawn")
    with TemporaryDirectory() as folder:
        ready, stop, done = context.Queue(), context.Event(), context.Queue()
        host = context.Process(target=_host, args=(folder, ready, stop))
        host.start()
        pid = ready.get(timeout=60)
        rows: list[Row] = []

        async def run() -> float:
            captured = await captured_from(Path(folder))
            address = next(iter(addresses_in(Path(folder)).values())).address
            async with Cluster.attach(folder) as member:
                await _handed_in(member, 2.0, None)
                most = await _handed_in(member, seconds, None)
                pace = SHARE * most
                before = await _handed_in(member, seconds, pace)
                for name in only or ATTACKS:
                    attacker = context.Process(target=_attacker, args=(name, address, seconds, captured, done))
                    rss = _memory_mb(pid)
                    attacker.start()
                    most_mb, watching = [rss], asyncio.create_task(_watched(pid, seconds))
                    found = await _handed_in(member, seconds, pace)
                    most_mb.append(await watching)
                    tried = await asyncio.to_thread(done.get)
                    attacker.join()
                    rows.append(Row(name, ATTACKS[name][0], tried, found, found / before, max(most_mb) - rss,
                                    host.is_alive()))  # fmt: skip
            return before

        try:
            before = asyncio.run(run())
        finally:
            stop.set()
            host.join(30)
            host.kill()
        return before, rows


async def _watched(pid: int, seconds: float) -> float:
    """Return the most memory that a process had, looked at for so long."""
    most, until = 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, _memory_mb(pid))
        await asyncio.sleep(0.05)
    return most


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def table_of(before: float, rows: list[Row], seconds: float) -> str:
    """Return the rows as Markdown."""
    on = about()
    lines = [
        f"{seconds:g} s of each, {on['system']}, {on['cores']} cores; without an attack the member hands in"
        f" {before:,.0f} messages a second.", "",
        "| attack | tried | messages a second | of those without | memory | the host |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {row.what} | {row.tried:,} times | {row.per_s:,.0f} | {row.share:.0%} | +{row.memory_mb:.0f} MB |"
          f" {'goes on' if row.lives else 'has died'} |" for row in rows),
    ]  # fmt: skip
    return "\n".join(lines)


def main(
    seconds: Annotated[float, typer.Option(help="How long each goes on.", min=1)] = 10.0,
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(ATTACKS)}; may be given again.")] = None,
    write: Annotated[Path | None, typer.Option(help="A page to put the table into.")] = None,
) -> None:
    """Measure what a host has left for its members while strangers attack it."""
    with Console(stderr=True).status("a host, a member, and who attacks"):
        before, rows = measured(seconds, tuple(only or ()))
    table = Table("attack", "tried", "per s", "share", "memory", "host")
    for row in rows:
        table.add_row(row.attack, f"{row.tried:,}", f"{row.per_s:,.0f}", f"{row.share:.0%}", f"+{row.memory_mb:.0f} MB",
                      "goes on" if row.lives else "has died")  # fmt: skip
    Console().print(f"without: {before:,.0f} a second", table)
    if write is not None:
        page = write.read_text("utf-8")
        head, _, rest = page.partition(BEGIN)
        write.write_text(f"{head}{BEGIN}\n{table_of(before, rows, seconds)}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    typer.run(main)
