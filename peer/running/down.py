"""`ebbtide down`: end the hosts of a cluster in order; its folder stays, and the next start goes on from there."""

import os
import select
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from peer.audit.console import WRONG
from peer.backends.admission import SECRET
from peer.cli.main import tell
from peer.errors import AskTimeout, ConfigInvalid
from peer.running.console import FOLDER, HERE, said
from peer.store.lock import holder

END_S = 60.0
LOOK_S = 0.05


def down(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", envvar=FOLDER, help="The cluster's folder.", show_default="here")
    ] = HERE,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long its hosts may take to end.")] = END_S,
) -> None:
    """End the hosts of a cluster in order, and keep its folder: `ebbtide up` goes on from there.

    A local cluster's process is told to end, and waited for. Exits with 1 if it does not end in time.

    Example: `ebbtide down run`
    """
    if not (folder / SECRET).exists():
        raise ConfigInvalid(f"{str(folder)!r} is no folder of a cluster that was ever started. Nothing was done.")
    process = holder(folder)
    if process is None:
        said(f"nothing runs in {folder}")
        return
    try:
        _end(folder, process, timeout)
    except AskTimeout as error:
        tell(error)
        raise typer.Exit(WRONG) from error
    said(f"the cluster in {folder} has ended; its folder stays")


def _end(folder: Path, process: int, timeout_s: float) -> None:
    """Tell the process that holds a folder to end, and wait until it has.

    Raises: AskTimeout.
    """
    late = AskTimeout(
        f"process {process}, which holds {folder}, did not end within {timeout_s:g} s. It may still. 'kill -9"
        f" {process}' loses nothing that was acknowledged."
    )
    if not hasattr(os, "pidfd_open"):
        os.kill(process, signal.SIGTERM)
        until = time.monotonic() + timeout_s
        while holder(folder) == process:
            if time.monotonic() > until:
                raise late
            time.sleep(LOOK_S)
        return
    try:
        # It names one process for good: by a number another could be met that has it by now.
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        if holder(folder) != process:
            return
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], timeout_s)[0]:
            raise late
    finally:
        os.close(handle)
