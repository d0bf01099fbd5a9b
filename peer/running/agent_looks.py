"""`ebbtide steps`, `state`, `notices` and `dead`: what one agent has done, holds, was told, and will not handle."""

import sys
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer

from peer.audit.console import SHOWN, Last, console, print_json
from peer.audit.telling import iso
from peer.audit.trail import type_of
from peer.audit.views import clock, listed
from peer.cluster.attached import Attached
from peer.cluster.letters import DeadLetter
from peer.export.lines import step_line
from peer.host.happenings import Missed, Noticed
from peer.host.questions import Notice
from peer.running.console import HERE, Agent, Folder, Json, asked, lines, table
from peer.serving.rows import plain
from peer.values.brief import shown
from protocol.ids import AgentId


def steps(
    agent: Agent,
    folder: Folder = HERE,
    undone: Annotated[
        bool | None, typer.Option("--undone/--standing", help="Only steps that were undone; or only those that stand.")
    ] = None,
    handled: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Only steps that handled a message of this class: Order, int.")
    ] = None,
    confidence_below: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Only steps that reported less confidence.")
    ] = None,
    last: Last = None,
    json_: Json = False,
) -> None:
    """Show an agent's steps, undone ones too; those before the oldest checkpoint are compacted.

    With --json, a line is one of steps.jsonl (docs/export.md). `ebbtide log show` tells more, from the logs.

    Examples: `ebbtide steps buyer --undone`, `ebbtide steps buyer --standing --handled Order --confidence-below 0.4`
    """
    count = last if last is not None else 0 if json_ else SHOWN
    chosen: deque[dict[str, Any]] = deque(maxlen=count or None)
    told = 0

    async def look(cluster: Attached) -> None:
        nonlocal told
        found = cluster.steps(agent, handled=handled, undone=undone, confidence_below=confidence_below)
        async for page in found.pages():
            for record, by in zip(page.records, page.retracted_by, strict=True):
                told += 1
                line = step_line(record, by, page.effects)
                if json_ and not count:
                    print_json(line)  # as they come: there may be a million
                else:
                    chosen.append(line | {"type": type_of(record.input.payload)})

    asked(folder, look)
    if json_:
        for line in chosen:
            line.pop("type")
        lines(chosen)
        return
    rows = [
        {
            "time_(UTC)": clock(line["time"])[:-3],
            "step": line["step"],
            "input": f"{line['type']} {line['input']['id']}".strip(),
            "wrote": listed([write["key"] for write in line["writes"]]),
            "sent_to": listed([send["to"] for send in line["sends"]]),
            "calls": listed([f"{call['tool'].rpartition(':')[2]} {call['state']}" for call in
                             line["calls"]]),
            "undone_by": line["retracted_by"],
        }
        for line in chosen
    ]  # fmt: skip
    table(rows, ("time_(UTC)", "step", "input", "wrote", "sent_to", "calls", "undone_by"), "no steps")
    if len(chosen) < told:
        console().print(f"the last {len(chosen)} of {told}; --last 0 shows all", highlight=False)


def state(
    agent: Agent,
    at: Annotated[str | None, typer.Option(metavar="STEP", help="As it stood right after this step.")] = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Show an agent's state, without what was undone: now, or as it stood after a step.

    With --json, a line is a key and its value; what JSON lacks becomes a text.

    Examples: `ebbtide state buyer`, `ebbtide state buyer --at buyer/1/17`
    """

    async def look(cluster: Attached) -> dict[Any, Any]:
        return await cluster.state(agent, at)

    found = asked(folder, look)
    if json_:
        lines({"key": plain(key), "value": plain(value)} for key, value in found.items())
    else:
        rows = (
            {"key": key if isinstance(key, str) else shown(key), "value": shown(each)} for key, each in found.items()
        )
        table(rows, ("key", "value"), f"{agent} holds nothing")


def dead(agent: Agent, folder: Folder = HERE, json_: Json = False) -> None:
    """Show the inputs that an agent will not handle (dead letters), each with the reason.

    Example: `ebbtide dead cashier`
    """

    async def look(cluster: Attached) -> list[DeadLetter]:
        return await cluster.dead_letters(agent)

    rows = [
        {
            "name": each.name,
            "input": str(each.input),
            "sender": each.input.sender,
            "type": type_of(each.input.payload),
            "why": each.reason,
            "to": each.to,
        }
        for each in asked(folder, look)
    ]
    if json_:
        lines(rows)
    else:
        table(rows, ("input", "type", "why"), f"{agent} has no dead letters")


def notices(
    agent: Agent,
    folder: Folder = HERE,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on telling, until interrupted.")] = False,
    json_: Json = False,
) -> None:
    """Show the lines for whoever audits: of an agent, and of its host in its present life.

    Example: `ebbtide notices buyer --follow`
    """

    async def tell(cluster: Attached) -> None:
        told = False
        async for notice in _notices(cluster, agent, follow):
            told = True
            if json_:
                print_json(_line(notice))
                sys.stdout.flush()
            else:
                text = f"{iso(notice.time_us)} {notice.agent} {notice.notice} {notice.subject} {notice.detail}".strip()
                console().print(text, highlight=False, markup=False, soft_wrap=True)
        if not told and not json_:
            console().print(f"no notices of {agent}", highlight=False, markup=False)

    asked(folder, tell)


def _line(notice: Notice) -> dict[str, Any]:
    return {
        "time": notice.time_us,
        "agent": notice.agent,
        "notice": notice.notice,
        "subject": notice.subject,
        "detail": notice.detail,
    }


async def _notices(cluster: Attached, agent: AgentId, follow: bool) -> AsyncIterator[Notice]:
    if not follow:
        for notice in await cluster.notices(agent):
            yield notice
        return
    async with cluster.watch("notices", agent) as events:
        last_us = 0
        for notice in await cluster.notices(agent):
            last_us = notice.time_us
            yield notice
        async for each in events:
            time_us = round(each.at.timestamp() * 1e6)
            if isinstance(each, Missed):
                count = "some" if each.count is None else str(each.count)
                yield Notice(time_us, agent, "notices-missed", count, each.why)
            elif isinstance(each, Noticed) and time_us > last_us:
                # What was there when they were listed was told then: its host has one clock.
                yield Notice(time_us, each.agent, each.notice, each.subject, each.detail)
