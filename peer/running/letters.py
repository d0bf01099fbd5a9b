"""`ebbtide redrive`: dead letters that are handled after all, or dropped."""

from typing import Annotated

import typer

from peer.audit.console import WRONG, print_json
from peer.cluster.attached import Attached
from peer.cluster.letters import DeadLetter
from peer.errors import CallerError
from peer.running.console import HERE, Agent, Folder, Json, Yes, asked, said, sure


def redrive(
    agent: Agent,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Of dead letters, as `ebbtide dead --json` has them."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of the agent's dead letters.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Drop them instead: they are listed no more.")] = False,
    yes: Yes = False,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Have an agent handle dead letters after all, or drop them; what that concerns is shown first, and asked.

    Exits with 1 if one could not be taken up: its sender is undone, or it waits for a name that nobody has.

    Examples: `ebbtide redrive cashier --all`, `ebbtide redrive cashier 'ext:web#17' --drop --yes`
    """
    wanted = dict.fromkeys(names or ())
    if bool(wanted) == all_:
        raise CallerError("name dead letters, or say --all. Nothing was done. `ebbtide dead` lists them.")

    async def look(cluster: Attached) -> list[DeadLetter]:
        return await cluster.dead_letters(agent)

    async def act(cluster: Attached) -> list[tuple[str, str, str]]:
        done: list[tuple[str, str, str]] = []
        for letter in await cluster.dead_letters(agent):
            if all_ or letter.name in wanted:
                try:
                    again = "" if drop else await letter.redrive()
                    if drop:
                        await letter.discard()
                    done.append((letter.name, again, ""))
                except CallerError as error:
                    done.append((letter.name, "", str(error)))
        return done

    found = {letter.name: letter for letter in asked(folder, look)}
    for name in wanted:
        if name not in found:
            raise CallerError(f"{agent} has no dead letter {name!r}. Nothing was done. See `ebbtide dead {agent}`.")
    chosen = [letter for name, letter in found.items() if all_ or name in wanted]
    if not yes:
        for letter in chosen:
            said(f"{letter.name}: {letter.reason}")
        sure(f"{'Drop' if drop else 'Handle again'} {len(chosen)} of {agent}'s dead letters?", yes)
    done = asked(folder, act)
    for name, again, error in done:
        if json_:
            print_json({"name": name, "again": again, "error": error})
        else:
            said(f"{name}: {error or ('dropped' if drop else f'handled again, as {again}')}")
    if any(error for _, _, error in done):
        raise typer.Exit(WRONG)
