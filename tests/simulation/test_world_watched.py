"""Worlds in which watchers look at agents that err, while hosts crash and frames are lost: what is wrong is undone."""

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import Struct

from peer import Agent, Context, handles
from peer.detectors import Cusum, Finding, LookAgain, Seen
from peer.watching import Always, ConfirmFirst, Learned, Watcher
from sims.faults import Crash, Duplicate, Loss
from sims.world import World

PAYMENTS = 60


class Over(Struct, frozen=True):
    """Calls a step wrong whose amount is over 100."""

    name: str = "over(amount)"
    version: str = "1"

    def begin(self) -> "Over":
        return self

    def see(self, step: Seen) -> Finding | None:
        amount = step.value("amount")
        return None if amount is None else Finding(amount / 100)


@dataclass
class Pay:
    number: int


class Teller(Agent):
    """Takes every seventh amount a hundredfold, unless it is told."""

    watched_by = "guard"

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        amount = 7 * 100 if message.number % 7 == 0 and ctx.evidence is None else 7
        ctx.report(amount=amount)
        self.state["count"] = self.state.get("count", 0) + 1
        ctx.send("books", amount)


class Books(Agent):
    @handles(int)
    async def post(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


class Auditor(Agent):
    @handles(LookAgain)
    async def look(self, message: LookAgain, ctx: Context) -> None:
        ctx.reply([str(step) for step in message.suspicion.steps])


class Guard(Watcher):
    detectors = (Over(), Cusum("amount", mean=7.0, sd=50.0, h=30.0))
    policy = Always()


class Careful(Watcher):
    detectors = (Over(),)
    policy = ConfirmFirst()
    checker = "auditor"
    limit = Learned(explore=0.0)


@pytest.mark.parametrize("guard", [Guard, Careful])
@pytest.mark.parametrize("seed", range(6))
def test_everything_wrong_is_undone_once_whoever_crashes(guard: type[Watcher], seed: int) -> None:
    faults: list[Any] = [Loss(0.05, until=2.0), Duplicate(0.05, until=2.0)]
    faults += [Crash(f"host-{1 + (seed + at) % 4}", at=0.05 + 0.21 * at) for at in range(6)]
    with World(seed, hosts=4, faults=faults, checkpoint_every=0.3, checkpoints_kept=100) as world:
        for name, kind in (("teller", Teller), ("books", Books), ("auditor", Auditor), ("guard", guard)):
            world.spawn(name, kind)
        for number in range(1, PAYMENTS + 1):
            world.submit("teller", Pay(number), at=0.02 * number)
        world.settle()
        world.check()
        assert world.state("teller")["count"] == PAYMENTS
        assert world.state("books")["sum"] == 7 * PAYMENTS
        state = world.state("guard")
        cases = [value for key, value in state.items() if key[0] == "case"]
        assert cases
        assert all(case[0] == "over" for case in cases)
        assert not any(key[0] in ("doubt", "later", "open") for key in state)
        assert not any(world.machine(name).core.held for name in world.agents), "nobody is held any more"
        if guard is Careful:
            labels = state["known", "over(amount)"]
            assert labels
            assert all(was_wrong for _, was_wrong, _ in labels)
