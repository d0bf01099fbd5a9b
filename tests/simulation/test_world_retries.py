"""Retry policies in worlds: real handlers, and waits in virtual time."""

import asyncio
import contextlib

import pytest

from peer import Agent, Answer, CallerError, Context, InputHandled, Retry, answers, every, handles
from sims.virtual.tools import post
from sims.world import World

HOUR = 240.0


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")


class Porter(Agent):
    """Fails as its messages say: with which error, and how often."""

    retry = Retry(2, wait=1.0)

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.runs: list[str] = []

    def fail(self, name: str, times: int, error: type[Exception]) -> None:
        self.runs.append(name)
        if self.left.setdefault(name, times):
            self.left[name] -= 1
            raise error(name)

    @handles(tuple, retry=Retry(3, wait=HOUR, factor=1, on={ConnectionError: 5}, never=(KeyError,)))
    async def carry(self, message: tuple[str, int], ctx: Context) -> None:
        kinds = {"net": ConnectionResetError, "key": KeyError, "else": RuntimeError}
        self.fail(message[0], message[1], kinds[message[0]])
        self.state[message[0]] = True

    @handles(str)
    async def plain(self, message: str, ctx: Context) -> None:
        self.fail(message, 9, RuntimeError)

    @handles(int)
    async def wonder(self, message: int, ctx: Context) -> None:
        ctx.ask("porter", b"", then=self.heard)

    @handles(bytes)
    async def tell(self, message: bytes, ctx: Context) -> None:
        ctx.reply(1)

    @answers(retry=Retry(4))
    async def heard(self, answer: Answer, ctx: Context) -> None:
        self.fail("heard", 3, RuntimeError)
        self.state["heard"] = answer.value


class Ticker(Agent):
    def __init__(self) -> None:
        self.runs = 0

    @every(HOUR, retry=Retry(5, wait=1.0))
    async def tick(self, ctx: Context) -> None:
        self.runs += 1
        if self.runs < 5:
            raise RuntimeError("not yet")
        self.state["ticked"] = True


def runs(world: World, name: str) -> int:
    agent = world.engine.driver("porter").agent
    assert isinstance(agent, Porter)
    return agent.runs.count(name)


def dead(world: World, agent: str = "porter") -> list[str]:
    return [letter.why for letter in world.machine(agent).core.dead]


def test_a_handler_is_tried_as_often_as_its_policy_says_of_the_error_after_waits_in_virtual_time():
    with World(seed=1, hosts=1) as world:
        world.spawn("porter", Porter)
        world.submit("porter", ("net", 4), ("key", 1), ("else", 9))
        world.run(until=10.0)
        assert dead(world) == ["KeyError: 'key'"]
        assert (runs(world, "net"), runs(world, "else")) == (1, 1)
        world.run(until=2.5 * HOUR)
        assert (runs(world, "net"), runs(world, "else")) == (3, 3)
        world.settle(10 * HOUR)
        assert world.now > 4 * HOUR
        assert dead(world) == ["KeyError: 'key'", "RuntimeError: else"]
        assert world.state("porter") == {"net": True}
        assert (runs(world, "net"), runs(world, "key"), runs(world, "else")) == (5, 1, 3)
        world.check()


def test_what_has_no_policy_is_tried_as_its_class_says_and_answers_and_every_may_have_their_own():
    with World(seed=2, hosts=1) as world:
        world.spawn("porter", Porter)
        world.spawn("ticker", Ticker)
        world.submit("porter", "plain", 1)
        world.run(until=HOUR + 30)
        assert dead(world) == ["RuntimeError: plain"]
        assert (runs(world, "plain"), runs(world, "heard")) == (2, 4)
        assert world.state("porter") == {"heard": 1}
        assert (world.state("ticker"), dead(world, "ticker")) == ({"ticked": True}, [])


def test_a_restart_gives_all_tries_anew():
    with World(seed=3, hosts=1) as world:
        world.spawn("porter", Porter)
        world.submit("porter", ("else", 9))
        world.run(until=1.5 * HOUR)
        assert runs(world, "else") == 2
        world.crash("host-1")
        world.run(until=world.now + 1.5 * HOUR)
        assert (runs(world, "else"), dead(world)) == (2, [])


class Slow(Agent):
    """Takes as long as it is told, after it has acted."""

    retry = Retry(3, wait=1.0, on={TimeoutError: 2})

    def __init__(self) -> None:
        self.ended: list[str] = []

    @handles(tuple, timeout=60.0)
    async def work(self, message: tuple[str, float], ctx: Context) -> None:
        await ctx.call(post, 7)
        try:
            await asyncio.sleep(message[1])
        finally:
            self.ended.append(message[0])
        self.state[message[0]] = True

    @handles(str, timeout=60.0)
    async def stubborn(self, message: str, ctx: Context) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(HOUR)
        if message == "never":
            await asyncio.sleep(2 * HOUR)
        with contextlib.suppress(CallerError):
            self.state[message] = True
        self.ended.append(message)

    @handles(int)
    async def count(self, message: int, ctx: Context) -> None:
        self.state["count"] = message


def ended(world: World) -> list[str]:
    agent = world.engine.driver("slow").agent
    assert isinstance(agent, Slow)
    return agent.ended


def test_a_handler_that_takes_too_long_is_cut_off_in_virtual_time_and_what_it_did_is_undone_in_the_end():
    with World(seed=4, hosts=1) as world:
        world.spawn("slow", Slow)
        world.submit("slow", ("short", 59.0), ("long", 61.0))
        world.run(until=59.0 + 60.5)
        # The effect of the first try waits for the second, which claims it.
        assert (ended(world), len(world.engine.outside.standing())) == (["short", "long"], 2)
        world.settle(HOUR)
        assert ended(world) == ["short", "long", "long"]
        assert dead(world, "slow") == ["HandlerTimeout: Slow.work has not returned within 60 s"]
        assert world.state("slow") == {"short": True}
        assert len(world.engine.outside.standing()) == 1
        assert [seen.calls for seen in world.engine.outside.posted.values()] == [1, 1]
        world.check()


def test_a_handler_that_swallows_its_cancellation_holds_up_nobody_and_what_it_does_goes_nowhere():
    with World(seed=5, hosts=1) as world:
        world.spawn("slow", Slow)
        world.submit("slow", "late", "never", 7)
        world.settle(10 * HOUR)
        assert world.state("slow") == {"count": 7}
        assert len(dead(world, "slow")) == 2
        assert world.now < 2 * HOUR
        assert ended(world) == ["late", "late"]
        host = world.engine.box("host-1").host
        assert host is not None
        told = [notice.detail for notice in host.notices if notice.notice == "handler-goes-on"]
        assert len(told) == 2
        assert "Slow.stubborn goes on although it was cut off" in told[0]
        world.run(until=4 * HOUR)
        assert ended(world) == ["late", "late", "never", "never"]
        assert world.state("slow") == {"count": 7}
        world.check()


def test_an_input_is_called_off_while_it_runs_and_stays_so_over_a_crash():
    with World(seed=6, hosts=1) as world:
        world.spawn("slow", Slow)
        delivery = world.deliver("slow", ("long", 50.0))
        later = world.deliver("slow", ("later", 1.0))
        world.run(until=20.0)
        assert len(world.engine.outside.standing()) == 1
        world.cancel("slow", delivery, why="not wanted", by="ann")
        assert dead(world, "slow") == ["called off by ann: not wanted"]
        world.crash("host-1")
        world.run(until=25.0)
        world.cancel("slow", delivery, by="bob")
        world.settle(HOUR)
        assert dead(world, "slow") == ["called off by ann: not wanted"]
        assert world.state("slow") == {"later": True}
        with pytest.raises(InputHandled, match="has become step slow/1/1"):
            world.cancel("slow", later)
        assert len(world.engine.outside.standing()) == 1
        world.check()
