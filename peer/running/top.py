"""`ebbtide top`: a running cluster, looked at again and again."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from peer.audit.console import console, print_json
from peer.backends.admission import addresses_in
from peer.cluster.attached import Attached
from peer.errors import EbbtideError
from peer.running.console import HERE, Folder, Json, asked
from peer.running.overview import Look, glance, looks_at
from protocol.ids import AgentId

ANSWER_S = 5.0
COLUMNS = ("agent", "host", "steps", "steps_a_second", "undone", "dead_letters", "effects_pending", "under_way")
UNDECIDED = ("undecided", "proposals")
"""How what is told of an agent begins, where it waits for a rollback."""


def top(
    folder: Folder = HERE,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="From one look to the next.", min=0.05)] = 1.0,
    rounds: Annotated[int, typer.Option(help="End after so many looks; 0: go on until interrupted.", min=0)] = 0,
    json_: Json = False,
) -> None:
    """Watch a running cluster: who works on what, how many steps a second, what is undecided, effects, checkpoints.

    With --json, a look is a line.

    Examples: `ebbtide top`, `ebbtide top --every 5 --json`
    """

    async def watch(cluster: Attached) -> None:
        with nullcontext() if json_ else Live(console=console(), auto_refresh=False) as live:
            before: Mapping[AgentId, tuple[int, float]] = {}
            count = 0
            while True:
                found, before = await _look(cluster, before)
                if live is None:
                    print_json(found)
                    sys.stdout.flush()
                else:
                    live.update(_shown(found), refresh=True)
                count += 1
                if count == rounds:
                    return
                await asyncio.sleep(every)

    asked(folder, watch)


async def _look(
    cluster: Attached, before: Mapping[AgentId, tuple[int, float]]
) -> tuple[dict[str, Any], Mapping[AgentId, tuple[int, float]]]:
    """Return what stands now, and what the next look needs: by agent, its steps and when they were counted."""
    clock = asyncio.get_running_loop().time
    looks = await looks_at(cluster, cluster.agents, ANSWER_S)
    names = {each.host: name for name, each in addresses_in(cluster.folder).items()}
    now = {look.agent: (look.status.steps, clock()) for look in looks if look.status is not None}
    rows = [
        _row(look, names.get(cluster.host.homes.get(look.agent, ""), ""), now.get(look.agent), before.get(look.agent))
        for look in looks
    ]
    try:
        epochs = await cluster.epochs()
        checkpoint = epochs.committed
    except EbbtideError:
        checkpoint = None  # its host is away; its row says so
    undecided = sum(any(what.startswith(UNDECIDED) for what in row["under_way"]) for row in rows)
    return {"agents": rows, "undecided": undecided, "checkpoint": checkpoint}, now


def _row(look: Look, host: str, now: tuple[int, float] | None, before: tuple[int, float] | None) -> dict[str, Any]:
    status = look.status
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"agent": look.agent, "host": host}
    if status is None or now is None:
        return row | {"under_way": [look.why]}
    rate = None if before is None else round(max(0, now[0] - before[0]) / max(1e-6, now[1] - before[1]), 1)
    return row | glance(status) | {"steps_a_second": rate}


def _shown(found: dict[str, Any]) -> Group:
    rows = found["agents"]
    shown = Table()
    for name in COLUMNS:
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        cells = (", ".join(row[name]) if name == "under_way" else row[name] for name in COLUMNS)
        shown.add_row(*("" if cell is None else escape(str(cell)) for cell in cells))
    rate = sum(row["steps_a_second"] or 0 for row in rows)
    text = (
        f"{len(rows)} agents, {sum(row['steps'] or 0 for row in rows):,} steps, {rate:,.1f} a second,"
        f" {found['undecided']} undecided, {sum(row['effects_pending'] or 0 for row in rows)} effects pending,"
        f" checkpoint {'unknown' if found['checkpoint'] is None else found['checkpoint'] or 'none yet'}"
    )
    return Group(shown, Text(text))
