"""Each message of a surviving step is handled by exactly one surviving step, or is a dead letter.

Timers that are not due yet, or that a surviving step has called off, are handled by none (TI-1, TI-2).
"""

from protocol.ids import MessageId
from sims.checkers.view import View, need

INVARIANT = "each message of a surviving step is handled by exactly one surviving step"


def check(view: View) -> None:
    """Raises: Broken."""
    handled: dict[MessageId, list[str]] = {}
    for record in view.steps:
        if view.survives(record) and record.input.message is not None:
            handled.setdefault(record.input.message, []).append(str(record.step))
    dead = {item.message for machine in view.machines.values() for item, _, _ in machine.core.dead}
    machines = list(view.machines.values())
    off = {message for record in view.steps if view.survives(record) for message in record.cancelled}
    for record in view.steps:
        if not view.survives(record):
            continue
        for at, output in enumerate(record.outputs):
            message = MessageId(record.step, at)
            by = handled.get(message, [])
            waits = output.number == 0 and any(machine.core.timers.has(message) for machine in machines)
            wanted = 0 if message in dead or message in off or waits or output.receiver not in view.machines else 1
            need(len(by) == wanted, INVARIANT, f"{message} to {output.receiver} was handled by {by or 'nobody'}")
