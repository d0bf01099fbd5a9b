"""`ebbtide people`: who may sign what people say, and how they say it from elsewhere."""

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import errors, print_json
from peer.cluster.attached import Attached
from peer.observing.json_lines import is_json, log_as_json
from peer.people.person import MAY, Person
from peer.running.app import find_classes
from peer.running.console import HERE, Folder, Json, Log, asked, said
from peer.running.messages import messages_for
from peer.running.noted import app_of
from peer.serving.serve import address_of, is_loopback, serving_alone
from peer.serving.serve import serve as serve_people
from peer.serving.webhooks import checked_urls

group = typer.Typer(
    name="people", rich_markup_mode="markdown",
    pretty_exceptions_short=True, add_completion=False, context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip
"""`ebbtide people` with its subcommands."""


@group.callback()
def people() -> None:
    """Say who may answer for what in a cluster, and with which key.

    Example: `ebbtide people add ann --role treasurer`
    """


@group.command()
def add(
    name: Annotated[str, typer.Argument(help="The person's name, as logs will have it.")],
    role: Annotated[list[str] | None, typer.Option(help="What they may answer for; may be given again.")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Their key. [default: NAME.key here]", show_default=False)
    ] = None,
    days: Annotated[float, typer.Option(help="For how many days it counts; 0: for good.", min=0)] = 365.0,
    may: Annotated[
        list[str] | None,
        typer.Option(help="A right, as `ebbtide access` lists them; may be given again.", show_default=", ".join(MAY)),
    ] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Vouch for a person: whoever holds the cluster's folder can. Run again it renews their certificate or roles.

    A key is made where there is none; it is theirs alone (mode 0600). The certificate goes beside it, as NAME.cert.

    Example: `ebbtide people add ann --role treasurer`
    """
    person = Person.enrol(folder, name, *(role or ()), key=key, days=days, may=tuple(may or MAY))
    path, until_us = key or Path(f"{name}.key"), person.certificate.until_us
    if json_:
        print_json({"name": person.name, "roles": list(person.roles), "key": str(path), "until_us": until_us})
    else:
        roles = f", as {', '.join(person.roles)}" if person.roles else ""
        until = f", until {datetime.fromtimestamp(until_us / 1e6, UTC):%Y-%m-%d}" if until_us else ""
        said(f"{person.name} signs with {path}{roles}{until}")


@group.command()
def serve(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where; port 0 takes one.")] = "127.0.0.1:7474",
    webhook: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Where what comes to wait for people is posted to; may be given again."),
    ] = None,
    open_metrics: Annotated[
        bool, typer.Option("--open-metrics", help="Tell the numbers of /metrics to whoever asks, unsigned.")
    ] = False,
    log: Log = "text",
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Let people look and act over HTTP, who have a key and not the cluster's folder, until interrupted.

    All that they say is signed, on their side: `ebbtide inbox --url URL --as ann.key`, and so on. Needs
    `pip install 'ebbtide[serve]'`. It answers probes (`/healthz`, `/readyz`), and Prometheus at `/metrics`.

    Example: `ebbtide people serve --webhook https://chat.example/hooks/ebbtide`
    """
    urls, (host, _) = checked_urls(webhook or []), address_of(listen)
    if (file := app_of(folder)) is not None:
        find_classes(file)
    if not is_loopback(host):
        errors().print(
            f"note: {host} is reached by others, and this speaks no TLS: have a reverse proxy in front of it that does."
            " Nobody can act in another's name, but who listens on the way can read along.",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    if is_json(log):
        log_as_json(sys.stderr, level=logging.WARNING)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s")

    async def work(cluster: Attached) -> None:
        async def corrected(agent: str, text: str, kind: str | None) -> Any:
            return (await messages_for(cluster, agent, [text], kind))[0]

        def told(url: str) -> None:
            if json_:
                print_json({"url": url})
            else:
                said(f"people are served at {url}, until Ctrl-C")
            sys.stdout.flush()

        await serve_people(cluster, listen, urls, corrected, told, open_metrics)

    with serving_alone(folder):
        asked(folder, work)
