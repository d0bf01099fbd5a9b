"""`ebbtide effects`: calls of tools that are to be undone or in doubt, and who says what became of them."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from peer.audit.console import print_json
from peer.cluster.attached import Attached
from peer.cluster.effects import Effect
from peer.errors import CallerError
from peer.running.console import HERE, Folder, Json, asked, lines, said, table
from peer.serving.rows import plain

LIST = "list"


class Effects(TyperGroup):
    """Lists where no subcommand is named: `ebbtide effects buyer` is `ebbtide effects list buyer`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in the subcommand that is meant."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [LIST, *args]
        return super().parse_args(ctx, args)


_HELP = """Show effects that are to be undone or in doubt; try an undo again, or say what became of an effect.

`ebbtide effects [AGENT]` lists them, of one agent or of all.

    ebbtide effects
    ebbtide effects retry 'buyer/1/17#1'
    ebbtide effects settle 'buyer/1/17#1' --happened --note 'the bank says so'
"""

group = typer.Typer(
    cls=Effects, name="effects", help=_HELP, rich_markup_mode="markdown", pretty_exceptions_short=True,
    add_completion=False, context_settings={"help_option_names": ["--help", "-h"]},
)  # fmt: skip
"""`ebbtide effects` with its subcommands."""

Intent = Annotated[str, typer.Argument(metavar="INTENT", help="The call's name, as `ebbtide effects` shows it.")]


@group.command(LIST)
def list_(
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Of this agent alone.")] = None,
    folder: Folder = HERE,
    settled: Annotated[bool, typer.Option("--settled", help="Show those that are done, undone or kept, too.")] = False,
    json_: Json = False,
) -> None:
    """Show effects that are to be undone or in doubt, of one agent or of all.

    Example: `ebbtide effects buyer --settled`
    """

    async def look(cluster: Attached) -> list[Effect]:
        return await cluster.effects(agent, settled=settled)

    rows = [_row(effect) for effect in asked(folder, look)]
    if json_:
        lines(rows)
    else:
        columns = ("intent", "tool", "args", "state", "steps", "tries", "why")
        table(rows, columns, "no effects" if settled else "no effects are to be undone or in doubt")


def _row(effect: Effect) -> dict[str, Any]:
    return {
        "intent": effect.intent,
        "agent": effect.agent,
        "tool": effect.tool,
        "args": plain(effect.args),
        "kwargs": plain(effect.kwargs),
        "state": effect.state,
        "steps": [str(step) for step in effect.steps],
        "pending": effect.pending,
        "tries": effect.tries,
        "why": effect.why,
        "again_s": effect.again_s,
    }


@group.command()
def retry(intent: Intent, folder: Folder = HERE, json_: Json = False) -> None:
    """Have an undo tried now, or ask once more about an effect in doubt.

    Example: `ebbtide effects retry 'buyer/1/17#1'`
    """

    async def again(cluster: Attached) -> str:
        return await cluster.retry(intent)

    _tell(intent, asked(folder, again), json_)


@group.command()
def settle(
    intent: Intent,
    happened: Annotated[
        bool | None,
        typer.Option("--happened/--gone", help="It stands in the world, or it does not.", show_default=False),
    ] = None,
    note: Annotated[str, typer.Option(help="Why; it stands in the log.")] = "",
    by: Annotated[str | None, typer.Option(help="Who says so. [default: you]")] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Say what has become of an effect that is to be undone, or in doubt: it is not tried any more.

    What is to be undone and has --happened stays as it is. What was in doubt and has --happened is undone if no step
    stands behind it.

    Example: `ebbtide effects settle 'buyer/1/17#1' --gone --note 'refunded by hand'`
    """
    if happened is None or not note:
        raise CallerError("say --happened or --gone, and why: --note. Nothing was settled.")

    async def say(cluster: Attached) -> str:
        return await cluster.settle(intent, happened=happened, note=note, by=by)

    _tell(intent, asked(folder, say), json_)


def _tell(intent: str, state: str, json_: bool) -> None:
    if json_:
        print_json({"intent": intent, "state": state})
    else:
        said(f"{intent} is {state}")
