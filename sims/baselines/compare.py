"""Many runs of many protocols over cores, and what they come to: medians, files."""

import csv
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

from msgspec import Struct, to_builtins

from sims.baselines.application import Application, Load
from sims.baselines.measures import Measured, measured
from sims.baselines.protocols import protocol_of
from sims.baselines.rig import Rig

CONE_BORDERS = (1, 4, 8, 16, 32, 64, 128)
"""Cone sizes are taken together from each of these up to the next."""


class Case(Struct, frozen=True):
    """One run to be made."""

    protocol: str
    load: Load


class Spread(NamedTuple):
    """A figure over several seeds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.least)}-{short(self.most)})"


class Summary(NamedTuple):
    """One protocol in one place."""

    protocol: str
    topology: str
    agents: int
    runs: tuple[Measured, ...]

    def of(self, figure: str) -> Spread:
        """Return a figure of `Measured` over the runs."""
        return spread(self.runs, figure)


def spread(runs: Sequence[Measured], figure: str) -> Spread:
    """Return a figure of `Measured` over runs."""
    values = [float(getattr(run, figure)) for run in runs]
    return Spread(median(values), min(values), max(values))


def cases(
    protocols: Sequence[str],
    topologies: Sequence[str],
    agents: Sequence[int],
    seeds: range,
    found_after_us: int,
    keys: int = 3,
) -> list[Case]:
    """Return a case for each combination; those of one load come together."""
    return [
        Case(protocol, Load(count, topology, seed, keys=keys, found_after_us=found_after_us))
        for topology in topologies
        for count in agents
        for seed in seeds
        for protocol in protocols
    ]


def run_case(case: Case) -> Measured:
    """Make one run, and judge it.

    Raises: AssertionError, naming the case, if the protocol has left anything wrong behind.
    """
    rig = Rig(Application(case.load), protocol_of(case.protocol).processes)
    try:
        return measured(rig.run(), case.protocol)
    except AssertionError as error:
        raise AssertionError(f"{case.protocol} under {case.load}: {error}") from error


def run_all(wanted: Sequence[Case], jobs: int) -> Iterator[Measured]:
    """Make many runs over `jobs` processes; yield what comes of them in their order."""
    if jobs == 1:
        for case in wanted:
            yield run_case(case)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        yield from pool.map(run_case, wanted, chunksize=4)


def summaries(runs: Sequence[Measured]) -> list[Summary]:
    """Take runs of one protocol, topology and size together, in order of first appearance."""
    found: dict[tuple[str, int, str], list[Measured]] = {}
    for run in runs:
        found.setdefault((run.topology, run.agents, run.protocol), []).append(run)
    return [Summary(protocol, topology, agents, tuple(group)) for (topology, agents, protocol), group in found.items()]


def by_cone(runs: Sequence[Measured]) -> dict[str, dict[int, list[Measured]]]:
    """Return, by protocol and least cone size of a class, its runs."""
    found: dict[str, dict[int, list[Measured]]] = {}
    for run in sorted(runs, key=lambda run: run.cone):
        border = max(border for border in CONE_BORDERS if border <= run.cone)
        found.setdefault(run.protocol, {}).setdefault(border, []).append(run)
    return found


def write_files(out: Path, runs: Sequence[Measured], swept: Sequence[Measured]) -> list[Path]:
    """Write every run as CSV, and the medians as JSON; return the files."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "runs.csv", out / "summary.json"]
    with paths[0].open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, Measured.__struct_fields__)
        writer.writeheader()
        writer.writerows(to_builtins(run) for run in (*runs, *swept))
    paths[1].write_text(json.dumps(as_json(runs, swept), indent=1) + "\n", encoding="utf-8")
    return paths


def as_json(runs: Sequence[Measured], swept: Sequence[Measured]) -> dict[str, list[dict[str, object]]]:
    """Return medians and spreads, by place and by cone size, as plain values."""
    names = [name for name in Measured.__struct_fields__ if name not in ("protocol", "topology", "agents", "seed")]

    def figures(group: Sequence[Measured]) -> dict[str, object]:
        return {name: spread(group, name)._asdict() for name in names}

    places = [
        {"protocol": found.protocol, "topology": found.topology, "agents": found.agents, "runs": len(found.runs)}
        | figures(found.runs)
        for found in summaries(runs)
    ]
    cones = [
        {"protocol": protocol, "cone_from": border, "runs": len(group)} | figures(group)
        for protocol, classes in by_cone((*runs, *swept)).items()
        for border, group in classes.items()
    ]
    return {"places": places, "cones": cones}


def short(value: float) -> str:
    """Return a figure as a table shows it."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"
