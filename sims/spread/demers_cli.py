"""`ebbtide sim demers`: published tables on rumours, made again."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sims.spread.demers import COUNTS, SITES, VARIANTS, Row, tables

WIDTH = 90
"""Of the tables, however narrow the terminal: figures cut short would mislead."""
FIGURES = ("residue", "m", "t_ave", "t_last")


def demers(
    seeds: Annotated[int, typer.Option(help="Rumours that each row is the mean of.", min=2)] = 200,
    sites: Annotated[int, typer.Option(help="How many sites there are; the paper has 1,000.", min=2)] = SITES,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Make the tables on rumour mongering of Demers et al. (1987) again, as a check of how rumours are simulated.

    Three variants, k from 1 to 5: push with feedback and counter (table 1), blind push with coin (table 2), pull with
    feedback and counter (table 3). A row has the share of sites that the rumour never reached (residue), updates sent
    by site (m), cycles until a site was reached on average (t_ave) and until the last was (t_last), each with its
    standard error, and what the paper has. By push, t_ave comes out up to three cycles sooner than in the paper; the
    other figures agree. 200 seeds take some ten seconds.
    """
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rumours", total=len(VARIANTS) * len(COUNTS) * seeds)
        rows.extend(tables(seeds, sites, done=lambda: bar.advance(task)))
    if as_json:
        typer.echo(json.dumps([_plain(row) for row in rows], indent=2))
        return
    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDTH)
    for table, variant in VARIANTS.items():
        console.print(_shown(f"table {table}: {variant}", [row for row in rows if row.table == table]))


def _plain(row: Row) -> dict[str, object]:
    """Return a row for JSON: the means under their own names, errors and the paper's figures beside them."""
    plain: dict[str, object] = {
        "table": row.table, "variant": row.variant, "k": row.k, "sites": row.sites, "seeds": row.seeds,
    }  # fmt: skip
    plain |= asdict(row.mean)
    plain |= {f"{name}_error": value for name, value in asdict(row.error).items()}
    published = {} if row.published is None else asdict(row.published)
    return plain | {f"{name}_published": published.get(name) for name in FIGURES}


def _shown(title: str, rows: list[Row]) -> Table:
    shown = Table(title=title, title_justify="left", box=None)
    shown.add_column("k")
    for name in FIGURES:
        shown.add_column(name, justify="right", no_wrap=True)
        shown.add_column("paper", justify="right", style="dim", no_wrap=True)
    for row in rows:
        cells = [str(row.k)]
        for name in FIGURES:
            value, error = getattr(row.mean, name), getattr(row.error, name)
            cells.append(f"{value:.2g}±{error:.1g}" if name == "residue" else f"{value:.2f}±{error:.2f}")
            cells.append("" if row.published is None else f"{getattr(row.published, name):g}")
        shown.add_row(*cells)
    return shown
