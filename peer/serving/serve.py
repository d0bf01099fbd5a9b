"""Serves people over HTTP from one process, until it ends: `ebbtide people serve`."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peer import errors
from peer.cluster.attached import Attached
from peer.cluster.requests import now_us
from peer.extras import needed
from peer.serving.door import Door
from peer.serving.kept import Kept
from peer.serving.probes import Probes
from peer.serving.service import Corrected, Service
from peer.serving.webhooks import Webhooks
from peer.store.lock import hold, holder, sign

logger = logging.getLogger("ebbtide")

LOCK, HEARD, TOLD = "people.lock", "people.heard", "people.told"
"""In a cluster's folder: who serves, what was heard lately, what webhooks have taken."""
CONNECTIONS_MAX = 200
BACKLOG = 128


def address_of(listen: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`. Raises: ConfigInvalid."""
    try:
        parts = urlsplit(f"//{listen}")
        if parts.hostname and parts.port is not None and not parts.path:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise errors.ConfigInvalid(f"--listen {listen!r} is no HOST:PORT, as in 127.0.0.1:7474. Nothing was started.")


def is_loopback(host: str) -> bool:
    """Tell whether nobody outside this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def serving_alone(folder: Path) -> Iterator[None]:
    """Hold a cluster's folder for the one that serves: what was heard there is heard nowhere else.

    Raises: CallerError, if another does.
    """
    handle = hold(folder / LOCK)
    if handle is None:
        raise errors.CallerError(
            f"`ebbtide people serve` runs on {folder} already, as process {holder(folder, LOCK) or 'unknown'}. Nothing"
            " was started. End that one first."
        )
    try:
        sign(handle, os.getpid())
        yield
    finally:
        os.close(handle)


async def serve(
    cluster: Attached, listen: str, urls: Sequence[str], corrected: Corrected, told: Callable[[str], None],
    open_metrics: bool = False,
) -> None:  # fmt: skip
    """Serve until cancelled.

    Args:
        cluster: asks the agents.
        listen: `HOST:PORT`; port 0 takes one that is free.
        urls: where what waits is posted to.
        corrected: reads corrected messages.
        told: is told where it listens, once it does.
        open_metrics: `/metrics` answers who has signed nothing, too.

    Raises: ConfigInvalid, AddressBusy.
    """
    uvicorn: Any = needed("uvicorn", "People over HTTP", "serve")
    folder = cluster.folder
    heard, posted = Kept(folder / HEARD, now_us()), Kept(folder / TOLD, now_us())
    with _bound(listen) as bound:
        door = Door(cluster.host.badge.trust, now_us, heard)
        app = Service(cluster, door, corrected, Probes(cluster, door, open_metrics)).app()
        server = _quiet(uvicorn)(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", server_header=False, date_header=False,
                proxy_headers=False, limit_concurrency=CONNECTIONS_MAX, timeout_graceful_shutdown=2, backlog=BACKLOG,
            )
        )  # fmt: skip
        host, port = bound.getsockname()[:2]
        told(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        async with asyncio.TaskGroup() as tasks:
            if urls:
                tasks.create_task(Webhooks(cluster, list(urls), posted).run())
            tasks.create_task(_until_cancelled(server, bound))
    heard.close()
    posted.close()


async def _until_cancelled(server: Any, bound: socket.socket) -> None:
    """Serve; cancelled, let what is under way come to its end for a moment."""
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving


def _quiet(uvicorn: Any) -> Any:
    """Return uvicorn's server, less its handling of signals: the command line has one."""

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Server


@contextmanager
def _bound(listen: str) -> Iterator[socket.socket]:
    host, port = address_of(listen)
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, number)
    except OSError as error:
        raise errors.ConfigInvalid(f"--listen {listen!r}: {error.strerror}. Nothing was started.") from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError as error:
            raise errors.AddressBusy(f"--listen {listen}: {error.strerror}. Nothing was started.") from error
        yield bound
