"""`ebbtide compensate`: what steps have done to the world is countered, and the steps stand."""

from typing import Annotated

import typer

from peer.audit.console import WRONG, print_json
from peer.cluster.attached import Attached
from peer.cluster.outcome import Compensation, Plan
from peer.running.acts import WAIT_S, Reason, Steps, print_plan
from peer.running.console import HERE, Folder, Json, Timeout, Yes, asked, said, sure


def compensate(
    steps: Steps,
    reason: Reason,
    by: Annotated[str | None, typer.Option(help="Who says so. [default: you]")] = None,
    yes: Yes = False,
    folder: Folder = HERE,
    json_: Json = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Undo what steps, and all that followed from them, have done to the world; the steps and states stay.

    Where nobody can or wants to go back. What would be undone, and what can't be, is shown first, and asked. The newest
    effect is undone first. It goes on if this command is ended. Exits with 1 if an undo has failed so far, or nobody
    can tell whether an effect happened.

    Example: `ebbtide compensate buyer/1/17 --reason 'the customer has called off'`
    """

    async def look(cluster: Attached) -> Plan:
        return await cluster.preview(*steps)

    async def counter(cluster: Attached) -> Compensation:
        return await cluster.compensate(*steps, reason=reason, by=by, timeout_s=timeout)

    if not yes:
        print_plan(asked(folder, look))
        sure("Undo these effects, and let the steps stand?", yes)
    done = asked(folder, counter)
    if json_:
        print_json(
            {"step": None if done.step is None else str(done.step), "countered": list(done.countered)}
            | {"pending": list(done.pending), "doubtful": list(done.doubtful), "stand": list(done.stand)}
        )
    else:
        for state, intents in (
            ("countered", done.countered),
            ("still to be countered (ebbtide effects)", done.pending),
            ("nobody knows whether it happened (ebbtide effects)", done.doubtful),
            ("stands", done.stand),
        ):
            for intent in intents:
                said(f"{state}: {intent}")
        if not (done.countered or done.pending or done.doubtful or done.stand):
            said("nothing was to be countered")
    if done.pending or done.doubtful:
        raise typer.Exit(WRONG)
