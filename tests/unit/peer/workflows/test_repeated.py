"""`Repeated`: the rule that counts how often one agent has another's steps undone."""

import pytest

from peer.errors import DeclarationRefused
from peer.workflows import Repeated
from protocol.ids import StepId
from protocol.proposal import Proposal

SECOND = 1_000_000


def proposal(number: int, by: str = "ann", of: str = "ben", at_s: float = 0.0) -> Proposal:
    return Proposal(f"{by}/1/p{number}", by, (StepId(of, 1, number),), "retry", began_us=round(at_s * SECOND))


def test_nobody_is_asked_of_the_first_ones() -> None:
    rule = Repeated(3)
    assert [rule(proposal(number), 1) for number in range(1, 6)] == [False, False, False, True, True]


def test_a_proposal_that_is_asked_about_twice_counts_once() -> None:
    rule = Repeated(1)
    assert [rule(proposal(1), 1), rule(proposal(1), 2), rule(proposal(1), 3)] == [False, False, False]
    assert rule(proposal(2), 1)


def test_each_pair_is_counted_by_itself() -> None:
    rule = Repeated(1)
    assert not any(rule(proposal(1, by, of), 1) for by, of in (("a", "b"), ("b", "a"), ("a", "c")))
    assert rule(proposal(2, "b", "a"), 1)


def test_what_is_long_ago_does_not_count() -> None:
    rule = Repeated(2, within=10)
    assert [rule(proposal(n, at_s=n * 6), 1) for n in range(1, 5)] == [False, False, False, False]
    assert rule(proposal(5, at_s=25), 1)


def test_what_an_agent_or_a_person_has_its_own_steps_undone_for_does_not_count() -> None:
    rule = Repeated(1)
    assert not any(rule(proposal(number, "ben", "ben"), 1) for number in range(5))


@pytest.mark.parametrize(
    ("given", "named"),
    [({"times": 0}, "times=0"), ({"times": True}, "times=T"), ({"within": 0}, "within=0"), ({"within": ""}, "within=")],
)
def test_what_is_no_number_is_refused(given, named) -> None:
    with pytest.raises(DeclarationRefused, match=named):
        Repeated(**given)
