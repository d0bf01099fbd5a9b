"""A watcher whose checker names several steps at once, of which one is not to be undone."""

import re
from pathlib import Path
from typing import Any

from ebbtide import Agent, Cluster, Context, Proposal, handles
from peer.audit.reader import read_trail
from peer.detectors import LookAgain
from peer.watching import LeastCost, Watcher, doubted
from tests.integration.test_watching_agents import Careful, Pay


class Sealed(Agent):
    """Does not agree to undo what was paid to a saint."""

    watched_by = "guard"

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        if ctx.evidence is None:
            ctx.report(amount=900)
        self.state[str(ctx.step)] = message.amount

    def still_valid(self, proposal: Proposal, then: Any, now: Any) -> bool | str:
        mine = [root for root in proposal.roots if root.agent == self.name]
        return "it was for a saint" if any(now.get(str(root)) == 13 for root in mine) else True


class Slow(Agent):
    """Answers the first question only when it is told to, and calls all wrong."""

    @handles(LookAgain)
    async def look(self, message: LookAgain, ctx: Context) -> None:
        if self.state.get("released"):
            ctx.reply([str(step) for step in message.suspicion.steps])
        else:
            self.state["question"] = (ctx.question, [str(step) for step in message.suspicion.steps])

    @handles(str)
    async def release(self, message: str, ctx: Context) -> None:
        # This runs again if the question is undone with the step that it was about.
        question, steps = self.state.get("question", (None, []))
        self.state["released"] = True
        if question is not None:
            ctx.reply(steps, to=question)


async def test_one_that_nobody_agrees_to_undo_does_not_keep_the_others() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("sealed", Sealed)
        await cluster.spawn("auditor", Slow)
        await cluster.spawn("guard", Careful)
        await cluster.submit("sealed", Pay(1))
        await cluster.quiet()
        await cluster.submit("sealed", Pay(2), Pay(13), Pay(3), Pay(4))
        await cluster.quiet()
        await cluster.submit("auditor", "now")
        await cluster.quiet()
        left = {step.id.seq: step.attempt async for step in cluster.steps("sealed", undone=False)}
        assert sorted(left.values()) == [1, 2, 2, 2, 2]
        state = await cluster.state("guard")
        assert not any(each.state == "open" for each in doubted(state))
        assert not any(key[0] in ("doubt", "later") for key in state)


class Second(Slow):
    """Calls all but the first wrong."""

    @handles(str)
    async def release(self, message: str, ctx: Context) -> None:
        question, steps = self.state.get("question", (None, []))
        self.state["released"] = True
        if question is not None:
            ctx.reply(steps[1:] or True, to=question)


async def test_a_hold_ends_though_only_others_of_the_doubted_steps_were_wrong(tmp_path: Path) -> None:
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await cluster.spawn("sealed", Sealed)
        await cluster.spawn("auditor", Second)
        await cluster.spawn("guard", Careful)
        await cluster.submit("sealed", Pay(1))
        await cluster.quiet()
        await cluster.suspect(["sealed/1/1"], 3.0, "odd", to="guard")
        await cluster.submit("sealed", Pay(2), Pay(3))
        await cluster.quiet()
        await cluster.submit("auditor", "now")
        await cluster.quiet()
    words = [(word.what, word.by) for word in read_trail(tmp_path).words if word.agent == "sealed"]
    held = [by for what, by in words if what == "held"]
    assert held
    assert sorted(held) == sorted(by for what, by in words if what == "let go")


class Explaining(Watcher):
    detectors = Careful.detectors
    policy = LeastCost()


class Till(Agent):
    watched_by = "guard"

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        if message.amount == 13 and ctx.evidence is None:
            ctx.report(amount=2000)
        self.state[str(ctx.step)] = message.amount


async def test_a_choice_says_what_a_restore_would_lose() -> None:
    async with Cluster(backend="local") as cluster:
        await cluster.spawn("till", Till)
        await cluster.spawn("guard", Explaining)
        await cluster.submit("till", Pay(1))
        await cluster.quiet()
        await cluster.checkpoint()
        await cluster.checkpoint()
        await cluster.submit("till", *[Pay(2)] * 5, Pay(13))
        await cluster.quiet()
        (case,) = doubted(await cluster.state("guard"))
        ((proposal, _),) = (await cluster.ballots("till")).votes
        assert case.was_undone
        found = re.search(
            r"takes back 1 steps of 2 agents .*; going back to checkpoint 2 would take back (\d+) of", proposal.reason
        )
        assert found is not None
        assert int(found[1]) >= 6, "the till's, and those of the guard"
