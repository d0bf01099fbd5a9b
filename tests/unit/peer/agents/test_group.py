"""What a group may be, and who may request in it."""

from typing import Any

import pytest

from peer import CallerError, Group, StepId
from peer.agents.group import group_of, grouped_of
from protocol.limits import GROUP_MEMBERS_MAX
from protocol.step import Grouped

STEP = StepId("z", 1, 7)


def test_a_group_is_named_by_its_step_and_is_a_plain_value() -> None:
    group = group_of(STEP, "trip", ["a", "b"], 1.5)
    assert group == Group("z/1/7/trip", ("a", "b"), 1.5)
    assert grouped_of(group, "a") == Grouped("z/1/7/trip", ("a", "b"), 1_500_000)
    assert grouped_of(group_of(STEP, "trip", ("a",), None)).deadline_us == 0


@pytest.mark.parametrize(
    ("name", "members", "deadline"),
    [
        ("", ("a",), None),
        ("trip", "ab", None),
        ("trip", (), None),
        ("trip", 7, None),
        ("trip", ("a", "a"), None),
        ("trip", ("a", ""), None),
        ("trip", ("a", 1), None),
        ("trip", [f"a{number}" for number in range(GROUP_MEMBERS_MAX + 1)], None),
        ("trip", ("a",), 0),
        ("trip", ("a",), -1),
        ("trip", ("a",), "soon"),
    ],
)
def test_what_is_no_group_is_refused(name: Any, members: Any, deadline: Any) -> None:
    with pytest.raises(CallerError):
        group_of(STEP, name, members, deadline)


def test_only_members_request_in_a_group() -> None:
    with pytest.raises(CallerError, match="c is none of the members of group z/1/7/trip"):
        grouped_of(group_of(STEP, "trip", ("a", "b"), None), "c")
    with pytest.raises(CallerError, match=r"what ctx\.group has made"):
        grouped_of("trip", "a")
