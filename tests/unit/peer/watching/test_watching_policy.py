"""What a policy chooses, and how it says why."""

import pytest

from peer.detectors import Suspicion
from peer.errors import ConfigInvalid
from peer.watching import Always, Case, ConfirmFirst, Costs, Foresight, LeastCost
from protocol.ids import StepId


def case(chance: float, seen: Foresight, **more: bool | int) -> Case:
    return Case(Suspicion((StepId("a", 1, 1),), 1.5, {}, "d"), chance, 1.0, seen, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chance", "seen", "more", "verb"),
    [
        (0.9, Foresight(3, 2), {}, "revise"),
        (0.9, Foresight(3, 2), {"revised": True}, "undo"),
        (0.01, Foresight(30, 5), {}, "ignore"),
        (0.5, Foresight(100, 5), {"can_confirm": True}, "confirm"),
        (0.97, Foresight(3, 2), {"can_confirm": True}, "revise"),
        (0.5, Foresight(500, 5, 20), {"can_ask": True}, "ignore"),
        (0.9, Foresight(900, 50, 100), {"can_ask": True}, "escalate"),
        (0.9, Foresight(3, 2, 2, 1), {}, "compensate"),
    ],
)
def test_it_chooses_what_is_expected_to_cost_least(
    chance: float, seen: Foresight, more: dict[str, bool | int], verb: str
) -> None:
    assert LeastCost().rule(case(chance, seen, **more)).verb == verb


def test_confirming_is_worth_more_the_dearer_it_is_to_undo() -> None:
    costs = Costs(check=5.0)
    small = LeastCost(costs).rule(case(0.6, Foresight(2, 1), can_confirm=True))
    large = LeastCost(costs).rule(case(0.6, Foresight(200, 1), can_confirm=True))
    assert (small.verb, large.verb) == ("revise", "confirm")


def test_it_says_what_each_choice_would_cost_cheapest_first() -> None:
    ruling = LeastCost().rule(case(0.9, Foresight(12, 3, 1)))
    assert ruling.verb == "revise"
    assert ruling.why.startswith("wrong with chance 0.9; undoing takes back 12 steps of 3 agents and 1 effects")
    assert ruling.why.endswith("expected costs: revise 1.85, ignore 90")


def test_what_is_odd_again_when_it_was_revised_is_left() -> None:
    assert Always().rule(case(0.9, Foresight(3, 2))).verb == "revise"
    assert Always().rule(case(0.9, Foresight(3, 2), revised=True)).verb == "ignore"


def test_what_nobody_can_carry_out_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match=r"Always\('restore'\): it is one of ignore, confirm"):
        Always("restore")


def test_requests_are_held_from_a_chance_on_and_never_for_what_is_ignored() -> None:
    policy = LeastCost(hold_from=0.8)
    assert policy.rule(case(0.9, Foresight(3, 2))).holds
    assert not policy.rule(case(0.5, Foresight(3, 2))).holds
    assert not policy.rule(case(0.01, Foresight(30, 5))).holds


def test_the_simple_ones_do_what_they_say() -> None:
    assert Always("undo").rule(case(0.0, Foresight())).verb == "undo"
    assert ConfirmFirst().rule(case(0.9, Foresight())).verb == "ignore"
    assert ConfirmFirst().rule(case(0.9, Foresight(), can_ask=True)).verb == "escalate"
    assert ConfirmFirst().rule(case(0.9, Foresight(), can_ask=True, can_confirm=True)).verb == "confirm"
