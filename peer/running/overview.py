"""`ebbtide ps`, `status` and `agents`: a cluster as it stands, as gossip and its agents tell."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import typer

from peer.audit.console import PARTIAL, WRONG, print_json
from peer.backends.admission import addresses_in
from peer.cluster.attached import Attached
from peer.cluster.standing import hosts
from peer.errors import EbbtideError
from peer.host.questions import Status
from peer.running.console import HERE, Folder, Json, Timeout, asked, lines, said, table
from protocol.ids import AgentId, HostId

LOOK_S = 10.0


class Look(NamedTuple):
    """What one agent says of itself, or why it does not."""

    agent: AgentId
    status: Status | None
    why: str


def ps(folder: Folder = HERE, json_: Json = False) -> None:
    """List the hosts of a running cluster: where each is, how it stands, and who lives there.

    A host is `up`, `in doubt` (it has just not answered), `failed`, `left` (it has said goodbye, and its agents have
    moved), or `down`: the folder lists it, and nobody has heard of it. Exits with 1 if any is not up.

    Example: `ebbtide ps --folder run`
    """

    async def look(cluster: Attached) -> list[dict[str, Any]]:
        return hosts(cluster)

    rows = asked(folder, look)
    if json_:
        lines(rows)
    else:
        table(rows, ("host", "state", "agents", "address", "process", "id"), "no hosts")
    if any(row["state"] != "up" for row in rows):
        raise typer.Exit(WRONG)


async def looks_at(cluster: Attached, agents: Iterable[AgentId], timeout_s: float) -> list[Look]:
    """Ask agents how they are; one that does not answer is one row, and not the end."""
    found = await cluster.statuses(agents, timeout_s)
    return [
        Look(name, None, str(each)) if isinstance(each, EbbtideError) else Look(name, each, "")
        for name, each in found.items()
    ]


def agents(folder: Folder = HERE, json_: Json = False, timeout: Timeout = LOOK_S) -> None:
    """List the agents of a running cluster: where each lives, what it has done, and what is under way.

    Exits with 3 if one does not answer: its row says why.

    Example: `ebbtide agents --json | jq 'select(.dead_letters > 0)'`
    """

    async def look(cluster: Attached) -> list[dict[str, Any]]:
        names = {each.host: name for name, each in addresses_in(cluster.folder).items()}
        return [_row(each, names, cluster.host.homes.get(each.agent, "")) for each in
                await looks_at(cluster, cluster.agents, timeout)]  # fmt: skip

    rows = asked(folder, look)
    if json_:
        lines(rows)
    else:
        columns = (
            "agent",
            "host",
            "absence",
            *(("tier",) if any(row["tier"] for row in rows) else ()),
            "steps",
            "undone",
            "dead_letters",
            "effects_pending",
            "checkpoint",
            "under_way",
        )
        table(rows, columns, "no agents")
    if any(row["error"] for row in rows):
        raise typer.Exit(PARTIAL)


def _row(look: Look, names: dict[HostId, str], home: HostId) -> dict[str, Any]:
    status = look.status
    row = {"agent": look.agent, "host": names.get(home, home)}
    if status is None:
        nothing = dict.fromkeys(
            ("steps", "absence", "tier", "undone", "dead_letters", "effects_pending", "checkpoint", "era")
        )
        return row | nothing | {"under_way": [look.why], "error": look.why}
    return row | glance(status) | {"checkpoint": status.committed, "era": status.era, "error": None}


def glance(status: Status) -> dict[str, Any]:
    """Return what a row says of an agent that answers."""
    return {
        "steps": status.steps,
        "absence": status.absence or status.paused,
        "tier": status.tier,
        "undone": status.undone,
        "dead_letters": status.dead_letters,
        "effects_pending": len(status.effects_pending),
        "under_way": list(status.under_way),
    }


def status(folder: Folder = HERE, json_: Json = False, timeout: Timeout = LOOK_S) -> None:
    """Say in a few lines how a running cluster is: hosts, steps, what is undecided, effects to be undone, checkpoints.

    Exits with 1 if a host is not up, or an agent does not answer.

    Example: `ebbtide status && echo fine`
    """

    async def look(cluster: Attached) -> dict[str, Any]:
        return await summary(cluster, timeout)

    found = asked(folder, look)
    if json_:
        print_json(found)
    else:
        _print(found)
    if found["hosts_up"] < found["hosts"] or found["silent"]:
        raise typer.Exit(WRONG)


async def summary(cluster: Attached, timeout_s: float) -> dict[str, Any]:
    """Return a cluster at a glance."""
    there = hosts(cluster)
    found = await looks_at(cluster, cluster.agents, timeout_s)
    up = [look.status for look in found if look.status is not None]
    epochs = await cluster.epochs() if up else None
    return {
        "folder": str(cluster.folder),
        "hosts": len(there),
        "hosts_up": sum(row["state"] == "up" for row in there),
        "agents": len(found),
        "silent": {look.agent: look.why for look in found if look.status is None},
        "steps": _sum(up, "steps"),
        "undone": _sum(up, "undone"),
        "under_way": {each.agent: list(each.under_way) for each in up if each.under_way},
        "dead_letters": _sum(up, "dead_letters"),
        "effects_pending": [intent for each in up for intent in each.effects_pending],
        "checkpoint": 0 if epochs is None else epochs.committed,
        "oldest_checkpoint": 0 if epochs is None else epochs.horizon,
        "restores": max((each.era for each in up), default=0),
    }


def _sum(looks: Sequence[Status], field: str) -> int:
    return sum(getattr(each, field) for each in looks)


def _print(found: dict[str, Any]) -> None:
    said(f"hosts        {found['hosts_up']} of {found['hosts']} up")
    said(f"agents       {found['agents'] - len(found['silent'])} of {found['agents']} answer")
    for agent, why in found["silent"].items():
        said(f"             {agent}: {why}")
    said(f"steps        {found['steps']:,}, {found['undone']:,} of them undone")
    said(f"under way    {len(found['under_way']) or 'nothing'}{' agents' if found['under_way'] else ''}")
    for agent, what in found["under_way"].items():
        said(f"             {agent}: {', '.join(what)}")
    said(f"dead letters {found['dead_letters']}")
    said(f"effects      {len(found['effects_pending'])} to be undone or in doubt")
    newest, oldest = found["checkpoint"], found["oldest_checkpoint"]
    said(f"checkpoint   {f'{newest}; restorable from {oldest} on' if newest else 'none yet'}")
    said(f"restores     {found['restores']}")
