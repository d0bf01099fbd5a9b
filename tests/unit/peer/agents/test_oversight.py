"""Overseers: what they are asked, and of what their word is (RB-13)."""

import asyncio
from collections.abc import Callable

import pytest

from peer.agents.oversight import Overseer, Oversight
from peer.errors import CallerError
from peer.values import payload
from protocol.action import Tell
from protocol.ids import StepId
from protocol.proposal import Finding, Proposal

STEPS = tuple(StepId("book", 1, number) for number in range(1, 6))
PROPOSAL = Proposal("desk/1/p1", "desk", STEPS[:1], "discard")
NAME = "rollback:desk/1/p1"


class StandingClock:
    """Implements `peer.ports.Clock`: no time passes."""

    def now_us(self) -> int:
        return 0

    def wake(self, at_us: int, call: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


def oversight(told: list[Tell] | None = None) -> Oversight:
    said = [] if told is None else told
    return Oversight("book", (Overseer(steps=2),), StandingClock(), said.append, lambda proposal: True)


async def asked(desk: Oversight, count: int) -> "asyncio.Task[tuple[Finding, str] | None]":
    """Have somebody asked about so many steps."""
    task = asyncio.ensure_future(desk.found(PROPOSAL, STEPS[:count]))
    await asyncio.sleep(0)
    return task


async def test_rb13_a_word_that_was_said_of_a_smaller_part_is_refused() -> None:
    desk = oversight()
    first = await asked(desk, 3)
    assert desk.say(NAME, "approve", "eve", "", b"", payload.encode(3)) == "approved"
    found = await first
    assert found is not None
    assert (found[0].holds, found[1]) == (True, "")
    # The part has grown meanwhile, and the same word comes once more.
    again = await asked(desk, 5)
    with pytest.raises(CallerError, match=r"undoes 5 steps of book by now\. Nothing changed\. Look again\."):
        desk.say(NAME, "approve", "eve", "", b"", payload.encode(3))
    assert not again.done()
    assert desk.say(NAME, "approve", "eve", "", b"", payload.encode(5)) == "approved"
    assert (await again) is not None


async def test_rb13_the_first_word_counts_and_said_again_it_is_the_same() -> None:
    told: list[Tell] = []
    desk = oversight(told)
    task = await asked(desk, 2)
    assert desk.say(NAME, "reject", "eve", "no", b"proof") == "rejected"
    assert desk.say(NAME, "reject", "eve", "no", b"") == "rejected"
    for by, verb in (("eve", "approve"), ("bob", "reject")):
        with pytest.raises(CallerError, match="is rejected by eve already"):
            desk.say(NAME, verb, by, "", b"")
    found = await task
    assert found is not None
    assert (found[0].holds, found[0].text, found[0].proof) == (False, "rejected by eve: no", b"proof")
    assert [tell.notice for tell in told] == ["asked", "rejected"]


async def test_rb13_of_fewer_steps_than_the_rule_says_nobody_is_asked() -> None:
    desk = oversight()
    assert await desk.found(PROPOSAL, STEPS[:1]) is None
    assert desk.waiting() == []
