"""`ebbtide down`: end the hosts of a cluster in order; its folder stays, and the next start goes on from there."""

from pathlib import Path
from typing import Annotated

import typer

from peer.audit.console import WRONG
from peer.backends import ray_head
from peer.backends.admission import all_went
from peer.backends.left import end_left, left_in
from peer.cli.main import tell
from peer.errors import AskTimeout, BackendFailed, ConfigInvalid
from peer.processes import end_process
from peer.running.console import FOLDER, HERE, said
from peer.running.noted import noted_in
from peer.running.token import use_token
from peer.store.lock import holder
from peer.trust import authority

END_S = 60.0


def down(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", envvar=FOLDER, help="The cluster's folder.", show_default="here")
    ] = HERE,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long its hosts may take to end.")] = END_S,
) -> None:
    """End the hosts of a cluster in order, and keep its folder: `ebbtide up` goes on from there.

    A local cluster's process is told to end, and waited for. On Ray each host closes, and a Ray that `ebbtide up` has
    started ends, too; any other Ray goes on. Exits with 1 if it does not end in time.

    Example: `ebbtide down run`
    """
    if not (folder / authority.FILE).exists():
        raise ConfigInvalid(f"{str(folder)!r} is no folder of a cluster that was ever started. Nothing was done.")
    noted, process = noted_in(folder), holder(folder)
    try:
        if process is not None:
            if not end_process(process, lambda: holder(folder) == process, timeout):
                raise AskTimeout(
                    f"process {process}, which holds {folder}, did not end within {timeout:g} s. It may still. 'kill -9"
                    f" {process}' loses nothing that was acknowledged."
                )
        elif not end_on_ray(folder, "" if noted is None else noted.address, timeout):
            said(f"nothing runs in {folder}")
            return
    except AskTimeout as error:
        tell(error)
        raise typer.Exit(WRONG) from error
    said(f"the cluster in {folder} has ended; its folder stays")


def end_on_ray(folder: Path, address: str, timeout_s: float) -> bool:
    """End hosts that outlive their program, and the Ray that was started for them; return whether there were any.

    Args:
        folder: the cluster's.
        address: of a Ray that was not started for it; empty if it was.
        timeout_s: how long that Ray may take to end.

    Raises: BackendFailed, AskTimeout.
    """
    head = ray_head.head_in(folder)
    if head is not None:
        use_token(folder)
    if head is None and not address:
        ray_head.end(folder, timeout_s)
        return False
    # Only now: Ray reads the token when it is imported.
    from peer.backends.ray_detached import end_hosts
    from peer.backends.ray_joining import joined

    try:
        with joined(address or (head.address if head is not None else "")):
            ended = end_hosts(folder)
    except BackendFailed:
        if not left_in(folder):
            raise
        ended = end_left(folder)
        said(f"its Ray is gone; {', '.join(ended)} went on without it, and have ended")
    all_went(folder)
    ray_head.end(folder, timeout_s)
    return bool(ended) or head is not None
