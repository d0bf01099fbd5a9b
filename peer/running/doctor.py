"""`ebbtide doctor`: what is wrong with a cluster, or soon will be, and what to do about it."""

import platform
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from peer import errors
from peer.audit.console import WRONG
from peer.backends.admission import addresses_in
from peer.cluster.attached import Attached
from peer.doctor.files import check_files
from peer.doctor.finding import FAIL, Finding, unknown
from peer.doctor.hosts import Seen, check_clocks, check_disks, check_reached, check_versions, check_wire, seen_of
from peer.doctor.machine import check_machine, check_ports, check_ray
from peer.host.condition import About
from peer.running.console import FOLDER, HERE, Json, asked, lines, said
from peer.running.noted import noted_in

_HOSTS = ("reached", "clocks", "versions", "wire")
"""What only hosts that run can tell."""


def doctor(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", envvar=FOLDER, help="The cluster's folder.", show_default="here")
    ] = HERE,
    json_: Json = False,
) -> None:
    """Look for what is wrong: keys, disk, clocks, who reaches whom, versions, who may join Ray, open ports.

    A line a check, with what to do: ok, warn, fail, or unknown where it can't be told, as of hosts that do not run.
    Exits with 1 if one fails.

    Example: `ebbtide doctor run --json | jq -r 'select(.verdict == "fail").remedy'`
    """
    if not folder.is_dir():
        raise errors.ConfigInvalid(f"there is no folder {str(folder)!r}. Nothing was looked at. Name a cluster's.")
    found = [*check_files(folder), *check_machine()]
    noted = noted_in(folder)
    found += check_ray(folder, *(("", "") if noted is None else (noted.backend, noted.address)))
    try:
        seen, told = asked(folder, _asked)
    except (errors.BackendFailed, errors.ConfigInvalid) as error:
        seen, told = [], [unknown(check, str(error)) for check in _HOSTS]
    found += [*told, *check_ports(_processes(folder, seen), _ports(folder))]
    if json_:
        lines(each._asdict() for each in found)
    for each in () if json_ else found:
        said(f"{each.verdict:8}{each.check}: {each.text}" + (f" -> {each.remedy}" if each.remedy else ""))
    if any(each.verdict == FAIL for each in found):
        raise typer.Exit(WRONG)


async def _asked(cluster: Attached) -> tuple[list[Seen], list[Finding]]:
    seen = await seen_of(cluster)
    told = [*await check_reached(cluster, seen), *check_clocks(seen), *check_versions(seen)]
    return seen, [*told, *check_wire(seen, cluster.host.notices), *check_disks(seen)]


def _ports(folder: Path) -> set[int]:
    """Return the ports on which the hosts of a folder receive."""
    return {port for each in addresses_in(folder).values() if (port := urlsplit(each.address).port) is not None}


def _processes(folder: Path, seen: list[Seen]) -> dict[int, str]:
    """Return the hosts' processes on this machine: those that say so, or the folder's where nobody answers."""
    here = platform.node()
    if seen:
        told = [(each.about.process, each.name) for each in seen if isinstance(each.about, About)
                and each.about.machine == here]  # fmt: skip
    else:
        told = [(each.pid, name) for name, each in addresses_in(folder).items() if each.pid]
    found: dict[int, str] = {}
    for process, name in told:
        found[process] = f"{found[process]}, {name}" if process in found else name
    return found
