"""What waits at one agent, counted without naming anything: however long its history, it is as much work."""

from typing import NamedTuple

from peer.host.driver import Driver


class Waiting(NamedTuple):
    """What waits at one agent."""

    inputs: int
    """Those that wait, for people too, and the one that is handled."""
    held: int
    """Requests and rollbacks that wait for people."""
    undecided: int
    """Rollbacks that it has a vote in."""
    undoing: int
    """Effects that are to be undone, and are not yet."""
    doubts: int
    """Effects of which nobody knows whether they have happened."""
    letters: int
    """Dead letters that nobody has taken up, or dropped."""


def waiting_at(driver: Driver) -> Waiting:
    """Count what waits at an agent."""
    machine, core = driver.machine, driver.machine.core
    requests = machine.requesting.waiting() if core.timers.has_requests() else ()
    return Waiting(
        inputs=core.line.count() + (machine.stepping.running is not None),
        held=sum(seen.hold is not None and not seen.approved for seen in requests) + len(driver.oversight.waiting()),
        undecided=len(machine.rollback.undecided()),
        undoing=len(core.intents.doomed()),
        doubts=core.intents.in_doubt(),
        letters=len(core.dead_letters.letters),
    )
