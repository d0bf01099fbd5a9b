"""Agents are asked before they agree in worlds as in clusters: in virtual time, and the same from the same seed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from peer import Agent, Context, Proposal, handles, precondition
from sims.world import World

State = Mapping[Any, Any]


class Clerk(Agent):
    consent_s = 30.0

    @handles(int)
    async def count(self, number: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + number

    def still_valid(self, proposal: Proposal, then: State, now: State) -> bool | str:
        return proposal.reason != "tell" or f"{then.get('sum')} then, {now['sum']} now"

    @precondition
    async def thought_over(self, proposal: Proposal) -> bool:
        await asyncio.sleep(60 if proposal.reason == "long" else 1)
        return True


def played(seed: int) -> list[Any]:
    found: list[Any] = []
    with World(seed=seed) as world:
        world.spawn("clerk", Clerk)
        for number in (1, 2, 3):
            world.submit("clerk", number)
        world.settle()
        for reason in ("tell", "long", "fine"):
            outcome = world.rollback("clerk/1/2", inputs="discard", reason=reason)
            found.append((outcome.committed, outcome.rejects, outcome.seconds))
    return found


def test_what_is_thought_over_takes_virtual_time_and_one_that_hangs_rejects_in_it() -> None:
    tell, long, fine = played(7)
    assert tell[:2] == (False, (("clerk", "1 then, 6 now"),))
    assert long[:2] == (False, (("clerk", "thought_over has not answered within 30 s"),))
    assert 30 <= long[2] < 31
    assert (fine[0], 1 <= fine[2] < 2) == (True, True)


def test_one_seed_plays_the_same_twice() -> None:
    assert played(11) == played(11)
