"""A handler's own terms, on a real backend: how often it is tried, and how long it may take."""

import pytest

from peer import Agent, Cluster, Context, Retry, ToolFailed, handles, tool

DOWN = {"times": 0}


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")
    DOWN["times"] = 0


@tool(kind="idempotent")
async def fetch(item: str) -> str:
    if DOWN["times"]:
        DOWN["times"] -= 1
        raise ConnectionError("down")
    return item.upper()


class Porter(Agent):
    @handles(str, retry=Retry(2, wait=0.01, on={ToolFailed: 6}, never=(KeyError,)))
    async def carry(self, item: str, ctx: Context) -> None:
        if item == "key":
            raise KeyError(item)
        self.state[item] = await ctx.call(fetch, item)

    @handles(int)
    def plain(self, item: int, ctx: Context) -> None:
        raise ValueError(item)


async def test_each_handler_is_tried_as_often_as_its_policy_says_of_the_error() -> None:
    DOWN["times"] = 5
    async with Cluster("local") as cluster:
        await cluster.spawn("porter", Porter)
        await cluster.submit("porter", "tea", "key", 1)
        await cluster.quiet()
        assert await cluster.state("porter") == {"tea": "TEA"}
        failed = [notice.subject for notice in await cluster.notices("porter") if notice.notice == "step-failed"]
        assert sorted(failed.count(subject) for subject in set(failed)) == [1, Porter.tries, 5]
        assert {letter.message for letter in await cluster.dead_letters("porter")} == {"key", 1}
