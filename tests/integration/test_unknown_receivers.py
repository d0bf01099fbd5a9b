"""A step says something to a name that no agent has: it can be undone, nobody waits, and the message is not lost."""

import asyncio
from pathlib import Path

from peer import Agent, Cluster, Context, Limits, handles

LIMITS = Limits(unplaced_us=100_000)


class Counting(Agent):
    @handles(int)
    async def count(self, message: int, ctx: Context) -> None:
        self.state["n"] = self.state.get("n", 0) + message
        if message == 7:
            ctx.send("invetory", 1)


async def letters(cluster: Cluster, agent: str, count: int) -> list[str]:
    """Wait until an agent has so many dead letters; return why each is one."""
    while len(found := await cluster.dead_letters(agent)) != count:
        await asyncio.sleep(0.02)
    return [why for _, why in found]


async def test_a_step_that_names_nobody_is_previewed_and_undone_and_the_cluster_is_quiet() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("s", Counting)
        await cluster.submit("s", 1, 7)
        await cluster.quiet(20)
        assert (await cluster.status("s")).unplaced == ("invetory",)
        assert (await cluster.preview("s/1/2")).agents == ("s",)
        outcome = await cluster.rollback("s/1/2", inputs="discard", timeout_s=20)
        assert outcome.committed
        await cluster.submit("s", 1)
        await cluster.quiet(20)
        assert await cluster.state("s") == {"n": 2}
        assert (await cluster.status("s")).unplaced == ()


async def test_past_its_bound_it_is_a_dead_letter_with_the_nearest_name_and_sent_when_there_is_such_an_agent() -> None:
    async with Cluster("local", limits=LIMITS) as cluster:
        await cluster.spawn("s", Counting)
        await cluster.spawn("inventory", Counting)
        await cluster.submit("s", 7)
        (why,) = await letters(cluster, "s", 1)
        assert "no agent 'invetory' has been heard of. Did you mean 'inventory'?" in why
        (notice,) = [each for each in await cluster.notices("s") if each.notice == "undeliverable"]
        assert (notice.subject, "Did you mean 'inventory'?" in notice.detail) == ("invetory", True)
        assert (await cluster.status("s")).dead_letters == 1
        await cluster.spawn("invetory", Counting)
        await cluster.quiet(20)
        assert await cluster.state("invetory") == {"n": 1}
        assert await letters(cluster, "s", 0) == []
        outcome = await cluster.rollback("s/1/1", inputs="discard")
        assert sorted(outcome.agents) == ["invetory", "s"]
        assert await cluster.state("invetory") == {}


async def test_it_waits_over_restarts_and_what_was_undone_is_never_sent(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("s", Counting)
        await cluster.submit("s", 7, 7)
        await cluster.quiet(20)
        await cluster.rollback("s/1/1", inputs="discard")
    async with Cluster("local", folder=tmp_path, agents_per_actor=2) as cluster:
        await cluster.spawn("s", Counting)
        assert (await cluster.status("s")).unplaced == ("invetory",)
        await cluster.quiet(20)
        await cluster.spawn("invetory", Counting)
        await cluster.quiet(20)
        assert await cluster.state("invetory") == {"n": 1}
        await cluster.submit("s", 7)
        await cluster.quiet(20)
        assert await cluster.state("invetory") == {"n": 2}
