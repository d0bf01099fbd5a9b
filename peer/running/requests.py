"""What waits to be let go, or for people, and who says what: `ebbtide requests`, `inbox`, `approve` and the like."""

from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import print_json
from peer.cluster.attached import Attached
from peer.cluster.requests import PendingRequest
from peer.errors import CallerError
from peer.people.person import Person
from peer.running.console import HERE, Agent, Folder, Json, Url, asked, asked_there, lines, said, table
from peer.running.messages import plain_or_text
from peer.serving.remote import Remote
from peer.serving.rows import request_row
from peer.serving.service import DONE

Name = Annotated[
    str, typer.Argument(metavar="REQUEST", help="Its name, as `ebbtide inbox` and `ebbtide requests` show it.")
]
Note = Annotated[str, typer.Option(help="Why; it stands in the log.")]
By = Annotated[str | None, typer.Option(help="Who says so. [default: you]")]
As = Annotated[Path | None, typer.Option("--as", metavar="KEY", help="Sign with this key, of `ebbtide people add`.")]


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

    rows = [request_row(each) for each in asked(folder, look)]
    if json_:
        lines(rows)
    else:
        table(
            rows,
            ("agent", "request", "step", "tool", "args", "approved", "group", "undo"),
            "nothing waits to be let go",
        )


def inbox(
    who: Annotated[
        str | None, typer.Option("--for", metavar="NAME", help="What this person or role is asked alone.")
    ] = None,
    key: As = None,
    url: Url = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Show what waits for people: questions of agents, and tools that may not be called before somebody agrees.

    Answer by `ebbtide approve`, `reject` and `answer`.

    Example: `ebbtide inbox --for treasurer`
    """
    signer = None if key is None else Person.load(key)

    async def look(cluster: Attached | Remote) -> list[PendingRequest]:
        return await cluster.inbox(who or signer)

    rows = [request_row(each) for each in asked_there(url, signer, folder, look)]
    if json_:
        lines(rows)
    else:
        table(
            rows,
            ("agent", "request", "question", "options", "asks", "undo", "since", "until"),
            "nobody is asked anything",
        )


def release(
    agent: Agent, request: Name, note: Note = "", by: By = None, key: As = None, url: Url = None,
    folder: Folder = HERE, json_: Json = False,
) -> None:  # fmt: skip
    """Have a tool called now that nobody can undo, though the step that has requested it is not settled.

    From then on its agent rejects rollbacks that would undo that step.

    Example: `ebbtide release clerk 'ext:cluster-1#4/0' --note 'the customer waits'`
    """
    if not note:
        raise CallerError("say why: --note. Nothing was released.")
    _say("release", agent, request, note, by, key, url, folder, json_)


def approve(
    agent: Agent, request: Name, note: Note = "", by: By = None, key: As = None, url: Url = None,
    folder: Folder = HERE, json_: Json = False,
) -> None:  # fmt: skip
    """Agree that a tool is called. One that nobody can undo is called once its step is settled.

    Example: `ebbtide approve clerk 'ext:cluster-1#4/0' --as ann.key`
    """
    _say("approve", agent, request, note, by, key, url, folder, json_)


def reject(
    agent: Agent, request: Name, note: Note = "", by: By = None, key: As = None, url: Url = None,
    folder: Folder = HERE, json_: Json = False,
) -> None:  # fmt: skip
    """Have a tool not called, or a question not answered: the agent is told who says so, and why.

    Example: `ebbtide reject clerk 'ext:cluster-1#4/0' --note 'too much' --as ann.key`
    """
    _say("reject", agent, request, note, by, key, url, folder, json_)


def answer(
    agent: Agent,
    request: Name,
    value: Annotated[str, typer.Argument(help="The answer: JSON, or a plain text.")],
    note: Note = "",
    by: By = None,
    key: As = None,
    url: Url = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Answer a question that an agent has asked.

    Example: `ebbtide answer clerk 'ext:cluster-1#4/0' '"by ship"' --as ann.key`
    """
    _say("answer", agent, request, note, by, key, url, folder, json_, (plain_or_text(value),))


def pause(
    agent: Agent, note: Note = "", by: By = None, key: As = None, url: Url = None, folder: Folder = HERE,
    json_: Json = False,
) -> None:  # fmt: skip
    """Have an agent begin no step, and let nothing go, until it is resumed; also over restarts.

    Example: `ebbtide pause clerk --note 'it pays twice'`
    """
    _pause(True, agent, note, by, key, url, folder, json_)


def resume(
    agent: Agent, note: Note = "", by: By = None, key: As = None, url: Url = None, folder: Folder = HERE,
    json_: Json = False,
) -> None:  # fmt: skip
    """Let a paused agent go on.

    Example: `ebbtide resume clerk`
    """
    _pause(False, agent, note, by, key, url, folder, json_)


def _pause(
    is_on: bool, agent: str, note: str, by: str | None, key: Path | None, url: str | None, folder: Path, json_: bool
) -> None:  # fmt: skip
    signer = None if key is None else Person.load(key)

    async def say(cluster: Attached | Remote) -> None:
        await (cluster.pause if is_on else cluster.resume)(agent, note, by, as_=signer)

    asked_there(url, signer, folder, say)
    state = "paused" if is_on else "resumed"
    if json_:
        print_json({"agent": agent, "state": state})
    else:
        said(f"{agent} is {state}")


def _say(
    verb: str, agent: str, request: str, note: str, by: str | None, key: Path | None, url: str | None, folder: Path,
    json_: bool, value: tuple[Any, ...] = (),
) -> None:  # fmt: skip
    signer = None if key is None else Person.load(key)

    async def say(cluster: Attached | Remote) -> None:
        await getattr(cluster, verb)(agent, request, *value, note, by, as_=signer)

    asked_there(url, signer, folder, say)
    if json_:
        print_json({"agent": agent, "request": request, "state": DONE[verb]})
    else:
        said(f"{request} of {agent} is {DONE[verb]}")
