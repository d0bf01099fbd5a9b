"""`ebbtide requests` and `ebbtide release`: what waits to be let go, and who lets it go."""

from typing import Annotated

import typer

from peer.audit.console import print_json
from peer.cluster.attached import Attached
from peer.cluster.requests import PendingRequest
from peer.errors import CallerError
from peer.running.console import HERE, Agent, Folder, Json, asked, lines, plain, said, table


def requests(
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Of this agent alone.")] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Show the tools that agents have requested and that are not called yet: their steps are not settled.

    Example: `ebbtide requests clerk`
    """

    async def look(cluster: Attached) -> list[PendingRequest]:
        return await cluster.requests(agent)

    rows = [
        {
            "agent": each.agent,
            "request": each.name,
            "step": str(each.step),
            "tool": each.tool,
            "kind": each.kind,
            "args": plain(each.args),
            "kwargs": plain(each.kwargs),
            "since_us": each.since_us,
            "until_us": each.until_us,
        }
        for each in asked(folder, look)
    ]
    if json_:
        lines(rows)
    else:
        table(rows, ("agent", "request", "step", "tool", "args"), "nothing waits to be let go")


def release(
    agent: Agent,
    request: Annotated[str, typer.Argument(help="Its name, as `ebbtide requests` shows it.")],
    note: Annotated[str, typer.Option(help="Why; it stands in the log.")] = "",
    by: Annotated[str | None, typer.Option(help="Who says so. [default: you]")] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Have a tool called now that nobody can undo, though the step that has requested it is not settled.

    From then on its agent rejects rollbacks that would undo that step.

    Example: `ebbtide release clerk 'ext:cluster-1#4/0' --note 'the customer waits'`
    """
    if not note:
        raise CallerError("say why: --note. Nothing was released.")

    async def let_go(cluster: Attached) -> None:
        await cluster.release(agent, request, note, by)

    asked(folder, let_go)
    if json_:
        print_json({"agent": agent, "request": request, "state": "released"})
    else:
        said(f"{request} of {agent} is let go")
