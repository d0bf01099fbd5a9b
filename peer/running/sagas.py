"""`ebbtide sagas`: how they stand, and who has one fail."""

from typing import Annotated

import typer

from peer.audit.console import print_json
from peer.cluster.attached import Attached
from peer.cluster.sagas import SagaSeen
from peer.errors import CallerError
from peer.running.console import HERE, Folder, Json, asked, lines, said, table


def sagas(
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Of this agent alone.")] = None,
    name: Annotated[
        str | None, typer.Option("--fail", metavar="SAGA", help="Have this one of the agent's fail.")
    ] = None,
    why: Annotated[str, typer.Option(help="Why it fails; the agent is told.")] = "",
    by: Annotated[str | None, typer.Option(help="Who says so. [default: you]")] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Show the sagas that agents have begun; with --fail have one fail, so that all that belongs to it is undone.

    Examples: `ebbtide sagas`, `ebbtide sagas agency --fail trip-7 --why 'the guest has cancelled'`
    """
    if name is not None:
        _fail(agent, name, why, by, folder, json_)
        return

    async def look(cluster: Attached) -> list[SagaSeen]:
        return await cluster.sagas(agent)

    rows = [
        {
            "agent": each.agent,
            "saga": each.name,
            "status": each.status,
            "step": str(each.root),
            "within": each.within,
            "why": each.why,
            "by": each.by,
            "checks": [{"name": check, "holds": holds, "text": text} for check, holds, text in each.checks],
        }
        for each in asked(folder, look)
    ]
    if json_:
        lines(rows)
    else:
        table(rows, ("agent", "saga", "status", "step", "within", "why", "by"), "no sagas")


def _fail(agent: str | None, name: str, why: str, by: str | None, folder: Folder, json_: bool) -> None:
    if agent is None or not why:
        raise CallerError("name the agent that has begun it, and say why: --why. Nothing changed.")

    async def fail(cluster: Attached) -> None:
        await (await cluster.fail_saga(agent, name, why, by)).done()

    asked(folder, fail)
    if json_:
        print_json({"agent": agent, "saga": name, "state": "fails"})
    else:
        said(f"saga {name} of {agent} fails: {why}")
