"""`ebbtide health`: whether the hosts of a cluster answer, and are ready; for scripts and probes, by its exit code."""

from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import WRONG, print_json
from peer.cluster.attached import Attached
from peer.cluster.operating import LOOK_S
from peer.cluster.standing import DOWN, hosts, names_of
from peer.errors import BackendFailed, CallerError, EbbtideError
from peer.running.console import FOLDER, HERE, Json, Timeout, asked, said


def health(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", envvar=FOLDER, help="The cluster's folder.", show_default="here")
    ] = HERE,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="Only this one, by its name or id. [default: all]")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Only whether they answer: for a probe that restarts.")] = False,
    timeout: Timeout = LOOK_S,
    json_: Json = False,
) -> None:
    """Say whether the hosts of a cluster are ready: all agents up, nothing stalled or drained, others heard.

    Exits with 1 if one is not, or no cluster runs there. With --live it is enough that they answer.

    Examples: `ebbtide health run`, `ebbtide health run --live --host host-1`
    """
    try:
        rows = asked(folder, lambda cluster: looked(cluster, host, live, timeout))
    except BackendFailed as error:
        rows = [{"host": host or "", "ok": False, "why": [str(error)]}]
    is_well = all(row["ok"] for row in rows)
    if json_:
        print_json({"ok": is_well, "hosts": rows})
    for row in () if json_ else rows:
        said(f"{row['host']}: {'ok' if row['ok'] else '; '.join(row['why'])}".removeprefix(": "))
    if not is_well:
        raise typer.Exit(WRONG)


async def looked(cluster: Attached, only: str | None, live: bool, timeout_s: float) -> list[dict[str, Any]]:
    """Return each host, whether all is well there, and why not.

    Raises: CallerError, if there is no host of that name.
    """
    names, found = names_of(cluster), await cluster.health(timeout_s=timeout_s)
    whys: dict[str, list[str]] = {row["host"]: ["it is down"] for row in hosts(cluster) if row["state"] == DOWN}
    for each, said_ in found.items():
        name = names.get(each, each)
        if isinstance(said_, EbbtideError):
            whys[name] = [str(said_)]
        else:
            whys[name] = [] if live else said_.whys()
    if only is not None:
        only = names.get(only, only)
        if only not in whys:
            raise CallerError(f"there is no host {only!r}. Nothing was asked. There are: {', '.join(whys) or 'none'}.")
        whys = {only: whys[only]}
    return [{"host": name, "ok": not why, "why": why} for name, why in sorted(whys.items())]
