"""How many protocol events a second does one core handle: machines alone, histories of them, whole worlds?

The same code runs in all three; what is between them is what a simulator, and what agents, hosts and the codec cost.

    python -m benchmarks.bench_events
"""

import gc
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.machine import about
from protocol.agent.machine import PeerMachine
from protocol.event import Event
from sims.histories.history import History
from sims.histories.plan import Plan
from sims.histories.swarm import play
from sims.workload import Poisson, Workload
from sims.world import World

AGENTS = 1000
HOSTS = 10
INPUTS_PER_S = 2000
WARM_S = 0.5


@dataclass(frozen=True)
class Row:
    """One measurement on one core."""

    what: str
    events: int
    """Events that machines handled: of peers, and of hosts where there are any."""
    seconds: float
    """Processor time."""
    events_per_s: float
    of_machines: float
    """The same as a share of what machines alone handle in this run."""
    note: str


def machines(seeds: int) -> tuple[int, float]:
    """Feed recorded events of random histories to peers' machines; return their number and the time."""
    recorded: list[tuple[History, list[tuple[int, str, Event]]]] = []
    for seed in range(seeds):
        # Nobody crashes, so each agent has one machine.
        history = History(Plan(seed, agents=6, inputs=30, depth=4, crashes=0, proposals=2), checking=False)
        events: list[tuple[int, str, Event]] = []
        history.watch = lambda agent, event, events=events, history=history: events.append(
            (history.now_us, agent, event)
        )
        history.run()
        recorded.append((history, events))
    began_s = time.process_time()
    for history, events in recorded:
        fresh = {name: PeerMachine(name, history.limits) for name in history.nodes}
        for at_us, agent, event in events:
            machine = fresh[agent]
            machine.handle(event, at_us)
            _ = machine.deadline_us
    return sum(len(events) for _, events in recorded), time.process_time() - began_s


def histories(seeds: int, checking: bool) -> tuple[int, float]:
    """Play random histories of every kind."""
    count, began_s = 0, time.process_time()
    for seed in range(seeds):
        plan = Plan.random(seed)
        result = play(plan, History(plan, checking=checking))
        assert not result.failure, result.failure
        count += result.events
    return count, time.process_time() - began_s


def world(seconds: float, checking: str) -> tuple[int, float]:
    """Let a world of agents work, with checkpoints, for some virtual seconds."""
    work = Workload(
        inputs=int(INPUTS_PER_S * seconds), arrivals=Poisson(INPUTS_PER_S), shared=0.0, failing=0.0, calls=0.0,
        begin=WARM_S,
    )  # fmt: skip
    with World(1, HOSTS, AGENTS // HOSTS, "random-regular", checking=checking, checkpoint_every=1.0) as built:
        built.populate(work)
        built.run(until=WARM_S)
        trace = built.engine.trace
        before = trace.events + trace.frames.get("arrived", 0)
        gc.collect()
        began_s = time.process_time()
        built.run(until=WARM_S + seconds)
        return trace.events + trace.frames.get("arrived", 0) - before, time.process_time() - began_s


def measure(seeds: int, seconds: float) -> list[Row]:
    """Measure all of it."""
    found = [
        ("machines alone", *machines(seeds // 4), "recorded events of peers, handed to fresh machines"),
        ("histories", *histories(seeds, checking=False), "scripted steps, faults, judged at the end; peers and hosts"),
        ("histories, each event judged", *histories(seeds, checking=True), "as `ebbtide sim --seeds` plays them"),
        ("a world of 1,000 agents", *world(seconds, "end"), "handlers, hosts, codec, disks; peers' events and frames"),
        ("the same, each event judged", *world(seconds / 2, "each"), "as `ebbtide sim --world` plays it"),
    ]
    alone = found[0][1] / found[0][2]
    return [
        Row(what, count, seconds, count / seconds, count / seconds / alone, note)
        for what, count, seconds, note in found
    ]


def main(
    seeds: Annotated[int, typer.Option(help="Random histories.", min=4)] = 300,
    seconds: Annotated[float, typer.Option(help="Virtual seconds of the world.", min=0.2)] = 3.0,
    out: Annotated[Path, typer.Option(help="Folder for JSON.")] = Path("out/bench"),
) -> None:
    """Measure protocol events a second on one core: machines alone, in histories, in worlds."""
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    console = Console(soft_wrap=True)
    with console.status("measuring"):
        rows = measure(seeds, seconds)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": about(), "rows": [asdict(row) for row in rows]}, indent=1)
    (out / "events.json").write_text(text + "\n", encoding="utf-8")
    table = Table(title="protocol events on one core", title_justify="left", box=None)
    for name in ("", "events", "s", "events a second", "of machines alone"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.what, f"{row.events:,}", f"{row.seconds:.2f}", f"{row.events_per_s:,.0f}", f"{row.of_machines:.2f}"
        )
    console.print(table)
    console.print(f"written: {out / 'events.json'}")


if __name__ == "__main__":
    typer.run(main)
