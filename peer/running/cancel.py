"""`ebbtide cancel`: inputs that are called off, whether they wait or run."""

from typing import Annotated

import typer

from peer.audit.console import WRONG, print_json
from peer.cluster.attached import Attached
from peer.errors import InputHandled, InputUnknown
from peer.running.console import HERE, Agent, Folder, Json, asked, said


def cancel(
    agent: Agent,
    names: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Of inputs, as `ebbtide submit` and notices name them.")
    ],
    why: Annotated[str, typer.Option(help="Why; it stands in the log.")] = "",
    by: Annotated[str | None, typer.Option(help="Who says so. [default: you]")] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Call off inputs that wait or run. They become dead letters, which `ebbtide redrive` has handled after all.

    Exits with 1 if one could not be called off: it has become a step, which `ebbtide rollback` undoes, or is unknown.

    Example: `ebbtide cancel cashier 'ext:web#17' --why 'ordered twice'`
    """

    async def act(cluster: Attached) -> list[tuple[str, str]]:
        done: list[tuple[str, str]] = []
        for name in dict.fromkeys(names):
            try:
                await cluster.cancel(agent, name, why=why, by=by)
                done.append((name, ""))
            except (InputHandled, InputUnknown) as error:
                done.append((name, str(error)))
        return done

    done = asked(folder, act)
    for name, error in done:
        if json_:
            print_json({"name": name, "error": error})
        else:
            said(error or f"{name}: called off")
    if any(error for _, error in done):
        raise typer.Exit(WRONG)
