"""Requests in worlds: what is irreversible is let go only when its step is settled (RQ-1, RQ-2)."""

from typing import Any

import pytest

from peer import Agent, Call, Context, Happened, NotHappened, RestoreRefused, Result, handles, tool
from protocol.ids import StepId
from sims.faults import Crash, Duplicate, KillAtStep, Loss
from sims.world import World

pytestmark = pytest.mark.usefixtures("quiet")

POST: list[tuple[str, str]] = []
"""What has left, each with its intent: nobody can call it back."""
BANK: dict[str, int] = {}


@pytest.fixture(autouse=True)
def _outside() -> None:
    POST.clear()
    BANK.clear()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that fail are part of the plan."""
    caplog.set_level(100, "ebbtide")


def was_sent(call: Call) -> Happened | NotHappened:
    return Happened(f"sent {call.args[0]}") if any(each[1] == call.intent for each in POST) else NotHappened()


@tool(kind="irreversible", check=was_sent)
def send_letter(text: str, *, intent: str) -> str:
    if text.startswith("bad"):
        raise NotHappened("no such street")
    POST.append((text, intent))
    return f"sent {text}"


def refund(call: Call) -> None:
    BANK.pop(call.intent, None)


@tool(undo=refund)
def charge(cents: int, *, intent: str) -> int:
    BANK[intent] = cents
    return cents


class Clerk(Agent):
    """Has letters sent, and cards charged."""

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout

    @handles(str)
    async def letter(self, message: str, ctx: Context) -> None:
        text = message if ctx.evidence is None else f"{message}, once more"
        ctx.request(send_letter, text, then=self.sent, key=message, timeout=self.timeout)
        self.state["asked", message] = str(ctx.step)

    async def sent(self, result: Result, ctx: Context) -> None:
        self.state["sent", result.args[0]] = result.value if result.happened else result.error

    @handles(int)
    async def card(self, message: int, ctx: Context) -> None:
        ctx.request(charge, message, then=self.charged)

    async def charged(self, result: Result, ctx: Context) -> None:
        self.state["charged"] = self.state.get("charged", 0) + result.value

    @handles(bytes)
    async def call_off(self, message: bytes, ctx: Context) -> None:
        ctx.cancel(message.decode())


class Boss(Agent):
    """Sends on what it is told, so that its step is the cause."""

    @handles(str)
    async def told(self, message: str, ctx: Context) -> None:
        ctx.send("clerk", message)


def world_of(seed: int = 0, **options: Any) -> World:
    world = World(seed=seed, hosts=2, **options)
    world.spawn("clerk", Clerk)
    world.spawn("boss", Boss)
    return world


def texts() -> list[str]:
    return [text for text, _ in POST]


def test_rq1_what_can_be_undone_is_called_at_once_and_undone_with_its_step() -> None:
    with world_of() as world:
        world.submit("clerk", 5, 7)
        world.settle()
        assert sorted(BANK.values()) == [5, 7]
        assert world.state("clerk") == {"charged": 12}
        outcome = world.rollback("clerk/1/1", inputs="discard")
        world.settle()
        assert outcome.committed
        assert list(BANK.values()) == [7]
        assert world.state("clerk") == {"charged": 7}
        world.check()


def test_rq2_what_is_irreversible_waits_until_its_step_is_settled() -> None:
    with world_of() as world:
        world.submit("boss", "hello")
        world.settle()
        assert POST == []
        assert ("sent", "hello") not in world.state("clerk")
        world.checkpoint()
        world.settle()
        assert texts() == ["hello"]
        assert world.state("clerk")["sent", "hello"] == "sent hello"
        world.check()


def test_rq2_until_then_undoing_its_step_forgets_it_and_a_re_run_asks_anew() -> None:
    with world_of() as world:
        world.submit("boss", "hello", "wrong")
        world.settle()
        world.rollback("boss/1/2", inputs="discard")
        world.rollback("clerk/1/1", inputs="retry", evidence="more politely")
        world.checkpoint()
        world.settle()
        assert texts() == ["hello, once more"]
        world.check()


def test_rq2_from_then_on_its_agent_rejects_rollbacks_that_hold_it() -> None:
    with world_of() as world:
        world.submit("boss", "hello")
        world.settle()
        world.checkpoint()
        world.settle()
        outcome = world.rollback("boss/1/1", inputs="discard")
        assert not outcome.committed
        assert [agent for agent, _ in outcome.rejects] == ["clerk"]
        assert "has let" in outcome.rejects[0][1]
        assert "send_letter go, which can't be undone" in outcome.rejects[0][1]
        # What was made of the answer is a step as any other: it is handled again, and nothing is sent twice.
        step = next(r.step for r in world.steps("clerk") if r.input.producer == StepId("clerk", 1, 1))
        assert world.rollback(step, inputs="retry").committed
        world.settle()
        assert texts() == ["hello"]
        assert world.state("clerk")["sent", "hello"] == "sent hello"
        world.check()


def test_rq2_no_checkpoint_is_restored_that_is_from_before_it() -> None:
    with world_of() as world:
        world.submit("boss", "first")
        world.settle()
        first = world.checkpoint()
        world.submit("boss", "hello")
        world.settle()
        second = world.checkpoint()
        world.settle()
        assert texts() == ["first", "hello"]
        for host in world.hosts:
            world.crash(host)
        with pytest.raises(RestoreRefused, match="what is irreversible was let go after checkpoint 1"):
            world.restore(first)
        world.restore(second)
        world.settle()
        assert texts() == ["first", "hello"]
        assert ("asked", "hello") in world.state("clerk")
        world.check()


def test_rq1_it_can_be_called_off_until_it_is_let_go_and_fails_and_runs_out_of_time_as_an_answer() -> None:
    with world_of() as world:
        world.spawn("hasty", Clerk, timeout=2.0)
        world.submit("clerk", "hello", "bad address", b"hello")
        world.submit("hasty", "quick")
        world.settle()
        world.run(until=world.now + 3.0)
        assert "was not let go in time" in world.state("hasty")["sent", "quick"]
        world.checkpoint()
        world.settle()
        assert POST == []
        assert "no such street" in world.state("clerk")["sent", "bad address"]
        assert ("sent", "hello") not in world.state("clerk")
        world.check()


@pytest.mark.parametrize("seed", range(15))
def test_each_is_done_once_however_hosts_end(seed: int) -> None:
    faults = [
        Loss(0.1, until=3.0),
        Duplicate(0.1, until=3.0),
        Crash("host-1", at=0.3 + 0.05 * seed, restart_after=0.2),
        Crash("host-2", at=0.9 - 0.03 * seed, restart_after=0.2),
        KillAtStep("clerk", 1 + seed % 8, "asked" if seed % 2 else "durable"),
    ]
    with world_of(seed, faults=faults, checkpoint_every=0.25) as world:
        for number in range(5):
            world.submit("boss", f"letter {number}", at=0.2 * number)
            world.submit("clerk", number + 1, at=0.2 * number + 0.1)
        world.propose("boss/1/5", at=1.2, inputs="discard")
        world.run(until=4.0)
        world.settle()
        world.check()
        undone = world.retracted_by()
        expected = [
            r.input.payload for r in world.steps("clerk") if r.step not in undone and r.requests and r.outputs[0].key
        ]
        world.checkpoint()
        world.settle()
        assert len(texts()) == len(set(texts())) == len(expected)
        sent = {key[1] for key in world.state("clerk") if key[0] == "sent"}
        assert sent == set(texts())
        assert sorted(BANK.values()) == [1, 2, 3, 4, 5]
