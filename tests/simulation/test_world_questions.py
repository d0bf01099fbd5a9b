"""Questions in worlds: one agent asks, another answers, and no step waits inside."""

from dataclasses import dataclass
from typing import Any

import pytest

from peer import Agent, Answer, Context, handles
from sims.faults import Crash, Duplicate, Loss
from sims.world import World


@dataclass
class Price:
    item: str
    cents: int


@dataclass
class Want:
    item: str


@dataclass
class Decide:
    """Somebody has made up their mind."""

    item: str


class Buyer(Agent):
    """Asks what things cost."""

    def __init__(self, timeout: float | None = 60.0, whom: str = "shop") -> None:
        self.timeout, self.whom = timeout, whom

    @handles(str)
    async def want(self, message: str, ctx: Context) -> None:
        ctx.ask(self.whom, Want(message), then=self.priced, timeout=self.timeout)

    async def priced(self, answer: Answer, ctx: Context) -> None:
        said = "too late" if answer.timed_out else answer.value
        assert isinstance(answer.asked, Want)
        self.state[answer.asked.item] = said.cents if isinstance(said, Price) else said
        self.state["last"] = str(ctx.step)
        self.state["keys"] = sorted(str(key) for key in self.state)


class Shop(Agent):
    """Answers at once, later, never, or twice, as the item says."""

    @handles(Want)
    async def price(self, message: Want, ctx: Context) -> None:
        assert ctx.question is not None
        self.state["asked"] = self.state.get("asked", 0) + 1
        if message.item.startswith("later"):
            self.state["open", message.item] = ctx.question
        elif not message.item.startswith("never"):
            ctx.reply(Price(message.item, 100 + (50 if ctx.evidence else 0)))
        if message.item.startswith("twice"):
            ctx.reply("again")

    @handles(Decide)
    async def decide(self, message: Decide, ctx: Context) -> None:
        ctx.reply(7, to=self.state.pop(("open", message.item)))


class Odd(Agent):
    """Does what is refused, and keeps what it was told."""

    @handles(str)
    async def goes(self, message: str, ctx: Context) -> None:
        said: list[str] = []
        wrong: list[Any] = [
            lambda: ctx.reply(1),
            lambda: ctx.reply(1, to="nobody"),
            lambda: ctx.ask("shop", "x", then="nothing"),
            lambda: ctx.ask("shop", "x", then=lambda: None),
            lambda: ctx.ask("shop", "x", then=self.alone),
            lambda: ctx.ask("shop", "x", then=self.looks),
            lambda: ctx.ask("shop", "x", then=self.goes, timeout=-1),
            lambda: ctx.ask("shop", object(), then=self.goes),
            lambda: ctx.ask("", "x", then=self.goes),
        ]
        for call in wrong:
            try:
                call()
            except Exception as error:  # noqa: BLE001  # which, is looked at below
                said.append(f"{type(error).__name__}: {error}")
        self.state["said"] = said

    async def alone(self) -> None: ...

    @handles(int, read_only=True)
    async def looks(self, message: int, ctx: Context) -> None: ...


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")


def shopping(seed: int = 1, **world: Any) -> World:
    made = World(seed=seed, hosts=2, **world)
    made.spawn("buyer", Buyer, host="host-1")
    made.spawn("shop", Shop, host="host-2")
    return made


def notices(world: World, kind: str) -> list[str]:
    """Return what hosts have told people in their present lives."""
    hosts = [world.engine.box(name).host for name in world.hosts]
    return [notice.detail for host in hosts if host is not None for notice in host.notices if notice.notice == kind]


def test_an_answer_comes_as_an_input_of_its_own_and_leaves_nothing_behind():
    with shopping() as world:
        world.submit("buyer", "tea")
        world.settle()
        state = world.state("buyer")
        assert (state["tea"], state["keys"]) == (100, ["last", "tea"])
        assert [str(step.step) for step in world.steps("buyer")] == ["buyer/1/1", "buyer/1/2"]
        assert world.machine("buyer").looking.status().timers == 0
        world.check()


def test_an_agent_may_answer_in_a_later_step_and_everybody_goes_on_meanwhile():
    with shopping() as world:
        world.submit("buyer", "later-cup", "tea")
        world.settle()
        assert set(world.state("buyer")) == {"tea", "last", "keys"}
        assert world.machine("buyer").looking.status().timers == 1
        world.submit("shop", Decide("later-cup"))
        world.settle()
        assert world.state("buyer")["later-cup"] == 7
        assert world.machine("buyer").looking.status().timers == 0
        world.check()


def test_without_an_answer_its_absence_comes_and_what_comes_after_that_is_dropped_and_told():
    with shopping() as world:
        world.submit("buyer", "later-cup", "never")
        world.settle()
        assert world.state("buyer") == {}
        world.run(until=world.now + 61)
        assert world.state("buyer")["later-cup"] == "too late"
        assert world.state("buyer")["never"] == "too late"
        world.submit("shop", Decide("later-cup"))
        world.settle()
        assert world.state("buyer")["later-cup"] == "too late"
        assert len(notices(world, "answer-dropped")) == 1
        world.check()


def test_of_two_answers_the_first_counts():
    with shopping() as world:
        world.submit("buyer", "twice")
        world.settle()
        assert world.state("buyer")["twice"] == 100
        assert len(notices(world, "answer-dropped")) == 1


def test_an_agent_that_nobody_has_heard_of_just_does_not_answer():
    with World(seed=1, hosts=1) as world:
        world.spawn("buyer", Buyer, whom="shup")
        world.submit("buyer", "tea")
        world.run(until=61)
        assert world.state("buyer")["tea"] == "too late"


def test_an_answer_is_undone_with_the_question_and_with_what_was_answered():
    with shopping() as world:
        world.submit("buyer", "tea")
        world.settle()
        outcome = world.rollback("buyer/1/1", inputs="discard")
        world.settle()
        assert [str(step) for step in outcome.undone] == ["buyer/1/1", "buyer/1/2", "shop/1/1"]
        assert (world.state("buyer"), world.state("shop")) == ({}, {})
        world.submit("buyer", "tea")
        world.settle()
        step = world.steps("shop")[-1].step
        assert world.rollback(step, inputs="retry", evidence="prices have gone up").committed
        world.settle()
        assert world.state("buyer")["tea"] == 150
        world.check()


def test_a_question_that_is_asked_again_by_a_rerun_is_the_same_question():
    with shopping() as world:
        world.submit("buyer", "tea")
        world.settle()
        before = world.steps("shop")[-1].input
        assert world.rollback("buyer/1/1", inputs="retry").committed
        world.settle()
        again = world.steps("shop")[-1].input
        assert (again.payload, again.lineage) == (before.payload, before.lineage)
        assert world.state("buyer")["tea"] == 100
        world.check()


def test_a_time_out_that_is_undone_leaves_the_question_open():
    with shopping() as world:
        world.submit("buyer", "later-cup")
        world.run(until=61)
        late = world.state("buyer")["last"]
        assert world.rollback(late, inputs="retry").committed
        world.settle()
        # The time is over still: its step comes again, before anything else can.
        assert world.state("buyer")["later-cup"] == "too late"
        assert world.state("buyer")["last"] != late
        world.check()


@pytest.mark.parametrize("seed", range(6))
def test_every_question_is_answered_once_whatever_happens_to_hosts_and_frames(seed):
    items = [f"{kind}-{number}" for number in range(6) for kind in ("now", "later")]
    with shopping(seed, faults=(Loss(0.1), Duplicate(0.1))) as world:
        world.run(until=1)
        world.submit("buyer", *items)
        for number in range(6):
            world.submit("shop", Decide(f"later-{number}"), at=20 + 10 * number)
        world.fail(Crash("host-1", at=1.2, restart_after=3.0), Crash("host-2", at=2.0, restart_after=25.0))
        world.run(until=200)
        world.settle()
        state = world.state("buyer")
        told = {"now": {100, "too late"}, "later": {7, "too late"}}
        assert all(state[item] in told[item.split("-")[0]] for item in items)
        assert world.machine("buyer").looking.status().timers == 0
        assert not notices(world, "agent-stopped")
        world.check()


def test_what_can_not_be_asked_or_answered_is_refused_and_leaves_nothing():
    with World(seed=1, hosts=1) as world:
        world.spawn("odd", Odd)
        world.submit("odd", "go")
        world.settle()
        said = world.state("odd")["said"]
        assert len(said) == 9, said
        assert said[0].startswith("CallerError: nobody waits")
        assert said[7].startswith("PayloadUnsupported")
        (step,) = world.steps("odd")
        assert step.outputs == ()
        assert [write.key for write in step.writes] == ["said"]
