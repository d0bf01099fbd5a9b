"""What happens in the worlds of the fault matrix, and what must have come of it: the expectations are the scenario's.

Three orders each: the first stays, the second is undone for good, the third is undone and done again, or released.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from peer.cluster.outcome import Outcome
from sims.checkers import Broken
from sims.studies.matrix.agents import DEADLINE_S, Book, Clerk, Desk, HastyDesk, Order, OverseenDesk
from sims.studies.matrix.ledger import Ledger
from sims.studies.matrix.people import ONCE, Desktop
from sims.world import World

AMOUNT = 100
STRUCK_HOST = "host-1"
QUESTION = "how many?"
ANSWER = 7


@dataclass(frozen=True)
class Expected:
    """What stands in the end, by order."""

    paid: dict[int, int] = field(default_factory=dict[int, int])
    posted: dict[int, int] = field(default_factory=dict[int, int])
    shipped: dict[int, int] = field(default_factory=dict[int, int])
    answers: int = 0


@dataclass(frozen=True)
class Setting:
    """One run: its world, what is struck, and how its people's tools behave."""

    world: World
    ledger: Ledger
    has_check: bool = True
    how: str = ONCE
    crash: Callable[[], None] = lambda: None
    """Ends the host that is struck, for flows that name the moment."""


def step_of(world: World, agent: str, order: int) -> str:
    """Return the step that an agent itself says has dealt with an order.

    Raises: Broken, if it shows none.
    """
    found = world.state(agent).get(("step", order))
    if found is None:
        raise Broken("orders are dealt with", f"{agent} shows nothing of order {order}")
    return found


def undo(world: World, agent: str, order: int, inputs: str, evidence: str | None = None) -> Outcome:
    """Have the step of an order rolled back, and let everything come to its end."""
    outcome = world.rollback(step_of(world, agent, order), inputs=inputs, evidence=evidence)
    world.settle()
    return outcome


def hand_in(world: World, agent: str, count: int = 3, timed: tuple[int, ...] = ()) -> None:
    """Hand in orders, one after the other."""
    for number in range(1, count + 1):
        world.submit(agent, Order(number, AMOUNT * number, number in timed), at=world.now + 0.02 * number)
    world.settle()


def calls(setting: Setting) -> Expected:
    """Pay inside steps; undo one order, and have another done again for more."""
    world = setting.world
    world.spawn("desk", Desk, host=STRUCK_HOST, has_check=setting.has_check)
    world.spawn("book", Book, host="host-2")
    hand_in(world, "desk")
    undo(world, "desk", 2, "discard")
    undo(world, "desk", 3, "retry", "too little")
    left = {1: AMOUNT, 3: 3 * AMOUNT + 1}
    return Expected(paid=left, shipped=left)


def requests(setting: Setting) -> Expected:
    """Have letters posted: one when it is settled, one undone before, one released by a person."""
    world = setting.world
    world.spawn("desk", Clerk, host=STRUCK_HOST, has_check=setting.has_check)
    hand_in(world, "desk")
    undo(world, "desk", 2, "discard")
    Desktop(world, setting.how).say("desk", 3, "release")
    world.settle()
    # The second lets go what was asked for once more after the first.
    for _ in range(2):
        world.checkpoint()
        world.settle()
    # Too late: its agent must refuse.
    undo(world, "desk", 1, "discard")
    return Expected(posted={1: AMOUNT, 3: 3 * AMOUNT})


def approvals(setting: Setting) -> Expected:
    """Ask before paying: approved, rejected, approved and then undone; a question; words that come too late."""
    world = setting.world
    world.spawn("desk", Clerk, host=STRUCK_HOST, verb="pay", has_check=setting.has_check, asks=True)
    hand_in(world, "desk", 3)
    world.submit("desk", QUESTION)
    world.settle()
    person = Desktop(world, setting.how)
    person.say("desk", 1, "approve")
    person.say("desk", 2, "reject")
    person.say("desk", 3, "approve")
    person.say("desk", QUESTION, "answer", ANSWER)
    world.settle()
    undo(world, "desk", 3, "discard")
    return Expected(paid={1: AMOUNT}, answers=1)


def late_words(setting: Setting) -> Expected:
    """Approve what nobody waits for any more: past its deadline, and of a step that is undone."""
    world = setting.world
    world.spawn("desk", Clerk, host=STRUCK_HOST, verb="pay", has_check=setting.has_check, asks=True)
    hand_in(world, "desk", 3, timed=(1,))
    person = Desktop(world, setting.how)
    in_time, late, undone = (person.find("desk", number) for number in (2, 1, 3))
    person.confirm(in_time, "approve")
    world.run(until=world.now + 2 * DEADLINE_S)
    person.confirm(late, "approve")
    undo(world, "desk", 3, "discard")
    person.confirm(undone, "approve")
    world.settle()
    return Expected(paid={2: 2 * AMOUNT})


def overseen(setting: Setting) -> Expected:
    """Undo one order with an overseer's consent, and another without."""
    world = setting.world
    world.spawn("desk", OverseenDesk, host=STRUCK_HOST, has_check=setting.has_check)
    world.spawn("book", Book, host="host-2")
    hand_in(world, "desk")
    person = Desktop(world, setting.how)
    person.oversee("approve")
    undo(world, "desk", 2, "discard")
    person.oversee("reject")
    undo(world, "desk", 3, "discard")
    person.rest()
    left = {1: AMOUNT, 3: 3 * AMOUNT}
    return Expected(paid=left, shipped=left)


def crash_while_asked(setting: Setting) -> Expected:
    """End the desk's host while an overseer is asked: the question comes again."""
    world = setting.world
    world.spawn("desk", OverseenDesk, host=STRUCK_HOST, has_check=setting.has_check)
    world.spawn("book", Book, host="host-2")
    hand_in(world, "desk")
    person = Desktop(world, setting.how)
    proposed = world.propose(step_of(world, "desk", 2), inputs="discard")
    person.wait_for_inbox()
    setting.crash()
    world.run(until=world.now + 1.0)
    person.oversee("approve")
    world.run(until=lambda _: proposed.outcome is not None)
    world.settle()
    person.rest()
    left = {1: AMOUNT, 3: 3 * AMOUNT}
    return Expected(paid=left, shipped=left)


def late_overseer(setting: Setting) -> Expected:
    """Say yes to a rollback when the default, no, has counted already."""
    world = setting.world
    world.spawn("desk", HastyDesk, host=STRUCK_HOST, has_check=setting.has_check)
    world.spawn("book", Book, host="host-2")
    hand_in(world, "desk")
    person = Desktop(world, setting.how)
    person.oversee("approve", after_s=2 * DEADLINE_S)
    undo(world, "desk", 2, "discard")
    world.run(until=world.now + 3 * DEADLINE_S)
    person.rest()
    left = {number: AMOUNT * number for number in (1, 2, 3)}
    return Expected(paid=left, shipped=left)


FLOWS: dict[str, Callable[[Setting], Expected]] = {
    flow.__name__: flow for flow in (calls, requests, approvals, late_words, overseen, crash_while_asked, late_overseer)
}
