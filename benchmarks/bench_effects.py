"""What becomes of payments when processes are killed and steps are rolled back, here and elsewhere?

make bench-effects                 # all: 200 trials a cell; writes out/bench/effects.json and the page's tables
make bench-effects ARGS=--quick    # a look
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.effects.chatter import wrong_trials
from benchmarks.effects.ledger import ROOT
from benchmarks.effects.orders import plan_orders
from benchmarks.effects.systems import ALL, Bench, Contender
from benchmarks.effects.tables import as_page, share, summary, tables, write_into
from benchmarks.machine import about

RATES = (0.0, 0.01, 0.1, 0.3)
QUICK_RATES = (0.3,)
TRIALS, QUICK_TRIALS = 200, 10
EXPERIMENTS = {"1": "killed", "2": "reworded", "3": "chatter"}
ORDERS_TOGETHER, TALKS_TOGETHER = 50, 10
"""Trials in flight in one process."""
PAGE = ROOT / "docs" / "effects-benchmark.md"
WIDTH = 170

EPILOG = """
One run measures all; a row is a system. A fault rate of 10 % strikes 10 % of the trials, exactly.

Experiment 1: an order is paid, and the process is killed (SIGKILL) before the call, between the payment and its
record, or after it. Then it goes on. Counted: orders paid twice, and not at all.

Experiment 2: an order that was paid is gone back to, and run again with other words; about half are not paid the
second time. Counted: second payments, and first ones that nobody took back.

Experiment 3: 20 agents talk and pay; one of them goes back to before an earlier step. Counted: messages in others'
states, and payments, whose sender's step is there no more.

Payments are taken by a process of its own, which keeps the books; what is counted is counted from the books.
"""


def cell(
    bench: Bench, contender: Contender, kind: str, trials: int, rate: float, seed: str, told: Callable[[], None]
) -> dict[str, Any]:
    """Measure one system at one rate.

    Raises: RuntimeError, if it fails otherwise than it is to.
    """
    began = time.monotonic()
    if kind == "chatter":
        wrong = wrong_trials(seed, trials, rate)
        found = bench.chatter(contender, seed, trials, wrong, TALKS_TOGETHER, told)
    else:
        plan = plan_orders(seed, trials, rate, ORDERS_TOGETHER, goes_back=kind == "reworded")
        found = bench.orders(contender, plan, seed, told)
    return {"rate": rate, **found, "seconds": round(time.monotonic() - began, 1)}


def measure(
    bench: Bench, kinds: list[str], trials: int, rates: tuple[float, ...], seed: str, progress: Progress, log: Path
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Measure all, a cell a rate, each logged at once. One that fails says so, and the others go on."""
    rows = {kind: bench.contenders("chatter" if kind == "chatter" else "orders") for kind in kinds}
    total = trials * len(rates) * sum(len(each) for each in rows.values())
    task = progress.add_task("", total=total)
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    done = 0
    for kind, contenders in rows.items():
        found[kind] = {contender.name: [] for contender in contenders}
        for rate in rates:
            for contender in contenders:
                progress.update(task, description=f"{kind}, {share(rate)}: {contender.says}", completed=done)
                try:
                    made = cell(bench, contender, kind, trials, rate, seed, lambda: progress.advance(task))
                except RuntimeError as problem:
                    progress.console.print(f"failed: {problem}", markup=False)
                    made = {"rate": rate, "failed": str(problem)}
                found[kind][contender.name].append(made)
                with log.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps({"experiment": kind, "system": contender.name, **made}) + "\n")
                done += trials
    progress.update(task, completed=total)
    return found


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Ten trials, at 30 %: a look. Writes no page.")] = False,
    peers: Annotated[Path | None, typer.Option(help="Python of the peers' environment; none: Ebbtide alone.")] = None,
    only: Annotated[str, typer.Option(help="Which experiments: 1, 2, 3, with commas.")] = "1,2,3",
    trials: Annotated[int, typer.Option(help="Trials a cell; 0: 200, or 10 with --quick.", min=0)] = 0,
    seed: Annotated[str, typer.Option(help="Draws orders, words, faults and what agents say.")] = "effects",
    out: Annotated[Path, typer.Option(help="Folder for the JSON, and for what systems write meanwhile.")] = Path(
        "out/bench"
    ),
    page: Annotated[Path | None, typer.Option(help="The page that the tables are written into.")] = None,
    no_page: Annotated[bool, typer.Option("--no-page", help="Write no page.")] = False,
) -> None:
    """Count payments made twice, lost, or left behind, through kills and rollbacks, beside LangGraph and DBOS."""
    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDTH)
    kinds = [EXPERIMENTS[each.strip()] for each in only.split(",") if each.strip() in EXPERIMENTS]
    if len(kinds) != len(only.split(",")):
        raise typer.BadParameter(f"{only!r}: name experiments 1, 2 or 3, with commas")
    many = trials or (QUICK_TRIALS if quick else TRIALS)
    rates = QUICK_RATES if quick else RATES
    out.mkdir(parents=True, exist_ok=True)
    name = "effects-quick" if quick else "effects"  # a look does not take the place of the whole
    log = out / f"{name}-cells.jsonl"
    log.unlink(missing_ok=True)
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="effects-", dir=out) as folder,
        Progress(*columns, TimeRemainingColumn(), console=console) as progress,
    ):
        bench = Bench(peers and peers.absolute(), Path(folder).resolve())
        experiments = measure(bench, kinds, many, rates, seed, progress, log)
    found = {
        "machine": about() | {"durability": "each system's own; the ledger fsyncs each entry"},
        "load": [round(value, 2) for value in os.getloadavg()],
        "versions": bench.versions,
        "trials": many,
        "rates": list(rates),
        "seed": seed,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "experiments": experiments,
    }
    (out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for table in tables(found):
        console.print(table)
        console.print()
    console.print(summary(found))
    console.print(f"written: {out / f'{name}.json'}")
    is_whole = not quick and peers is not None and len(kinds) == len(EXPERIMENTS)
    if not no_page and (is_whole or page is not None):
        write_into(page or PAGE, as_page(found))
        console.print(f"written: {page or PAGE}")
    broken = [f"{ALL[name].says}, {kind}" for kind, rows in experiments.items() for name in rows if _failed(rows[name])]
    if broken:
        console.print("failed: " + "; ".join(broken))
        raise typer.Exit(1)


def _failed(cells: list[dict[str, Any]]) -> bool:
    return any("failed" in each for each in cells)


app = typer.Typer(add_completion=False)
app.command(epilog=EPILOG)(main)

if __name__ == "__main__":
    app()
