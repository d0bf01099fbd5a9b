"""Many runs over parameters and seeds, as rows of one table: `sweep`, in the manner of Mesa's `batch_run`.

    def build(seed, fan_out, depth):
        with World(seed) as world:
            world.populate(Workload(fan_out=fan_out, depth=depth))
            world.settle()
            return {"steps": len(world.steps())}

    rows = sweep(build, {"fan_out": [1, 2, 3], "depth": 3}, seeds=range(10), processes=4, journal="out/fan_out.jsonl")
    pandas.DataFrame(rows)  # columns: seed, fan_out, depth, steps

The rows are the same, in the same order, however many processes there are, and however often it was interrupted.
"""

import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy
from rich.console import Console
from rich.progress import Progress

from peer.errors import CallerError, EbbtideError
from sims.studies.journal import Journal, Rows

Build = Callable[..., Any]


@runtime_checkable
class Measured(Protocol):
    """What a run may return instead of rows: a `World`, say, whose metrics are taken."""

    def metrics(self) -> Any:
        """Return a pandas table."""
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True)
class Failure:
    """A run that raised."""

    parameters: dict[str, Any]
    seed: int
    error: str
    traceback: str

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"seed={self.seed}{', ' * bool(given)}{given}: {self.error}"


class SweepFailed(EbbtideError):
    """Some runs raised; the others' rows are in `rows`, in order, and those that raised in `failures`."""

    def __init__(self, rows: Rows, failures: Sequence[Failure], runs: int, journal: Path | None) -> None:
        self.rows = rows
        self.failures = list(failures)
        kept = f"in {journal}: sweep again to run only what failed" if journal else "in this error's `rows`"
        super().__init__(
            f"{len(failures)} of {runs} runs failed, first {failures[0]}. The rows of the others are {kept}.\n"
            f"{failures[0].traceback}"
        )


@dataclass(frozen=True)
class Run:
    """One run: a combination of parameters, by its number, and a seed."""

    at: int
    seed: int
    parameters: dict[str, Any]


def sweep(
    build: Build,
    parameters: Mapping[str, Any] | None = None,
    seeds: Iterable[int] = (0,),
    processes: int = 1,
    *,
    journal: str | Path | None = None,
    progress: bool = True,
) -> Rows:
    """Run `build(seed=..., **parameters)` for every combination of parameters and every seed; return tidy rows.

    Args:
        build: returns a mapping (a row), several mappings, or a `World`, whose metrics are taken and which is closed.
            Values in rows are numbers, texts, booleans or None.
        parameters: by name a value, or a list, tuple, range or array of values; one that is itself a list goes into
            a list.
        seeds: one run for each; more may be added to a journal later.
        processes: how many runs go on at once. They are forked where the system can: `build` may be any function then.
        journal: a file that each finished run is written to; a sweep that finds it runs only what is missing.
        progress: show a bar on the terminal.

    Returns: for each row the seed, the parameters, and what `build` gave; by combination, then seed, as given.

    Raises: SweepFailed, when all runs have ended, if some of them raised; CallerError; LogCorrupt; LogBusy.
    """
    values = {name: _values(value) for name, value in (parameters or {}).items()}
    if not isinstance(seeds, Iterable):
        raise CallerError(f"seeds={seeds!r}: several numbers, as range({seeds!r}) is. Nothing was run.")
    chosen = list(dict.fromkeys(int(seed) for seed in seeds))
    _check(values, chosen, processes)
    runs = [
        Run(at, seed, dict(zip(values, combination, strict=True)))
        for at, combination in enumerate(product(*values.values()))
        for seed in chosen
    ]
    path = None if journal is None else Path(journal)
    kept = None if path is None else Journal(path, build, values)
    done: dict[tuple[int, int], Rows] = {} if kept is None else dict(kept.done)
    failures: dict[tuple[int, int], Failure] = {}
    todo = [run for run in runs if (run.at, run.seed) not in done]
    try:
        with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
            task = bar.add_task("runs", total=len(runs), completed=len(runs) - len(todo))
            for run, found in _found(build, todo, processes):
                if isinstance(found, Failure):
                    failures[run.at, run.seed] = found
                else:
                    done[run.at, run.seed] = found
                    if kept is not None:
                        kept.add(run.at, run.seed, found)
                bar.advance(task)
    finally:
        if kept is not None:
            kept.close()
    rows = [{"seed": run.seed, **run.parameters, **row} for run in runs for row in done.get((run.at, run.seed), ())]
    if failures:
        # In the order of the runs, not that of their ends.
        found = [failures[run.at, run.seed] for run in runs if (run.at, run.seed) in failures]
        raise SweepFailed(rows, found, len(runs), path)
    return rows


def _values(value: Any) -> list[Any]:
    if isinstance(value, numpy.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, list | tuple | range) else [value]


def _check(values: Mapping[str, list[Any]], seeds: Sequence[int], processes: int) -> None:
    if not isinstance(processes, int) or processes < 1:
        raise CallerError(f"processes={processes!r}: a number, at least 1. Nothing was run.")
    if not seeds:
        raise CallerError("seeds is empty, so there is nothing to run.")
    if "seed" in values:
        raise CallerError("'seed' is no parameter: give seeds=... instead. Nothing was run.")
    for name, options in values.items():
        if not options:
            raise CallerError(f"parameter {name!r} has no values, so there is nothing to run.")


# -- running -----------------------------------------------------------------------------------------------------------


def _found(build: Build, todo: Sequence[Run], processes: int) -> Iterator[tuple[Run, Rows | Failure]]:
    """Yield what each run gave, in the order in which they end."""
    if processes == 1 or len(todo) < 2:
        for run in todo:
            yield run, _carry_out(build, run)
        return
    # Forked processes have `build` and the parameters already, whatever they are: nothing has to be pickled.
    forked = "fork" in get_all_start_methods()
    pool = ProcessPoolExecutor(
        min(processes, len(todo)), get_context("fork" if forked else None), _begin, (build, list(todo))
    )
    futures: dict[Future[Rows | Failure], Run] = {}
    try:
        futures.update((pool.submit(_carry_out_number, number), run) for number, run in enumerate(todo))
        for future in as_completed(futures):
            run = futures[future]
            try:
                yield run, future.result()
            except BrokenProcessPool as error:
                text = f"{type(error).__name__}: a process of the sweep died before this run had ended"
                yield run, Failure(run.parameters, run.seed, text, "")
    finally:
        pool.shutdown(cancel_futures=True)


_given: tuple[Build, list[Run]] | None = None


def _begin(build: Build, todo: list[Run]) -> None:
    """Begin the life of a process of the pool."""
    global _given  # a process of the pool has no other place for what it is given once
    _given = (build, todo)
    # An interruption from the keyboard is the sweep's, which lets the runs that go on end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _carry_out_number(number: int) -> Rows | Failure:
    assert _given is not None
    build, todo = _given
    return _carry_out(build, todo[number])


def _carry_out(build: Build, run: Run) -> Rows | Failure:
    try:
        return _rows(build(seed=run.seed, **run.parameters), run)
    except Exception as error:  # noqa: BLE001  # whatever a run raises, the others go on, and it is told at the end
        text = f"{type(error).__name__}: {error}"
        return Failure(run.parameters, run.seed, text, traceback.format_exc())


def _rows(result: Any, run: Run) -> Rows:
    """Bring what a run returned into one form, the same for fresh runs and those of a journal.

    Raises: CallerError, naming what does not belong in a table.
    """
    if isinstance(result, Measured):
        measured = result
        try:
            table = measured.metrics()
        finally:
            measured.close()
        result = table.astype(object).where(table.notna(), None).to_dict("records")
    if isinstance(result, Mapping):
        result = [result]
    if not isinstance(result, Iterable) or isinstance(result, str | bytes):
        raise CallerError(f"a run returned {result!r}: it is a mapping, several mappings, or a World")
    rows: Rows = []
    for row in result:
        if not isinstance(row, Mapping):
            raise CallerError(f"a run returned a row {row!r}: rows are mappings")
        taken = [name for name in row if name == "seed" or name in run.parameters]
        if taken:
            raise CallerError(f"a row has a column {taken[0]!r}, which is the sweep's own: give it another name")
        rows.append({str(name): _plain(name, value) for name, value in row.items()})
    return rows


def _plain(name: Any, value: Any) -> Any:
    if isinstance(value, numpy.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise CallerError(f"column {name!r} has {value!r}: a row's values are numbers, texts, booleans or None")
