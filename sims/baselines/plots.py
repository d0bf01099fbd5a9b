"""The curves: a figure against agents, against the size of the cone, and by topology."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from sims.baselines.compare import CONE_BORDERS, by_cone, summaries
from sims.baselines.measures import Measured
from sims.baselines.protocols import PROTOCOLS
from sims.plotting import pyplot

FIGURES = {
    "efficiency": ("rollback efficiency", False),
    "lost_s": ("innocent work lost, agent-seconds", True),
    "rollback_messages": ("messages for the rollback", True),
    "held_agents": ("agents that were held up", True),
    "redone_after_s": ("seconds until all is done again", True),
}
"""By figure of `Measured`: its axis, and whether that is logarithmic."""

COLOURS = ("#4878a8", "#6aa84f", "#c9872c", "#8e63b0", "#777777", "#c0392b", "#2aa198", "#d33682")
"""Of the protocols, in their order, and from the first again if there are more."""


def colour(protocol: str) -> str:
    """Return the colour of a protocol's curves."""
    return COLOURS[list(PROTOCOLS).index(protocol) % len(COLOURS)]


def draw(out: Path, runs: Sequence[Measured], swept: Sequence[Measured]) -> list[Path]:
    """Draw every figure; return the files."""
    plots = pyplot()
    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, (label, logarithmic) in FIGURES.items():
        figure, (left, middle, right) = plots.subplots(1, 3, figsize=(15, 4.4), sharey=True)
        _against_agents(left, runs, name)
        _against_cone(middle, [*runs, *swept], name)
        _by_topology(right, runs, name)
        left.set_ylabel(label)
        if logarithmic:
            left.set_yscale("symlog", linthresh=0.01 if name.endswith("_s") else 1)
            left.set_ylim(bottom=0)
        else:
            left.set_ylim(min(0.9, *(getattr(run, name) for run in runs)) - 0.05, 1.01)
        for panel in (left, middle, right):
            panel.grid(alpha=0.3)
        left.legend(fontsize=8)
        figure.tight_layout()
        paths.append(out / f"{name.removesuffix('_s')}.png")
        figure.savefig(paths[-1], dpi=110)
        plots.close(figure)
    return paths


def _against_agents(panel: Any, runs: Sequence[Measured], name: str) -> None:
    """Medians over topologies and seeds, with the range of the topologies' medians."""
    for protocol in dict.fromkeys(run.protocol for run in runs):
        places = [found for found in summaries(runs) if found.protocol == protocol]
        sizes = sorted({found.agents for found in places})
        groups = [[found.of(name).median for found in places if found.agents == size] for size in sizes]
        panel.plot(sizes, [median(group) for group in groups], "o-", color=colour(protocol), label=protocol)
        panel.fill_between(
            sizes,
            [min(group) for group in groups],
            [max(group) for group in groups],
            color=colour(protocol),
            alpha=0.1,
        )
    _plain_log(panel, dict.fromkeys(run.agents for run in runs))
    panel.set_xlabel("agents (shaded: between topologies)")


def _against_cone(panel: Any, runs: Sequence[Measured], name: str) -> None:
    """Medians of classes of cone sizes, among runs of one size and topology: the one with most runs."""
    places = summaries(runs)
    most = max(places, key=lambda found: len(found.runs))
    chosen = [run for run in runs if (run.topology, run.agents) == (most.topology, most.agents)]
    for protocol, classes in by_cone(chosen).items():
        middles = [median(run.cone for run in group) for group in classes.values()]
        values = [median(float(getattr(run, name)) for run in group) for group in classes.values()]
        panel.plot(middles, values, "o-", color=colour(protocol))
    _plain_log(panel, CONE_BORDERS)
    panel.set_xlabel(f"steps in the cone ({most.agents} agents, {most.topology})")


def _plain_log(panel: Any, ticks: Iterable[int]) -> None:
    """A logarithmic axis with plain numbers."""
    panel.set_xscale("log")
    panel.set_xticks(list(ticks), [str(tick) for tick in ticks])
    panel.minorticks_off()


def _by_topology(panel: Any, runs: Sequence[Measured], name: str) -> None:
    """Medians of the largest size."""
    largest = max(run.agents for run in runs)
    places = [found for found in summaries(runs) if found.agents == largest]
    topologies = list(dict.fromkeys(found.topology for found in places))
    protocols = list(dict.fromkeys(found.protocol for found in places))
    width = 0.8 / len(protocols)
    for at, protocol in enumerate(protocols):
        values = {found.topology: found.of(name).median for found in places if found.protocol == protocol}
        where = [place + (at - (len(protocols) - 1) / 2) * width for place in range(len(topologies))]
        panel.bar(where, [values[topology] for topology in topologies], width, color=colour(protocol))
    panel.set_xticks(range(len(topologies)), topologies)
    panel.set_xlabel(f"{largest} agents")
