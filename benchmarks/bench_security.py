"""What do encryption, signatures and checks cost, against the same code without?

Two hosts on sockets of this machine, in a process for each row: frames of 300 bytes from one to the other, and agents
of the two that send balls to and fro. `python -m benchmarks.bench_security`; `--write docs/security.md` puts the table
there.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest.mock import patch

import typer
import zmq
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.machine import about
from peer import Agent, AgentSpec, Cluster, Context, handles
from peer.keys import HostKeys, host_id_of
from peer.transport import frame as framing
from peer.transport import zmq as transport
from peer.transport.frame import HEADER_BYTES
from peer.transport.zmq import ZmqTransport
from peer.trust.badge import Badge

ALL, NO_CURVE, NO_SIGNATURES, NEITHER = "all", "frames in plain text", "frames not signed", "neither"
BYTES = 300
BALLS = 32
BEGIN, END = "<!-- cost: begin -->", "<!-- cost: end -->"


class Player(Agent):
    """Sends each ball back."""

    def __init__(self, other: str) -> None:
        self.other = other

    @handles(int)
    async def play(self, message: int, ctx: Context) -> None:
        """Send it back."""
        self.state["n"] = self.state.get("n", 0) + 1
        ctx.send(self.other, message)


def _without(what: str, stack: ExitStack) -> None:
    """Switch parts off, in this process."""
    if what in (NO_CURVE, NEITHER):
        real = zmq.Socket.set

        def plain(socket: Any, option: int, value: Any) -> None:
            if option not in (zmq.CURVE_SERVER, zmq.CURVE_SECRETKEY, zmq.CURVE_PUBLICKEY, zmq.CURVE_SERVERKEY):
                real(socket, option, value)

        stack.enter_context(patch.object(zmq.Socket, "set", plain))
        stack.enter_context(patch.object(transport, "sender_of", lambda frame: host_id_of(bytes(frame.buffer[1:33]))))
    if what in (NO_SIGNATURES, NEITHER):
        stack.enter_context(patch.object(framing, "verify", lambda key, signature, data: True))
        stack.enter_context(patch.object(HostKeys, "sign", lambda keys, data: bytes(64)))
        stack.enter_context(patch("peer.trust.grant.verify", lambda key, signature, data: True))
        stack.enter_context(patch("peer.trust.lies.verify", lambda key, signature, data: True))


async def _frames_per_s(seconds: float) -> float:
    root = HostKeys.generate()
    one, other = (Badge.issued(root, HostKeys.generate()) for _ in range(2))
    sends, takes = ZmqTransport(one.keys, one), ZmqTransport(other.keys, other)
    await takes.open(lambda sender, body: None)
    await sends.open(lambda sender, body: None)
    sends.connect(other.keys.host_id, takes.address)
    body, counts = bytes(BYTES), takes.counts
    while not counts.frames_received:
        # In plain text nothing waits for the chain that lets it in: the first may be refused.
        sends.send(other.keys.host_id, body)
        await asyncio.sleep(0.01)
    began, before = time.perf_counter(), counts.frames_received
    while time.perf_counter() - began < seconds:
        for _ in range(50):
            sends.send(other.keys.host_id, body)
        while sends.counts.frames_sent - counts.frames_received > 2_000:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    found = (counts.frames_received - before) / (time.perf_counter() - began)
    await sends.close()
    await takes.close()
    return found


async def _steps_per_s(seconds: float) -> float:
    with TemporaryDirectory() as folder:
        async with Cluster("local", folder=folder, listen=True) as cluster:
            await cluster.spawn_all([AgentSpec("a", Player, {"other": "b"}), AgentSpec("b", Player, {"other": "a"})])
            await cluster.submit("a", *range(BALLS))
            await asyncio.sleep(1.0)
            before, began = await _made(cluster), time.perf_counter()
            await asyncio.sleep(seconds)
            return (await _made(cluster) - before) / (time.perf_counter() - began)


async def _made(cluster: Cluster) -> int:
    return sum([(await cluster.status(agent)).steps for agent in ("a", "b")])


def _measure(what: str, seconds: float, found: Any) -> None:
    with ExitStack() as stack:
        _without(what, stack)
        found.put((asyncio.run(_frames_per_s(seconds)), asyncio.run(_steps_per_s(seconds))))


def measured(
    seconds: float, rounds: int, on: Callable[[Any], Any] = lambda some: some
) -> dict[str, tuple[float, float]]:
    """Return frames and steps a second with everything, and without parts of it: medians of rounds in turn."""
    context = get_context("spawn")
    rows: dict[str, list[tuple[float, float]]] = {what: [] for what in (ALL, NO_CURVE, NO_SIGNATURES, NEITHER)}
    for what in on([what for _ in range(rounds) for what in rows]):
        found = context.Queue()
        process = context.Process(target=_measure, args=(what, seconds, found))
        process.start()
        rows[what].append(found.get(timeout=120))
        process.join()
    return {what: (median(one for one, _ in seen), median(two for _, two in seen)) for what, seen in rows.items()}


def main(
    seconds: Annotated[float, typer.Option(help="Of each measurement.", min=0.5)] = 4.0,
    rounds: Annotated[int, typer.Option(help="How often each; the median counts.", min=1)] = 3,
    write: Annotated[Path | None, typer.Option(help="A page to put the table into.")] = None,
) -> None:
    """Measure what encryption, signatures and checks cost."""
    found = measured(seconds, rounds, lambda some: track(some, "measuring", console=Console(stderr=True)))
    floor = found[NEITHER]
    table = Table("", "frames/s", "of neither", "steps/s", "of neither")
    lines = ["| with | frames a second | of neither | steps a second | of neither |", "| --- | --- | --- | --- | --- |"]
    for what, (frames, steps) in found.items():
        row = (what, f"{frames:,.0f}", f"{frames / floor[0]:.0%}", f"{steps:,.0f}", f"{steps / floor[1]:.0%}")
        table.add_row(*row)
        lines.append(f"| {' | '.join(row)} |")
    Console().print(table)
    if write is not None:
        on = about()
        text = (
            f"Frames of {BYTES + HEADER_BYTES} bytes, {on['system']}, {on['cores']} cores, the median of {rounds}.\n\n"
        )
        head, _, rest = write.read_text("utf-8").partition(BEGIN)
        write.write_text(f"{head}{BEGIN}\n{text}{chr(10).join(lines)}\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    typer.run(main)
