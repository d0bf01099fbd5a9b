"""`ebbtide access`: who belongs to a cluster and may do what; tokens, revocations, another authority."""

from typing import Annotated

import typer

from peer.audit.console import errors, print_json
from peer.audit.telling import iso
from peer.cluster.attached import Attached
from peer.running.console import HERE, Folder, Json, Timeout, Yes, asked, said, sure, table
from peer.trust.rights import OF_HOSTS

group = typer.Typer(
    name="access", rich_markup_mode="markdown", no_args_is_help=True,
    pretty_exceptions_short=True, add_completion=False, context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip
"""`ebbtide access` with its subcommands."""

Why = Annotated[str, typer.Option("--why", help="Stands in every host's log.")]


@group.callback()
def access() -> None:
    """Say who belongs to a cluster, and who may do what.

    A grant gives rights, each `VERB:AGENTS`. The verbs: `host` (be a member on which these agents live), `look`,
    `submit`, `rollback`, `release` (say of requests, effects, pauses and tiers), `restore` (checkpoints and restores),
    `evict` (moves, hosts that leave, revocations). The agents: one name, names that begin alike (`orders-*`), or `*`.

    Example: `ebbtide access members`
    """


@group.command()
def members(folder: Folder = HERE, json_: Json = False) -> None:
    """List the hosts, by what each belongs, and what it may.

    Example: `ebbtide access members --json`
    """

    async def look(cluster: Attached) -> list[dict[str, object]]:
        return [
            {
                "host": each.host, "name": each.name, "may": list(each.may), "until_us": each.until_us,
                "grants": list(each.grants), "agents": len(each.agents), "address": each.address,
                "out": each.why_out,
            }
            for each in cluster.access.members()
        ]  # fmt: skip

    found = asked(folder, look)
    if json_:
        for each in found:
            print_json(each)
        return
    rows = [
        {**each, "may": ", ".join(each["may"]), "grants": " > ".join(each["grants"]),  # type: ignore[arg-type]
         "until": iso(each["until_us"]) if each["until_us"] else "", "address": str(each["address"]).split("?")[0]}  # type: ignore[arg-type]
        for each in found
    ]  # fmt: skip
    table(rows, ("host", "name", "agents", "may", "until", "grants", "address", "out"), "no host has been heard of")


@group.command()
def token(
    name: Annotated[str, typer.Argument(help="Of the token: its members are told by it.")],
    may: Annotated[
        list[str] | None, typer.Option(help="A right; may be given again.", show_default=", ".join(OF_HOSTS))
    ] = None,
    uses: Annotated[int, typer.Option(help="How many may come by it; 0: any number.", min=0)] = 1,
    hours: Annotated[float, typer.Option(help="For how long it counts; 0: for good.", min=0)] = 24.0,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Make a token by which somebody may join, on this machine or another: `Cluster.attach(token=...)`. It is a secret.

    Example: `ebbtide access token desk --may look:* --may submit:orders-* --hours 8`
    """

    async def make(cluster: Attached) -> str:
        return cluster.access.token(name, tuple(may or OF_HOSTS), uses=uses, hours=hours)

    found = asked(folder, make)
    if json_:
        print_json({"name": name, "token": found})
    else:
        typer.echo(found)


@group.command()
def revoke(
    what: Annotated[
        str, typer.Argument(help="A grant's id, a host's id or name, or a public key: see `ebbtide access members`.")
    ],
    why: Why,
    yes: Yes = False,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Have a grant count no more, and all that was granted by it. Every host hears of it; no restore brings it back.

    Example: `ebbtide access revoke 3bf7e465c6abc000 --why 'the laptop is lost'`
    """
    sure(f"{what} will count no more, for good", yes)

    async def say(cluster: Attached) -> int:
        return await cluster.access.revoke(what, why)

    found = asked(folder, say)
    if json_:
        print_json({"revoked": what, "hosts": found})
    else:
        said(f"{what} counts no more; {found} hosts have it in their logs")


@group.command()
def rotate(timeout: Timeout = 60.0, yes: Yes = False, folder: Folder = HERE, json_: Json = False) -> None:
    """Give the cluster another authority while it runs: hosts get new grants, then the old key counts no more.

    Grants of people and tokens end with it: make them anew. What ends halfway is gone on with by the next call.

    Example: `ebbtide access rotate`
    """
    sure("grants of people, and tokens, will count no more", yes)

    async def change(cluster: Attached) -> int:
        with errors().status("the hosts take their new grants") as status:
            return await cluster.access.rotate(
                timeout, lambda done, of: status.update(f"{done} of {of} hosts have their new grants")
            )

    found = asked(folder, change)
    if json_:
        print_json({"hosts": found})
    else:
        said(f"{found} hosts have new grants; the old authority counts no more")
