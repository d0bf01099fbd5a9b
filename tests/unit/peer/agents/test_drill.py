"""Drills: an undo, a check or a repetition that does not do what it says is found by trying it."""

from typing import Any

import pytest

from peer import Call, Canary, DeclarationRefused, Happened, NotHappened, drill, tool

WORLD: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    WORLD.clear()


def look() -> list[str]:
    return sorted(WORLD)


def remove(call: Call) -> None:
    WORLD.pop(call.intent, None)


def nothing(call: Call) -> None:
    pass


def stands(call: Call) -> Happened | NotHappened:
    return Happened() if call.intent in WORLD else NotHappened()


async def never(call: Call) -> NotHappened:
    raise NotHappened


def put(*, intent: str) -> None:
    WORLD[intent] = 1


async def count(*, intent: str) -> None:
    WORLD[f"{intent} {len(WORLD)}"] = 1


@pytest.mark.parametrize(
    ("declared", "function", "outcome", "why"),
    [
        ({"undo": remove, "check": stands, "canary": Canary(look=look)}, put, "holds", ""),
        ({"undo": remove, "check": stands, "canary": Canary()}, put, "holds", ""),
        ({"undo": nothing, "canary": Canary(look=look)}, put, "fails", "after the undo the canary shows"),
        ({"undo": nothing, "check": stands, "canary": Canary()}, put, "fails", "after the undo its check says"),
        ({"undo": remove, "check": never, "canary": Canary(look=look)}, put, "fails", "after the call its check says"),
        ({"undo": remove, "canary": Canary(look=lambda: 1)}, put, "fails", "has changed nothing"),
        ({"undo": remove, "canary": Canary(("too", "many"))}, put, "fails", "TypeError"),
        ({"undo": remove}, put, "not tried", "no canary"),
        ({"kind": "irreversible"}, put, "cannot be undone", "settled"),
        ({"kind": "idempotent", "canary": Canary(look=look)}, put, "holds", ""),
        ({"kind": "idempotent", "canary": Canary(look=look)}, count, "fails", "it is not idempotent"),
    ],
)
async def test_what_an_undo_does_is_found_by_trying_it(declared: Any, function: Any, outcome: str, why: str) -> None:
    (done,) = await drill([tool(name=f"t{len(WORLD)}", **declared)(function)])
    assert done.outcome == outcome
    assert why in done.why
    if outcome == "holds" and "undo" in declared:
        assert WORLD == {}


async def test_what_is_pure_has_nothing_to_try() -> None:
    assert await drill([tool(kind="pure", name="look")(look)]) == []


def test_a_canary_is_one() -> None:
    with pytest.raises(DeclarationRefused, match=r"a Canary"):
        tool(undo=remove, canary=3)(put)  # type: ignore[arg-type]
