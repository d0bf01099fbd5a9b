"""`ebbtide drain`: a host is taken out of service, while the cluster goes on."""

from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import print_json
from peer.backends import ray_head
from peer.backends.admission import went
from peer.cluster.attached import Attached
from peer.cluster.moving import MOVE_S, Moved
from peer.cluster.standing import names_of
from peer.running.console import HERE, Folder, Json, Timeout, asked, said, table
from peer.running.noted import noted_in
from peer.running.token import use_token
from protocol.ids import HostId


def drain(
    host: Annotated[str, typer.Argument(metavar="HOST", help="A host's name or id, as `ebbtide ps` shows it.")],
    cancel: Annotated[
        bool, typer.Option("--cancel", help="It takes inputs again, if who has drained it is gone.")
    ] = False,
    folder: Folder = HERE,
    timeout: Timeout = MOVE_S,
    json_: Json = False,
) -> None:
    """Take a host out of service: no inputs from outside, its agents move to the others, and it leaves for good.

    Nothing is lost, undone or run again. It needs copies of its logs on other hosts: --durability 'replicated(1)'. If
    an agent does not move, the host stays, and takes inputs again. On Ray its process ends, too.

    Examples: `ebbtide drain host-2`, `ebbtide drain host-2 --cancel`
    """

    async def go(cluster: Attached) -> tuple[dict[HostId, str], HostId, list[Moved]]:
        names = names_of(cluster)
        source = next((each for each, name in names.items() if name == host), host)
        if cancel:
            return names, await cluster.undrain(source), []
        return names, source, await cluster.drain(source, timeout_s=timeout)

    names, source, moved = asked(folder, go)
    name = names.get(source, source)
    if cancel:
        if json_:
            print_json({"host": name, "id": source, "draining": False})
        else:
            said(f"{name} takes inputs")
        return
    ends = _end(folder, name) if source in names else False
    rows: list[dict[str, Any]] = [
        {"agent": each.agent, "from": name, "to": names.get(each.to, each.to)} for each in moved
    ]
    if json_:
        print_json({"host": name, "id": source, "moved": rows, "ended": ends})
    else:
        table(rows, ("agent", "from", "to"), "nobody had to move")
        said(f"{name} has left" + ("" if ends else "; its process goes on, without agents, until the cluster ends"))


def _end(folder: Path, name: str) -> bool:
    """End the process of a host that has left, where it is Ray's; return whether there was one."""
    went(folder / name)
    noted, head = noted_in(folder), ray_head.head_in(folder)
    address = noted.address if noted is not None and noted.backend == "ray" else ""
    if head is None and not address:
        return False
    if head is not None:
        use_token(folder)
    # Only now: Ray reads the token when it is imported.
    from peer.backends.ray_detached import end_host
    from peer.backends.ray_joining import joined

    with joined(address or (head.address if head is not None else "")):
        return end_host(folder, name)
