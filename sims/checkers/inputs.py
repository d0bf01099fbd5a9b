"""Each input from outside is handled by exactly one surviving step, or is a dead letter."""

from protocol.records import AcceptedRecord
from sims.checkers.view import View, need

INVARIANT = "each input from outside is handled by exactly one surviving step"


def check(view: View) -> None:
    """Raises: Broken."""
    handled: dict[tuple[str, str, int], int] = {}
    for record in view.steps:
        if record.input.producer is None and view.survives(record):
            name = (record.step.agent, record.input.sender, record.input.number)
            handled[name] = handled.get(name, 0) + 1
    dead = {
        (agent, item.sender, item.number)
        for agent, machine in view.machines.items()
        for item, _, _ in machine.core.dead
        if item.producer is None
    }
    for agent, accepted in view.of(AcceptedRecord):
        assert isinstance(accepted, AcceptedRecord)
        for item in accepted.inputs:
            name = (agent, item.sender, item.number)
            count, wanted = handled.get(name, 0), int(name not in dead)
            need(count == wanted, INVARIANT, f"{agent}: {item} was handled {count} times, not {wanted}")
