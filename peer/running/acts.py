"""`ebbtide submit`, `preview`, `rollback`, `checkpoint` and `restore`: what is done to a running cluster."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from peer.agents.past import as_step
from peer.audit.console import WRONG, print_json
from peer.cluster.attached import Attached
from peer.cluster.effects import agent_of
from peer.cluster.inlet import Receipt
from peer.cluster.outcome import Outcome, Plan, Restored
from peer.errors import CallerError
from peer.running.app import find_classes
from peer.running.console import HERE, Agent, Folder, Json, Timeout, Yes, asked, said, sure, table
from peer.running.messages import messages_for
from peer.running.noted import app_of
from peer.serving.rows import outcome_row, plan_row
from protocol.ids import AgentId

As = Annotated[str | None, typer.Option("--as", metavar="CLASS", help="The messages' class; the agent handles it.")]
Steps = Annotated[list[str], typer.Argument(metavar="STEP...", help="Steps, as agent/incarnation/seq: buyer/1/17.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the log.")]
WAIT_S = 60.0


def submit(
    agent: Agent,
    messages: Annotated[list[str], typer.Argument(metavar="MESSAGE...", help="Each is JSON, or else a text.")],
    as_: As = None,
    key: Annotated[
        str | None, typer.Option(help="Your name for this call: under it the same inputs are taken once.")
    ] = None,
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Do not wait if as many inputs wait at the agent as may.")
    ] = False,
    folder: Folder = HERE,
    json_: Json = False,
) -> None:
    """Hand inputs to an agent; when this returns they are durable.

    A message is JSON, or a text if it is none. With --as it is one of a class that the agent handles: its fields as
    JSON. The class is found where the cluster was started from, or on PYTHONPATH. What begins with a dash stands after
    `--`.

    Examples: `ebbtide submit counter 1 2 3`, `ebbtide submit counter -- -1`,
    `ebbtide submit buyer --as Order '{"item": "tea", "price": 4}'`
    """
    _find_classes(folder)

    async def hand_in(cluster: Attached) -> Receipt:
        found = await messages_for(cluster, agent, messages, as_)
        return await cluster.submit(agent, *found, key=key, on_full="refuse" if refuse else "wait")

    receipt = asked(folder, hand_in)
    if json_:
        print_json({"agent": receipt.agent, "inputs": list(receipt.inputs), "repeated": receipt.repeated})
        return
    again = f", {receipt.repeated} of them before" if receipt.repeated else ""
    said(f"{agent} has taken {_count(len(receipt.inputs), 'input')}{again}: {', '.join(receipt.inputs)}")


def preview(steps: Steps, folder: Folder = HERE, json_: Json = False) -> None:
    """Show what a rollback of these steps would undo, and at which agents; nothing changes.

    Example: `ebbtide preview buyer/1/17`
    """

    async def look(cluster: Attached) -> Plan:
        return await cluster.preview(*steps)

    plan = asked(folder, look)
    if json_:
        print_json(plan_row(plan))
    else:
        print_plan(plan)


def rollback(
    steps: Steps,
    inputs: Annotated[
        str, typer.Option(help="What becomes of their inputs: retry (handled again), discard, or amend.")
    ] = "retry",
    amend: Annotated[
        str | None, typer.Option(metavar="MESSAGE", help="With --inputs amend, of one step: the corrected message.")
    ] = None,
    as_: As = None,
    reason: Reason = "",
    yes: Yes = False,
    folder: Folder = HERE,
    json_: Json = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Undo steps and all that followed from them, at every agent. What would be undone is shown first, and asked.

    Exits with 1 if the agents did not agree; nothing changed then.

    Examples: `ebbtide rollback buyer/1/17 --reason 'cents, not dollars'`,
    `ebbtide rollback buyer/1/17 --inputs amend --as Order --amend '{"item": "tea", "price": 4}' --yes`
    """
    if (inputs == "amend") != (amend is not None) or (amend is not None and len(steps) != 1):
        raise CallerError("--inputs amend takes one step and its corrected message (--amend). Nothing changed.")
    _find_classes(folder)

    async def look(cluster: Attached) -> tuple[Plan, dict[Any, Any]]:
        corrected: dict[Any, Any] = {}
        if amend is not None:
            corrected = {steps[0]: (await messages_for(cluster, as_step(steps[0]).agent, [amend], as_))[0]}
        return await cluster.preview(*steps), corrected

    async def undo(cluster: Attached) -> Outcome:
        return await cluster.rollback(*steps, inputs=inputs, reason=reason, amend=corrected, timeout_s=timeout)

    plan, corrected = asked(folder, look)
    if not yes:
        print_plan(plan)
        sure(f"Undo {_count(len(plan.steps), 'step')} at {_count(len(plan.agents), 'agent')}?", yes)
    outcome = asked(folder, undo)
    if json_:
        print_json(outcome_row(outcome))
    elif outcome.committed:
        said(f"undone: {', '.join(_texts(outcome.undone)) or 'nothing that was not undone before'}")
        for intent in outcome.effects_pending:
            said(f"its effect is still to be undone: {intent} (ebbtide effects)")
    else:
        for agent, why in outcome.rejects:
            said(f"not undone: {agent} did not agree: {why}")
    if not outcome.committed:
        raise typer.Exit(WRONG)


def checkpoint(folder: Folder = HERE, json_: Json = False, timeout: Timeout = WAIT_S) -> None:
    """Make a checkpoint of all agents, which go on working, and print its number once it is committed.

    Example: `ebbtide checkpoint`
    """

    async def make(cluster: Attached) -> int:
        return await cluster.checkpoint(timeout)

    epoch = asked(folder, make)
    if json_:
        print_json({"epoch": epoch})
    else:
        said(f"checkpoint {epoch} is committed")


def restore(
    epoch: Annotated[int, typer.Argument(metavar="EPOCH", help="The checkpoint's number.")],
    inputs: Annotated[
        str, typer.Option(help="What becomes of inputs from outside since: discard (dead letters), or retry.")
    ] = "discard",
    reason: Reason = "",
    yes: Yes = False,
    folder: Folder = HERE,
    json_: Json = False,
    timeout: Timeout = WAIT_S,
) -> None:
    """Take all agents back to a checkpoint. How many steps that undoes at whom is shown first, and asked.

    Exits with 1 if not every host agreed, or the checkpoint is compacted; nothing changed then.

    Example: `ebbtide restore 3 --reason 'the feed was wrong'`
    """

    async def look(cluster: Attached) -> dict[AgentId, int]:
        return await _undone_by(cluster, epoch)

    async def go_back(cluster: Attached) -> Restored:
        return await cluster.restore(epoch, inputs=inputs, reason=reason, timeout_s=timeout)

    if not yes:
        would = asked(folder, look)
        rows = ({"agent": agent, "steps_undone": count} for agent, count in would.items() if count)
        table(rows, ("agent", "steps_undone"), "no steps since")
        sure(f"Take all agents back to checkpoint {epoch}, and undo {_count(sum(would.values()), 'step')}?", yes)
    done = asked(folder, go_back)
    if json_:
        print_json(
            {"epoch": done.epoch, "restore": done.number, "seconds": done.seconds}
            | {"still_undone": _texts(done.still_undone)}
        )
    else:
        said(f"all agents are back at checkpoint {done.epoch} (restore {done.number}, {done.seconds:.2f} s)")
        if done.still_undone:
            said(f"still undone, by rollbacks since: {', '.join(_texts(done.still_undone))}")


async def _undone_by(cluster: Attached, epoch: int) -> dict[AgentId, int]:
    """Return how many steps of each agent a restore would undo, as things stand."""
    found: dict[AgentId, int] = {}
    for agent in cluster.agents:
        cuts = {cut.epoch: (cut.incarnation, cut.seq) for cut in (await cluster.cuts(agent)).cuts}
        if epoch not in cuts:
            raise CallerError(
                f"checkpoint {epoch} can't be restored: {agent} has {', '.join(map(str, sorted(cuts))) or 'none'}."
                " Nothing changed."
            )
        later = 0
        async for page in cluster.steps(agent).pages():
            for record, by in zip(page.records, page.retracted_by, strict=True):
                later += not by and (record.step.incarnation, record.step.seq) > cuts[epoch]
        found[agent] = later
    return found


def print_plan(plan: Plan) -> None:
    """Show what would be undone: the steps by agent, and what undoing each kind of effect means."""
    effects = Counter(map(agent_of, plan.effects))
    rows = [
        {"agent": agent, "steps": _texts(steps), "effects": effects.get(agent, 0) or ""}
        for agent, steps in plan.by_agent().items()
    ]
    table(rows, ("agent", "steps", "effects"), "nothing")
    kinds = Counter((call.step.agent, call.tool, call.undo, call.state) for call in plan.calls)
    calls = [
        {"agent": agent, "tool": tool, "calls": count, "state": state, "undo": undo}
        for (agent, tool, undo, state), count in sorted(kinds.items())
    ]
    if calls:
        table(calls, ("agent", "tool", "calls", "state", "undo"), "")
    said(
        f"would undo {_count(len(plan.steps), 'step')} at {_count(len(plan.agents), 'agent')},"
        f" and {_count(len(plan.effects), 'effect')} of tools"
    )


def _find_classes(folder: Path) -> None:
    file = app_of(folder)
    if file is not None:
        find_classes(file)


def _texts(steps: Any) -> list[str]:
    return [str(step) for step in steps]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
