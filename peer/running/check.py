"""`ebbtide check`: what has to hold of several agents, looked at where a checkpoint's cut goes through them."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins

from peer.audit.console import WRONG
from peer.cluster.attached import Attached
from peer.errors import ConfigInvalid
from peer.running.app import module_of
from peer.running.console import HERE, Folder, Json, asked, lines, said, table
from peer.watching.cuts import CutFinding, check_cut
from peer.watching.invariant import Invariant


def check(
    invariants: Annotated[
        str, typer.Argument(metavar="FILE.py:NAME", help="A list of invariants, or one, in a Python file.")
    ],
    epoch: Annotated[
        int | None, typer.Option(metavar="N", help="A committed checkpoint. [default: the newest]", show_default=False)
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="WATCHER", help="A watcher that is told of the steps suspected, once.")
    ] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Check invariants on the states of agents at a checkpoint's cut, while they go on; exits with 1 if one is broken.

    The check of an invariant runs here, on a copy of the states: one that raises or hangs is told of, and harms nobody.

    Example: `ebbtide check bank.py:INVARIANTS --to guard`
    """
    found = read_invariants(invariants)

    async def look(cluster: Attached) -> tuple[list[CutFinding], int]:
        meant = (await cluster.epochs()).committed if epoch is None else epoch
        return await check_cut(cluster, found, meant or None, raise_to=to), meant

    judged, at = asked(folder, look)
    rows = [to_builtins(each) | {"steps": [str(step) for step in each.steps]} for each in judged]
    if json_:
        lines(rows)
    elif not rows:
        said(f"{len(found)} invariant{'s' * (len(found) != 1)} hold{'s' * (len(found) == 1)} at checkpoint {at}")
    else:
        table(rows, ("invariant", "epoch", "why", "held", "steps", "left_out", "raised"), "")
    if rows:
        raise typer.Exit(WRONG)


def read_invariants(name: str) -> list[Invariant]:
    """Return what is called `FILE.py:NAME`. Raises: ConfigInvalid, saying what it is instead."""
    place, _, attribute = name.rpartition(":")
    if not place or not attribute:
        raise ConfigInvalid(f"{name!r} names no invariants in a file. Nothing was checked. Write bank.py:INVARIANTS.")
    found = getattr(module_of(Path(place)), attribute, None)
    every = [found] if isinstance(found, Invariant) else list(found) if isinstance(found, list | tuple) else []
    if not every or not all(isinstance(each, Invariant) for each in every):
        raise ConfigInvalid(
            f"{place}: {attribute} is {found!r}, and no list of invariants. Nothing was checked. Write {attribute} ="
            " [Invariant(name, check, agents)]."
        )
    return every
