"""What a class may declare of its consent to rollbacks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from peer import Agent, Context, DeclarationRefused, handles, precondition


def good() -> Any:
    """Return a method of its own: a mark stays on it."""

    async def found(self: Any, proposal: Any, then: Any, now: Any) -> bool:
        return True

    return found


def of_proposal() -> Any:
    def found(self: Any, proposal: Any) -> bool:
        return True

    return found


def with_one(**methods: Any) -> type[Agent]:
    async def go(self: Any, message: str, ctx: Context) -> None: ...

    return type("Some", (Agent,), {"go": handles(str)(go), **methods})


def yields(self: Any, proposal: Any) -> Iterator[bool]:
    yield True


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: with_one(still_valid=lambda self: True), r"still_valid is \(self\). It takes \(self, proposal\), or"),
        (lambda: with_one(still_valid=lambda self, proposal, then: True), "It takes"),
        (lambda: with_one(still_valid=yields), "yields"),
        (lambda: with_one(check=precondition(yields)), "yields"),
        (lambda: with_one(check=precondition(staticmethod(of_proposal()))), "staticmethod"),
        (lambda: with_one(check=precondition(lambda self, one, two: True)), "@precondition check is"),
        (lambda: with_one(still_valid=precondition(good())), "asked in any case"),
        (lambda: with_one(check=precondition(handles=int)(good())), "no handler takes that"),
        (lambda: with_one(check=precondition(resources={"db": dict})(good())), "resources db"),
        (lambda: precondition(handles="Order"), "no class of messages"),
        (lambda: precondition(resources=[1]), "a dict of parameters"),
        (lambda: precondition(3), "no method"),
        (lambda: with_one(consent_s=0), "consent_s = 0: seconds"),
        (lambda: with_one(consent_s="soon"), "consent_s = 'soon'"),
        (lambda: with_one(consent_s=4000), "up to 3600"),
    ],
)
def test_what_could_not_be_asked_is_refused_when_the_class_is_made(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(DeclarationRefused, match=why):
        make()


def test_both_forms_are_told_apart_and_what_is_overridden_stays_marked() -> None:
    base = with_one(
        still_valid=of_proposal(), check=precondition(good()), only=precondition(handles=str)(of_proposal())
    )
    assert [(each.name, each.looks_back) for each in base.conditions] == [
        ("still_valid", False), ("check", True), ("only", False),
    ]  # fmt: skip
    assert base.conditions[2].handled == {"str"}
    kind = type("Other", (base,), {"still_valid": good(), "check": of_proposal()})
    assert [(each.name, each.looks_back) for each in kind.conditions] == [
        ("still_valid", True), ("check", False), ("only", False),
    ]  # fmt: skip
    assert with_one().conditions == ()
