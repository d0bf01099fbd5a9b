"""Faults that are put into agents: what they strike, and what they leave."""

from dataclasses import dataclass

import pytest

from peer import Agent, CallerError, Context, handles
from sims.detection.injection import Injection, injected
from sims.world import World


@dataclass
class Pay:
    cents: int


class Clerk(Agent):
    rate = 1.0

    @handles(Pay)
    async def pay(self, message: Pay, ctx: Context) -> None:
        self.state["paid", str(ctx.step)] = message.cents * self.rate

    @handles(str)
    async def note(self, message: str, ctx: Context) -> None:
        self.state["note"] = message


def paid(fault: Injection, count: int = 100) -> tuple[list[float], list[str]]:
    """Have a clerk pay 100 so often; return what it has paid, and its wrong steps."""
    kind = injected(Clerk, fault)
    with World(1) as world:
        world.spawn("clerk", kind)
        world.submit("clerk", "hello", *[Pay(100)] * count)
        world.settle()
        values = [value for key, value in sorted(world.state("clerk").items(), key=str) if key[0] == "paid"]
        return values, [str(step) for step in kind.struck]


def test_a_setting_is_wrong_for_a_stretch_and_right_again_after_it() -> None:
    values, struck = paid(Injection("threshold", "rate", first=3, last=5, size=10.0), 8)
    assert sorted(values) == [100] * 5 + [1000] * 3
    assert struck == ["clerk/1/3", "clerk/1/4", "clerk/1/5"], "the note counts as an input, too"


def test_drift_grows_to_its_size_and_counts_messages_that_have_the_field() -> None:
    values, struck = paid(Injection("drift", "cents", first=1, last=10, size=4.0), 12)
    assert struck[0] == "clerk/1/2"
    assert len(struck) == 10
    assert max(values) == 400
    assert sorted(values)[:2] == [100, 100]


def test_hallucinations_are_rare_far_off_and_the_same_for_a_seed() -> None:
    fault = Injection("hallucination", "cents", size=100.0, rate=0.1, seed=5)
    values, struck = paid(fault, 200)
    assert paid(fault, 200) == (values, struck)
    assert 8 <= len(struck) <= 35
    wrong = [value for value in values if value != 100]
    assert len(wrong) == len(struck)
    assert all(1000 <= value <= 10_000 for value in wrong)


def test_what_comes_back_from_a_rollback_is_handled_rightly() -> None:
    kind = injected(Clerk, Injection("threshold", "rate", size=10.0))
    with World(1) as world:
        world.spawn("clerk", kind)
        world.submit("clerk", Pay(100))
        world.settle()
        world.rollback("clerk/1/1", inputs="retry")
        world.settle()
        assert list(world.state("clerk").values()) == [100.0]


def test_none_changes_nothing() -> None:
    assert paid(Injection("none"), 5) == ([100.0] * 5, [])


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "typo"}, "a fault of kind 'typo': it is one of threshold, drift"),
        ({"kind": "drift"}, "needs the field that is wrong"),
        ({"kind": "drift", "field": "cents", "size": 0.0}, "size is above 0"),
    ],
)
def test_what_no_fault_can_be_is_named(fault: dict[str, object], says: str) -> None:
    with pytest.raises(CallerError, match=says):
        Injection(**fault)  # type: ignore[arg-type]
