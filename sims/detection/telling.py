"""The table and the plot of an evaluation, and the page that they stand on."""

from collections.abc import Sequence
from pathlib import Path

from peer.errors import CallerError
from sims.detection.evaluating import Evaluation
from sims.detection.judging import Row
from sims.plotting import pyplot

BLIND = 0.1
"""A detector that catches less of a fault than this does not see it."""
BEGIN, END = "<!-- what follows is written by `ebbtide detect evaluate` -->", "<!-- until here -->"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def table(found: Evaluation) -> str:
    """Return the rows as Markdown, a table for each kind of fault, cheapest first; and what sees nothing."""
    parts: list[str] = []
    for kind in dict.fromkeys(row.kind for row in found.rows):
        rows = sorted((row for row in found.rows if row.kind == kind), key=lambda row: row.cost_per_1000)
        parts += [
            f"**{kind}** ({rows[0].wrong} wrong steps)\n",
            "| detector | precision | recall | noticed | delay, steps | delay, s | false alarms per 1,000 steps |"
            " cost per 1,000 steps |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(_row(row) for row in rows),
            "",
            _blind(rows),
            "",
        ]
    return "\n".join(parts).rstrip() + "\n"


def _row(row: Row) -> str:
    return (
        f"| `{row.detector}` | {_number(row.precision)} | {row.recall:.2f} ± {row.recall_error:.2f} | {row.noticed:.2f}"
        f" | {_number(row.delay, 0)} | {_number(row.delay_s)} | {row.false_per_1000:.1f} | {row.cost_per_1000:,.0f} |"
    )


def _blind(rows: Sequence[Row]) -> str:
    blind = [f"`{row.detector}`" for row in rows if row.recall < BLIND]
    return f"Do not see it (less than a tenth caught): {', '.join(blind) or 'none'}."


def plot(found: Evaluation, path: Path) -> None:
    """Draw operating curves: what is caught against false alarms, as limits vary. Raises: CallerError, as `pyplot`."""
    plots = pyplot()
    plots.rcParams["svg.hashsalt"] = found.scenario
    plots.rcParams["svg.fonttype"] = "none"
    kinds = list(dict.fromkeys(row.kind for row in found.curves))
    figure, axes = plots.subplots(1, len(kinds), figsize=(4.5 * len(kinds), 4.2), sharey=True, squeeze=False)
    for kind, axis in zip(kinds, axes[0], strict=True):
        for name in dict.fromkeys(row.detector for row in found.curves):
            rows = sorted(
                (row for row in found.curves if (row.kind, row.detector) == (kind, name)), key=lambda row: row.limit
            )
            spread = [max(row.false_per_1000, 0.1) for row in rows]
            axis.plot(spread, [row.recall for row in rows], marker=".", label=name.split("(")[0])
        axis.set(title=kind, xlabel="false alarms per 1,000 steps", xscale="log", ylim=(-0.02, 1.02))
    axes[0][0].set_ylabel("share of wrong steps caught")
    axes[0][-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plots.close(figure)


def write_page(found: Evaluation, page: Path, command: str) -> None:
    """Put the table between the marks of a page, and the plot beside it.

    Raises: CallerError, if the page has no such marks; OSError.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise CallerError(f"{page} has no lines {BEGIN!r} and {END!r}, between which the table is put.")
    picture = page.with_suffix(".svg")
    plot(found, picture)
    seeds = f"trained on seeds {_seeds(found.train_seeds)}, tried on {_seeds(found.seeds)}"
    block = f"{BEGIN}\n\n`{command}`: {seeds}.\n\n{table(found)}\n![operating curves]({picture.name})\n\n{END}"
    before, rest = text.split(BEGIN, 1)
    page.write_text(before + block + rest.split(END, 1)[1], encoding="utf-8")


def _seeds(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
