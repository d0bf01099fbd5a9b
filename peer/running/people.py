"""`ebbtide people add`: who may sign what people say."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from peer.audit.console import print_json
from peer.people.person import Person
from peer.running.console import HERE, Folder, Json, said

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
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Vouch for a person: whoever holds the cluster's folder can. Run again it renews their certificate or roles.

    A key is made where there is none; it is theirs alone (mode 0600). The certificate goes beside it, as NAME.cert.

    Example: `ebbtide people add ann --role treasurer`
    """
    person = Person.enrol(folder, name, *(role or ()), key=key, days=days)
    path, until_us = key or Path(f"{name}.key"), person.certificate.until_us
    if json_:
        print_json({"name": person.name, "roles": list(person.roles), "key": str(path), "until_us": until_us})
    else:
        roles = f", as {', '.join(person.roles)}" if person.roles else ""
        until = f", until {datetime.fromtimestamp(until_us / 1e6, UTC):%Y-%m-%d}" if until_us else ""
        said(f"{person.name} signs with {path}{roles}{until}")
