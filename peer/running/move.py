"""`ebbtide move` and `ebbtide even-out`: agents go to other hosts, while they are at work."""

from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import print_json
from peer.backends.admission import addresses_in
from peer.cluster.attached import Attached
from peer.cluster.moving import MOVE_S, Moved
from peer.running.console import HERE, Agent, Folder, Json, Timeout, asked, lines, said, table
from protocol.ids import HostId

To = Annotated[
    str,
    typer.Argument(metavar="HOST", help="A host's name or id, as `ebbtide ps` shows it; or an agent's: beside that."),
]
By = Annotated[str, typer.Option("--by", metavar="WHAT", help="agents, or the steps that they have made.")]


def move(agent: Agent, to: To, folder: Folder = HERE, timeout: Timeout = MOVE_S, json_: Json = False) -> None:
    """Have an agent live on another host, with its log; nothing is lost, and what is said to it meanwhile waits.

    It ends its step and its calls first, 30 s at most, or stays where it is. It has to be of a class that the other
    host's process can import. The last agent of a host stays.

    Examples: `ebbtide move buyer host-2`, `ebbtide move buyer cashier`
    """
    names = _names(folder)

    async def go(cluster: Attached) -> HostId:
        return await cluster.move(agent, names.get(to, to), timeout_s=timeout)

    host = asked(folder, go)
    name = next((name for name, each in names.items() if each == host), host)
    if json_:
        print_json({"agent": agent, "host": name, "id": host})
    else:
        said(f"{agent} lives on {name}")


def even_out(by: By = "agents", folder: Folder = HERE, timeout: Timeout = MOVE_S, json_: Json = False) -> None:
    """Move agents until all hosts have as many, or as many steps behind them.

    What has moved is told, also if some agents stay where they are, because they are at work.

    Examples: `ebbtide even-out`, `ebbtide even-out --by steps`
    """

    async def go(cluster: Attached) -> list[Moved]:
        return await cluster.even_out(by=by, timeout_s=timeout)

    moved, names = asked(folder, go), {host: name for name, host in _names(folder).items()}
    rows: list[dict[str, Any]] = [
        {"agent": each.agent, "from": names.get(each.source, each.source), "to": names.get(each.to, each.to)}
        for each in moved
    ]
    if json_:
        lines(rows)
    else:
        table(rows, ("agent", "from", "to"), "nobody had to move")


def _names(folder: Path) -> dict[str, HostId]:
    return {name: each.host for name, each in addresses_in(folder).items()}
