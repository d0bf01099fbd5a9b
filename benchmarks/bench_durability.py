"""What does a durable step cost, here and elsewhere: in time, in bytes, and to come back?

Every system runs in a process of its own and does the same steps, each on the disk before the next. Repetitions take
turns, so a noisy machine hurts all alike; what counts are ratios within one run.

    make bench-durability
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.durability.plot import plot_durability
from benchmarks.durability.systems import Bench, Contender, build_counter
from benchmarks.durability.tables import as_markdown, bytes_table, restore_table, speed_table
from benchmarks.machine import about
from benchmarks.peers.harness import Task

WIDTH = 170
Told = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    repetitions: int = 3
    steps: int = 1000
    """Of one sequential agent."""
    agents: int = 1000
    agent_steps: int = 10
    """Of each of many."""
    marks: tuple[int, ...] = (100, 1000, 10_000)
    large: int = 50
    """Changes of one large value."""
    back: tuple[int, ...] = (10, 1000, 100_000)
    every: int = 500
    """Steps between checkpoints."""
    cap_s: float = 10.0
    bytes_cap_s: float = 20.0


QUICK = Size(1, 200, 100, 5, (100, 500), 10, (10, 1000), 100, 5.0, 5.0)
NO_BYTES = ("ebbtide-queued", "dbos-wal", "burr-wal")
"""Their bytes are those of the same system in its other setting."""


def speeds(bench: Bench, size: Size, told: Told) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Time one agent and many, each system in turn, again and again."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {"one": {}, "many": {}}
    for turn in range(size.repetitions):
        for contender in bench.contenders():
            name = contender.name
            for kind, agents, steps in (("one", 1, size.steps), ("many", size.agents, size.agent_steps)):
                told(f"speed, turn {turn + 1}: {contender.says}, {agents} agents")
                task = Task("steps", name, agents, steps, cap_s=size.cap_s)
                found[kind].setdefault(name, []).append(bench.run(task))
    return found


def volumes(bench: Bench, size: Size, told: Told) -> dict[str, dict[str, Any]]:
    """Measure bytes on disk: they do not vary, so once."""
    found: dict[str, dict[str, Any]] = {"growing": {}, "checkpointed": {}, "large": {}}
    for contender in bench.contenders():
        if contender.name in NO_BYTES:
            continue
        told(f"bytes: {contender.says}")
        growing = Task("bytes", contender.name, steps=size.marks[-1], marks=size.marks, cap_s=size.bytes_cap_s)
        found["growing"][contender.name] = bench.run(growing)
        large = Task(
            "bytes", contender.name, steps=size.large, marks=(size.large,), value="large", cap_s=size.bytes_cap_s
        )
        found["large"][contender.name] = bench.run(large)
        if _has_checkpoints(contender):
            marks = size.marks[-1:]
            often = Task(
                "bytes", contender.name, steps=marks[-1], marks=marks, every=size.every, cap_s=size.bytes_cap_s
            )
            found["checkpointed"][contender.name] = bench.run(often)
    return found


def _has_checkpoints(contender: Contender) -> bool:
    return contender.name in ("ebbtide", "ebbtide-replicated", "langgraph-delta")


def restores(bench: Bench, size: Size, told: Told) -> dict[str, Any]:
    """Measure how long it takes to look back, and to come back."""
    told("restores: one agent")
    one = bench.run(Task("restore", "ebbtide-queued", marks=size.back, cap_s=60.0))
    many: list[dict[str, Any]] = []
    for turn in range(size.repetitions):
        told(f"restores, turn {turn + 1}: {size.agents} agents")
        task = Task("restore", "ebbtide-queued", size.agents, marks=(size.agent_steps,), cap_s=30.0)
        many.extend(bench.run(task)["rows"])
    return {"one": one["rows"], "many": many, "agents": size.agents}


def measure(bench: Bench, size: Size, told: Told) -> dict[str, Any]:
    """Measure all of it; what stands in the JSON file."""
    began = time.monotonic()
    found = {
        "speeds": speeds(bench, size, told),
        "volumes": volumes(bench, size, told),
        "restores": restores(bench, size, told),
    }
    return {
        "machine": about() | {"durability": "every step fsynced before the next; see `about` of each run"},
        "load": [round(value, 2) for value in os.getloadavg()],
        "repetitions": size.repetitions,
        "minutes": round((time.monotonic() - began) / 60, 1),
        **found,
    }


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Small numbers, once: a look.")] = False,
    peers: Annotated[Path | None, typer.Option(help="Python of the peers' environment; none: Ebbtide alone.")] = None,
    repetitions: Annotated[int, typer.Option(help="Turns of what is timed; 0: as many as fit.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Folder for JSON and pictures.")] = Path("out/bench"),
) -> None:
    """Measure durable steps a second, bytes on disk and restores, beside other runtimes."""
    console = Console(soft_wrap=True)
    # Where nobody looks at a terminal (a file, a pipe), the tables keep their columns.
    console.width = max(console.width, WIDTH)
    size = QUICK if quick else Size()
    if repetitions:
        size = Size(**{**size.__dict__, "repetitions": repetitions})
    counter = build_counter(out)
    if counter is None:
        console.print("no C compiler: fsyncs are not counted, only asked for")
    out.mkdir(parents=True, exist_ok=True)
    # Beside the results and not in the system's temporary folder: that may be memory.
    with tempfile.TemporaryDirectory(prefix="durability-", dir=out) as folder, console.status("starting") as status:
        bench = Bench(peers, counter, Path(folder).resolve())
        found = measure(bench, size, lambda text: status.update(text))
    (out / "durability.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    plot_durability(found, out / "durability.svg")
    tables = (*speed_table(found), bytes_table(found), restore_table(found))
    (out / "durability.md").write_text("\n\n".join(map(as_markdown, tables)) + "\n", encoding="utf-8")
    for table in tables:
        console.print(table)
        console.print()
    console.print(f"took {found['minutes']} minutes; written: {out / 'durability'}.json, .md, .svg")


if __name__ == "__main__":
    typer.run(main)
