"""Retry policies in worlds: real handlers, and waits in virtual time."""

import pytest

from peer import Agent, Answer, Context, Retry, answers, every, handles
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
