"""`ebbtide suspect`, `overturn` and `suspicions`: what people say of steps, and what watchers have come to."""

from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit.console import print_json
from peer.cluster.attached import Attached
from peer.cluster.doubting import Overturned
from peer.cluster.inlet import Receipt
from peer.errors import CallerError
from peer.people.person import Person
from peer.running.console import HERE, Agent, Folder, Json, Timeout, Url, asked, asked_there, lines, said, table
from peer.running.requests import As, By
from peer.serving.remote import Remote
from peer.serving.rows import overturned_row, suspected_row
from peer.watching import doubted

Steps = Annotated[list[str], typer.Argument(metavar="STEP...", help="As `ebbtide steps` shows them: risk-2/1/88.")]
Step = Annotated[str, typer.Argument(metavar="STEP", help="As `ebbtide steps` shows it: risk-2/1/88.")]
WAIT_S = 60.0


def suspect(
    steps: Steps,
    to: Annotated[str, typer.Option(metavar="WATCHER", help="The agent that watches.")],
    why: Annotated[str, typer.Option(help="Why; it stands in the log.")],
    score: Annotated[float, typer.Option(help="How wrong; from 1 on it is called wrong.")] = 1.0,
    by: By = None,
    name: Annotated[
        str | None, typer.Option("--key", metavar="NAME", help="Your name for this: under it it counts once.")
    ] = None,
    key: As = None,
    url: Url = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Tell a watcher that steps seem wrong. What comes of it, its policy decides: `ebbtide suspicions` shows it.

    To have a step undone whatever a policy says, use `ebbtide rollback`.

    Example: `ebbtide suspect teller/1/17 --to guard --why 'nobody pays that much'`
    """

    async def act(cluster: Attached | Remote) -> Receipt:
        if isinstance(cluster, Remote):
            return await cluster.suspect(steps, score, why, to=to, key=name)
        return await cluster.suspect(steps, score, why, to=to, by=by, key=name)

    receipt = asked_there(url, _signer(url, key, by), folder, act)
    if json_:
        print_json(suspected_row(steps, score, receipt))
    else:
        known = "knew already" if receipt.repeated else "knows"
        said(f"{to} {known} that {', '.join(steps)} {'is' if len(steps) == 1 else 'are'} doubted")


def overturn(
    step: Step,
    why: Annotated[str, typer.Option(help="Why; it stands in the log, and its agent finds it as evidence.")],
    to: Annotated[str | None, typer.Option(metavar="WATCHER", help="The agent that is to learn from it.")] = None,
    by: By = None,
    key: As = None,
    url: Url = None,
    folder: Folder = HERE,
    json_: Json = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Say that an alarm was false: the step was right. It is reinstated where that can be, and the watcher learns.

    If its input is a dead letter it is handled after all; if it has run again it is run once more, and its handler
    finds in `ctx.evidence` that it was right.

    Example: `ebbtide overturn teller/1/17 --to guard --why 'a house was sold'`
    """

    async def act(cluster: Attached | Remote) -> Overturned:
        if isinstance(cluster, Remote):
            return await cluster.overturn(step, why, to=to, timeout_s=timeout)
        return await cluster.overturn(step, why, to=to, by=by, timeout_s=timeout)

    done = asked_there(url, _signer(url, key, by), folder, act)
    if json_:
        print_json(overturned_row(done))
    else:
        said(f"{done.step}: {done.reinstated}{f' ({done.proposal})' if done.proposal else ''}")


def _signer(url: str | None, key: Path | None, by: str | None) -> Person | None:
    """Return who says so over HTTP. Raises: CallerError, where that is not clear."""
    if url is None and key is not None:
        raise CallerError("--as goes with --url: on the cluster's folder say --by NAME. Nothing was said.")
    if url is not None and by is not None:
        raise CallerError("over HTTP it is said by who signs: leave --by out. Nothing was said.")
    return None if key is None else Person.load(key)


def suspicions(watcher: Agent, folder: Folder = HERE, json_: Json = False) -> None:
    """Show the steps that a watcher has doubted, which detector said so, and what has come of each.

    Example: `ebbtide suspicions guard`
    """

    async def look(cluster: Attached) -> dict[Any, Any]:
        return await cluster.state(watcher)

    rows = [each._asdict() for each in doubted(asked(folder, look))]
    if json_:
        lines(rows)
    else:
        table(rows, ("step", "state", "what", "detector", "score", "why"), f"{watcher} has doubted nothing")
