"""`ebbtide up`: bring up the agents that a file names, and keep them up."""

import asyncio
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import WRONG, errors, progress
from peer.backends import BACKENDS, ray_address, ray_head
from peer.backends.left import end_left
from peer.backends.output import kept
from peer.backends.packing import counting, few
from peer.backends.roll import check_usable, seats_in
from peer.cluster.cluster import Cluster
from peer.errors import ConfigInvalid
from peer.observing.json_lines import JSON, VARIABLE, is_json, log_as_json
from peer.running.app import App, read_app
from peer.running.console import HERE, Folder, Log, said
from peer.running.noted import Noted, note, noted_in
from peer.running.token import use_token
from peer.store.lock import lock
from peer.trust import authority

CPUS = 2
"""Of a Ray that is started here, as for `Cluster("ray")`: hosts take none of them."""
END_S = 60.0
NAMED = 20
"""Agents that are named, of those that are up."""
_OURS = {"folder": "--folder", "listen": "the local backend listens"}


def up(
    app: Annotated[Path, typer.Argument(metavar="APP", help="The Python file that names the agents.")],
    folder: Folder = HERE,
    backend: Annotated[
        str | None,
        typer.Option(help="ray: hosts that go on when this command ends. local: all in this process. [default: ray]"),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray that runs already, as host:port or auto. [default: one is started]")
    ] = None,
    agents_per_actor: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|auto", help="How many agents share a host; auto: a host for each processor. [default: 1]"
        ),
    ] = None,
    durability: Annotated[
        str | None,
        typer.Option(help="When a step counts. local: fsynced here. replicated(k): with k other hosts, too."),
    ] = None,
    checkpoint_every: Annotated[
        float | None, typer.Option(help="Seconds from one checkpoint of all agents to the next; 0: only when asked.")
    ] = None,
    log: Log = "text",
) -> None:
    """Bring up the agents that a file names; those that have lived in the folder go on as they were.

    The file says `agents = {"buyer": Buyer, "seller": (Seller, {"price": 3})}`, and may say `options = {...}`, as
    Cluster takes them; options here come before those. An `async def main(cluster)` is run when all agents are up.

    On Ray the hosts go on when this command, its terminal or its process ends. On `local` all is in this process, until
    it is told to end by Ctrl-C, SIGTERM or `ebbtide down`. Agents that live in the folder, and that the file does not
    name, are not started; their logs stay.

    Examples: `ebbtide up shop.py --folder run`, `ebbtide up shop.py --backend local --durability 'replicated(1)'`
    """
    as_json = is_json(log)
    read = read_app(app)
    for name, instead in _OURS.items():
        if name in read.options:
            raise ConfigInvalid(f"{app}: options names {name!r}. Nothing was started. Leave it out: {instead}.")
    together = int(agents_per_actor) if agents_per_actor and agents_per_actor.isdecimal() else agents_per_actor
    given = {
        "backend": backend, "address": address, "agents_per_actor": together, "durability": durability,
        "checkpoint_every_s": checkpoint_every,
    }  # fmt: skip
    settings = read.options | {name: value for name, value in given.items() if value is not None}
    chosen = settings.pop("backend", "ray")
    if chosen not in BACKENDS:
        raise ConfigInvalid(f"backend={chosen!r} is none of {', '.join(BACKENDS)}. Nothing was started.")
    if chosen == "local" and "address" in settings:
        raise ConfigInvalid("--address is that of a Ray, and the backend is local. Nothing was started.")
    if as_json:
        log_as_json(sys.stderr)
    if chosen == "local":
        with kept(folder):
            asyncio.run(_serve(read, folder, settings))
        return
    check_usable(folder)
    held = lock(folder)
    try:
        _launch(read, folder, settings, as_json)
    finally:
        os.close(held)


async def _serve(app: App, folder: Path, settings: dict[str, Any]) -> None:
    """Run a cluster in this process, until it is told to end."""
    async with Cluster("local", folder=folder, listen=True, **settings) as cluster:
        await _bring_up(app, cluster, "local")
        said(f"It goes on until Ctrl-C, SIGTERM or: ebbtide down {folder}")
        await _run_main(app, cluster)
        await asyncio.Event().wait()


def _launch(app: App, folder: Path, settings: dict[str, Any], as_json: bool) -> None:
    """Have hosts launched that go on when this command has ended, on a Ray that does; what fails leaves nothing."""
    address = ray_address.wanted(settings.pop("address", None))
    folders = [str(app.file.resolve().parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings.setdefault("runtime_env", {"env_vars": {"PYTHONPATH": os.pathsep.join(folders)}})
    if as_json:
        env = settings["runtime_env"]
        settings["runtime_env"] = env | {"env_vars": env.get("env_vars", {}) | {VARIABLE: JSON}}
    settings["detached"] = True
    if address is not None:
        asyncio.run(_go(app, folder, settings | {"address": address}, address))
        return
    is_new = ray_head.head_in(folder) is None
    root = authority.load_or_create(folder)
    try:
        head = ray_head.start(folder, root, settings.pop("num_cpus", CPUS))
        use_token(folder)
        settings |= {"address": head.address, "bind": "tcp://127.0.0.1:*"}
        asyncio.run(_go(app, folder, settings, ""))
    except BaseException:
        if is_new:
            ray_head.end(folder, END_S)
        raise


async def _go(app: App, folder: Path, settings: dict[str, Any], address: str) -> None:
    before = noted_in(folder)
    async with Cluster("ray", folder=folder, **settings) as cluster:
        # None of its hosts is on that Ray, and they were to be there before: so the one that had them is gone.
        if before is not None and before.backend == "ray" and before.address == address and (ended := end_left(folder)):
            said(f"{', '.join(ended)} went on without their Ray; they have ended, and are taken back")
        await _bring_up(app, cluster, "ray", address)
        await _run_main(app, cluster)
        await cluster.detach()
    said(f"It goes on by itself until: ebbtide down {folder}")


async def _bring_up(app: App, cluster: Cluster, backend: str, address: str = "") -> None:
    note(cluster.folder, Noted(str(app.file.resolve()), backend, address))
    named = [spec.name for spec in app.agents]
    left = {
        agent: name for name, seat in seats_in(cluster.folder).items() for agent in seat.agents if agent not in named
    }
    with progress("starting agents") as bar:
        await cluster.spawn_all(app.agents, counting(bar, len(named)))
    said(f"{len(named)} agents are up in {cluster.folder} ({backend}): {few(named, NAMED)}")
    for agent, host in left.items():
        errors().print(
            f"note: {agent} has lived in {host}, and {app.file.name} does not name it: it is not up, and its log stays."
            " While a host is not up, no checkpoint is committed.",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


async def _run_main(app: App, cluster: Cluster) -> None:
    """Run what the file wants done once the agents are up.

    Raises: Exit, with 1, if it raises: its traceback is shown, as Python would.
    """
    if app.has_other_main:
        errors().print(
            f"note: main of {app.file.name} is not run: it is no 'async def main(cluster)'.",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    if app.main is None:
        return
    try:
        await app.main(cluster)
    except Exception as error:
        traceback.print_exc()
        raise typer.Exit(WRONG) from error
