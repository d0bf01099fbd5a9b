"""`ebbtide watch`: what happens in a running cluster, as it happens."""

import sys
from typing import Annotated, Any

import msgspec
import typer

from peer.audit.console import print_json
from peer.audit.telling import iso
from peer.backends.admission import addresses_in
from peer.cluster.attached import Attached
from peer.cluster.happenings import checked_kinds
from peer.host.happenings import KIND_OF, KINDS, Happening
from peer.running.console import HERE, Folder, Json, asked, said
from protocol.ids import StepId

MISSED = "missed"
"""Said in place of a kind, of what was missed."""


def watch(
    kind: Annotated[
        list[str] | None, typer.Option(help=f"What is told, of {', '.join(KINDS)}; may be said again. [default: all]")
    ] = None,
    agent: Annotated[
        list[str] | None, typer.Option(metavar="AGENT", help="Of whom; may be said again. [default: all]")
    ] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Tell what happens in a running cluster, as it happens, until interrupted: a line each.

    That something was missed, since it was too much to be told or a host was started again, is a line of its own.

    Examples: `ebbtide watch`, `ebbtide watch --kind rollbacks --kind dead_letters --json`
    """
    kinds = checked_kinds(kind or None)

    async def tell(cluster: Attached) -> None:
        async with cluster.watch(kinds, agent or ()) as events:
            async for happening in events:
                line = line_of(happening)
                if "host" in line:
                    names = {each.host: name for name, each in addresses_in(cluster.folder).items()}
                    line["host"] = names.get(line["host"], line["host"])
                if json_:
                    print_json(line)
                    sys.stdout.flush()
                else:
                    said(text_of(line))

    asked(folder, tell)


def line_of(happening: Happening) -> dict[str, Any]:
    """Return what has happened as JSON has it: its kind, its class, and its fields."""
    fields = {name: _plain(value) for name, value in msgspec.structs.asdict(happening).items() if name != "at"}
    head = {"time": round(happening.at.timestamp() * 1e6), "kind": KIND_OF.get(type(happening), MISSED)}
    return head | {"event": type(happening).__name__} | fields


def text_of(line: dict[str, Any]) -> str:
    """Return a line for people: what there is to say, by name."""
    rest = {name: value for name, value in line.items() if name not in ("time", "kind", "event")}
    told = (
        f"{name}={', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in rest.items()
        if value not in ("", None, [])
    )
    return " ".join([iso(line["time"]), line["event"], *told])


def _plain(value: Any) -> Any:
    if isinstance(value, StepId):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
