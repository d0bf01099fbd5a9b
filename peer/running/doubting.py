"""`ebbtide suspect`, `overturn` and `suspicions`: what people say of steps, and what watchers have come to."""

from typing import Annotated, Any

import typer

from peer.audit.console import print_json
from peer.cluster.attached import Attached
from peer.cluster.doubting import Overturned
from peer.cluster.inlet import Receipt
from peer.running.console import HERE, Agent, Folder, Json, Timeout, asked, lines, said, table
from peer.watching import doubted

Step = Annotated[str, typer.Argument(metavar="STEP", help="As `ebbtide steps` shows it: risk-2/1/88.")]
By = Annotated[str | None, typer.Option(help="Who says so. [default: you]")]
WAIT_S = 60.0


def suspect(
    step: Step,
    to: Annotated[str, typer.Option(metavar="WATCHER", help="The agent that watches.")],
    why: Annotated[str, typer.Option(help="Why; it stands in the log.")],
    score: Annotated[float, typer.Option(help="How wrong; from 1 on it is called wrong.")] = 1.0,
    by: By = None,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Tell a watcher that a step seems wrong. What comes of it, its policy decides: `ebbtide suspicions` shows it.

    To have a step undone whatever a policy says, use `ebbtide rollback`.

    Example: `ebbtide suspect teller/1/17 --to guard --why 'nobody pays that much'`
    """

    async def act(cluster: Attached) -> Receipt:
        return await cluster.suspect(step, score, why, to=to, by=by)

    asked(folder, act)
    if json_:
        print_json({"step": step, "to": to, "score": score})
    else:
        said(f"{to} knows that {step} is doubted")


def overturn(
    step: Step,
    why: Annotated[str, typer.Option(help="Why; it stands in the log, and its agent finds it as evidence.")],
    to: Annotated[str | None, typer.Option(metavar="WATCHER", help="The agent that is to learn from it.")] = None,
    by: By = None,
    folder: Folder = HERE,
    json_: Json = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Say that an alarm was false: the step was right. It is reinstated where that can be, and the watcher learns.

    If its input is a dead letter it is handled after all; if it has run again it is run once more, and its handler
    finds in `ctx.evidence` that it was right.

    Example: `ebbtide overturn teller/1/17 --to guard --why 'a house was sold'`
    """

    async def act(cluster: Attached) -> Overturned:
        return await cluster.overturn(step, why, to=to, by=by, timeout_s=timeout)

    done = asked(folder, act)
    if json_:
        print_json({"step": str(done.step), "reinstated": done.reinstated, "proposal": done.proposal})
    else:
        said(f"{done.step}: {done.reinstated}{f' ({done.proposal})' if done.proposal else ''}")


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
