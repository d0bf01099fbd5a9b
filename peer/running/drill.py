"""`ebbtide drill`: whether tools' undos do what they say."""

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from peer.agents.drill import FAILS, NOT_TRIED, Drilled
from peer.agents.drill import drill as drilled
from peer.audit.console import WRONG
from peer.running.app import read_app
from peer.running.console import Json, lines, table


def drill(
    app: Annotated[Path, typer.Argument(metavar="APP", help="The Python file that names the agents, as for `up`.")],
    tool: Annotated[
        list[str] | None, typer.Option(help="Only tools whose names contain this; may be repeated.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Add what came of it to this file, a JSON object a line.")
    ] = None,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="Do it again and again; 0: once.", min=0)] = 0.0,
    json_: Json = False,
) -> None:
    """Try each tool's undo on the canary that its author has declared, and compare what is there before and after.

    A tool that can be undone is called, undone, and undone once more; one that may be repeated is called twice. Tools
    without a canary are named: an undo that nobody has tried is a hope. Exits with 1 if one fails.

    Example: `ebbtide drill shop.py --log drills.jsonl`
    """
    kinds = [spec.kind for spec in read_app(app).agents]
    found = {each.name: each for kind in kinds for each in kind.tools().values()}
    chosen = [each for name, each in sorted(found.items()) if not tool or any(part in name for part in tool)]
    while True:
        done = asyncio.run(drilled(chosen))
        _tell(done, log, json_)
        if not every:
            break
        time.sleep(every)
    if any(each.outcome == FAILS for each in done):
        raise typer.Exit(WRONG)


def _tell(done: list[Drilled], log: Path | None, json_: bool) -> None:
    rows = [asdict(each) for each in done]
    if log is not None:
        with log.open("ab") as out:
            for row in rows:
                out.write(msgspec.json.encode(row) + b"\n")
    if json_:
        lines(rows)
        return
    table(rows, ("tool", "kind", "outcome", "why", "seconds"), "no tools with effects")
    untried = sum(each.outcome == NOT_TRIED for each in done)
    if untried:
        typer.echo(f"{untried} of {len(done)} undos were never tried", err=True)
