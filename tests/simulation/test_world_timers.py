"""Timers in worlds: real agents in virtual time, so a day passes in a moment."""

import pytest

from peer import Agent, Context, every, handles
from peer.errors import CallerError, DeclarationRefused
from sims.world import World

HOUR = 240.0
"""Of a small planet: each virtual second costs hosts their gossip."""
DAY = 24 * HOUR


class Diary(Agent):
    """Writes down what it is reminded of, and when it has looked at the clock."""

    @handles(tuple)
    async def remember(self, message: tuple[float, str], ctx: Context) -> None:
        ctx.after(message[0], message[1], key=message[1])

    @handles(str)
    async def note(self, message: str, ctx: Context) -> None:
        self.state["notes"] = [*self.state.get("notes", []), message]

    @handles(bytes)
    async def forget(self, message: bytes, ctx: Context) -> None:
        ctx.cancel(message.decode())


class Clock(Agent):
    """Counts hours."""

    def __init__(self, fails_at: int = 0) -> None:
        self.fails_at = fails_at
        self.runs = 0

    @every(HOUR)
    async def hour(self, ctx: Context) -> None:
        self.runs += 1
        if 0 < self.fails_at <= self.runs < self.fails_at + self.tries:
            raise RuntimeError("out of order")
        self.state["hours"] = self.state.get("hours", 0) + 1


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")


def test_a_timer_of_a_day_comes_after_a_day_and_an_agent_with_one_is_idle():
    with World(seed=1, hosts=1) as world:
        world.spawn("diary", Diary)
        world.submit("diary", (DAY, "water the plants"), (DAY, "pay the rent"), b"pay the rent")
        world.settle()
        assert world.now < 60
        status = world.machine("diary").looking.status()
        assert (status.timers, status.under_way) == (1, ())
        world.run(until=DAY - 1)
        assert world.state("diary") == {}
        world.run(until=DAY + 60)
        assert world.state("diary") == {"notes": ["water the plants"]}
        world.check()


def test_what_fell_due_while_its_host_was_away_comes_once_at_its_start():
    with World(seed=2, hosts=2) as world:
        world.spawn("diary", Diary, host="host-2")
        world.spawn("clock", Clock, host="host-2")
        world.submit("diary", (HOUR / 6, "one"), (HOUR / 3, "two"), (DAY, "three"))
        world.settle()
        world.run(until=1.05 * HOUR)
        assert world.state("clock") == {"hours": 1}
        world.crash("host-2", None)
        world.run(until=world.now + 10 * HOUR)
        world.restart("host-2")
        world.run(until=world.now + 60)
        assert world.state("clock") == {"hours": 2}
        assert world.state("diary") == {"notes": ["one", "two"]}
        world.run(until=world.now + HOUR)
        assert world.state("clock") == {"hours": 3}
        world.run(until=2 * DAY)
        assert world.state("diary") == {"notes": ["one", "two", "three"]}
        world.check()


def test_a_disk_that_is_lost_takes_timers_with_the_steps_that_have_set_them_and_no_others():
    with World(seed=3, hosts=2) as world:
        world.spawn("diary", Diary, host="host-2")
        world.submit("diary", (HOUR / 6, "one"))
        world.settle()
        world.crash("host-2", 0.1, disk="lost", keep=0.5)
        world.run(until=HOUR / 3)
        kept = [step for step in world.steps("diary") if step.due_us]
        assert world.state("diary").get("notes", []) == ["one"] * len(kept)


def test_an_every_goes_on_when_a_run_of_it_is_discarded_or_fails_for_good():
    with World(seed=4, hosts=1) as world:
        world.spawn("clock", Clock)
        world.run(until=2.5 * HOUR)
        last = world.steps("clock")[-1].step
        assert world.rollback(last, inputs="discard").committed
        world.run(until=8.5 * HOUR)
        hours = world.state("clock")["hours"]
        assert 5 <= hours < 8
        world.check()
    with World(seed=5, hosts=1) as world:
        world.spawn("clock", Clock, fails_at=2)
        world.run(until=8.5 * HOUR)
        assert [why for _, why, _ in world.machine("clock").core.dead]
        assert world.state("clock")["hours"] >= 5
        world.check()


def test_an_every_goes_on_when_everything_goes_back_to_before_it():
    with World(seed=6, hosts=1) as world:
        world.spawn("diary", Diary)
        world.submit("diary", "first")
        world.settle()
        epoch = world.checkpoint()
        world.spawn("clock", Clock)
        world.run(until=1.5 * HOUR)
        assert world.state("clock") == {"hours": 1}
        world.restore(epoch)
        world.run(until=world.now + 4 * HOUR)
        assert world.state("clock")["hours"] >= 2
        world.check()


def test_an_every_that_is_undone_and_runs_again_is_set_once():
    with World(seed=7, hosts=1) as world:
        world.spawn("clock", Clock)
        world.run(until=1.05 * HOUR)
        last = world.steps("clock")[-1].step
        assert world.rollback(last, inputs="retry").committed
        world.run(until=10 * HOUR + 20)
        assert world.state("clock") == {"hours": 10}
        assert world.machine("clock").looking.status().timers == 1


def test_what_is_no_time_or_key_is_refused_and_nothing_is_set():
    refused: list[str] = []

    class Wrong(Agent):
        @handles(str)
        async def tries_it(self, message: str, ctx: Context) -> None:
            for seconds, key in ((-1, None), (float("nan"), None), ("1", None), (1e12, None), (1, "!every/x"), (1, "")):
                try:
                    ctx.after(seconds, "x", key=key)  # type: ignore[arg-type]
                except CallerError as error:
                    refused.append(str(error))
            try:
                ctx.cancel("!every/x")
            except CallerError as error:
                refused.append(str(error))
            ctx.after(5, "mine", key="k")
            ctx.after(5, "twice", key="k")
            ctx.after(5, "off", key="l")
            ctx.cancel("l")

    with World(seed=8, hosts=1) as world:
        world.spawn("wrong", Wrong)
        world.submit("wrong", "go")
        world.settle()
        assert len(refused) == 7
        (step,) = world.steps("wrong")
        assert [output.key for output in step.outputs] == ["k"]
        assert b"twice" in step.outputs[0].payload


def test_a_class_with_an_every_that_can_not_work_is_refused():
    with pytest.raises(DeclarationRefused, match="never rest"):
        every(0)
    with pytest.raises(DeclarationRefused, match="no number"):
        every("soon")  # type: ignore[arg-type]
    with pytest.raises(DeclarationRefused, match="is to take 2 arguments"):

        class Takes(Agent):
            @every(1)
            async def run(self, message: str, ctx: Context) -> None: ...

    with pytest.raises(DeclarationRefused, match="has no self"):

        class Static(Agent):
            @staticmethod
            @every(1)
            async def run(ctx: Context) -> None: ...


def test_an_every_is_inherited_and_a_namesake_in_a_subclass_keeps_its_time():
    class Slow(Clock):
        async def hour(self, ctx: Context) -> None: ...

    assert Slow.everies == {"hour": HOUR}
