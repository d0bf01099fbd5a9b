"""Versions of messages and of state: what older releases wrote is read, what newer ones wrote is refused by name."""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import pytest

from peer import Agent, Context, DeclarationRefused, MigrationFailed, VersionUnknown, handles, migrates, versioned
from peer.errors import PayloadInvalid
from peer.store.outside.keeping import Keeping
from peer.values.codec import Values
from peer.values.declared import Schema
from peer.values.payload import decode_message, encode, encode_message, type_name
from peer.values.versioning import read_tag


class First:
    """Classes as the first release had them."""

    @dataclass
    class Order:
        item: str
        price: int

    class Pay(msgspec.Struct):
        amount: int


class Third:
    """And as the third has them."""

    @versioned(3)
    @dataclass
    class Order:
        item: str
        cents: int
        note: str

    @versioned(2)
    class Pay(msgspec.Struct, kw_only=True):
        amount: int
        currency: str


@migrates(Third.Order, 1)
def _(fields: dict[str, Any]) -> dict[str, Any]:
    return {"item": fields["item"], "cents": fields["price"] * 100}


@migrates(Third.Order, 2)
def _(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "note": "old"}


@migrates(Third.Pay, 1)
def _(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "currency": "EUR"}


FIRST = {"Order": First.Order, "Pay": First.Pay}
THIRD = {"Order": Third.Order, "Pay": Third.Pay}


def values(version: int = 1, migrations: Any = None) -> Values:
    return Values(Schema("Till", {}, version, migrations or {}), Keeping.in_memory(b"secret"), lambda: 0)


def test_version_1_has_the_form_of_old_and_later_ones_stand_in_the_tag() -> None:
    assert b"Order\x82" in encode_message(First.Order("tea", 4))
    assert b"Order@3\x83" in encode_message(Third.Order("tea", 400, ""))
    assert type_name(encode_message(Third.Order("tea", 400, ""))) == "Order"
    assert read_tag("Order@2") == ("Order", 2)


def test_fields_of_older_versions_go_through_every_migration() -> None:
    assert decode_message(encode_message(First.Order("tea", 4)), THIRD) == Third.Order("tea", 400, "old")
    assert decode_message(encode_message(First.Pay(7)), THIRD) == Third.Pay(amount=7, currency="EUR")
    new = Third.Order("tea", 5, "new")
    assert decode_message(encode_message(new), THIRD) == new


def test_a_newer_version_is_refused_with_what_is_read_and_the_remedy() -> None:
    with pytest.raises(VersionUnknown, match=r"Order is of version 3, and this release reads version 1\..*Upgrade"):
        decode_message(encode_message(Third.Order("tea", 400, "")), FIRST)


@pytest.mark.parametrize(
    "tag", ["Order@", "Order@1", "Order@02", "Order@x", "Order@2@3", "Order@²", "Order@9999999999"]
)
def test_a_tag_that_is_no_version_is_refused(tag: str) -> None:
    with pytest.raises(PayloadInvalid, match="names no version"):
        decode_message(encode([tag, {}]), THIRD)


def test_a_migration_that_fails_or_makes_the_wrong_fields_is_named() -> None:
    @versioned(2)
    @dataclass
    class Order:
        item: str

    old = encode_message(First.Order("tea", 4))
    made: list[Any] = []

    @migrates(Order, 1)
    def migrate(fields: dict[str, Any]) -> dict[str, Any]:
        if isinstance(made[-1], Exception):
            raise made[-1]
        return made[-1]

    for each, match in (
        (ValueError("no tea"), "Order from version 1 failed .ValueError: no tea"),
        ([], "it made .. where fields belong"),
        ({"item": 3}, "version 1, once migrated to 2, are wrong: Expected `str`"),
    ):
        made.append(each)
        with pytest.raises(MigrationFailed, match=match):
            decode_message(old, {"Order": Order})
    assert migrate({"a": 1}) == {"item": 3}


def test_versions_that_can_not_be_are_refused_where_they_are_declared() -> None:
    for version in (0, -1, "2", 2.0, True):
        with pytest.raises(DeclarationRefused, match="an int from 1 on"):
            versioned(version)  # type: ignore[arg-type]
    with pytest.raises(DeclarationRefused, match="array_like"):
        versioned(2)(type("Row", (msgspec.Struct,), {}, array_like=True))
    with pytest.raises(DeclarationRefused, match="is of version 3: nothing migrates from 3"):
        migrates(Third.Order, 3)
    with pytest.raises(DeclarationRefused, match="has a migration from version 1 already"):
        migrates(Third.Order, 1)(lambda fields: fields)


def test_a_message_without_a_migration_can_be_sent_and_not_handled() -> None:
    @versioned(3)
    @dataclass
    class Order:
        item: str

    assert encode_message(Order("tea"))
    migrates(Order, 2)(lambda fields: fields)
    with pytest.raises(DeclarationRefused, match=r"Order is of version 3 and has no migration from 1 to 2.*@migrates"):

        class Till(Agent):
            @handles(Order)
            def order(self, message: Order, ctx: Context) -> None: ...


def test_a_subclass_has_a_version_of_its_own() -> None:
    @dataclass
    class Urgent(Third.Order):
        pass

    assert b"Urgent\x83" in encode_message(Urgent("tea", 1, ""))


# -- state ----------------------------------------------------------------------------------------------------------


def test_values_of_version_1_are_stored_as_ever_and_later_ones_say_theirs() -> None:
    assert values().encode("k", {"a": 1}) == encode({"a": 1})
    second = values(2, {1: lambda key, value: value})
    data = second.encode("k", {"a": 1})
    assert data != encode({"a": 1})
    assert second.decode("k", data) == {"a": 1}


def test_old_values_are_migrated_step_by_step_with_their_keys() -> None:
    third = values(3, {1: lambda key, value: [key, value], 2: lambda key, value: (*value, "3")})
    assert third.decode(("paid", 1), values().encode("k", 7)) == (("paid", 1), 7, "3")
    second = values(2, {1: lambda key, value: value})
    assert third.decode("k", second.encode("k", [1])) == (1, "3")


def test_a_newer_value_and_a_failing_migration_are_named() -> None:
    with pytest.raises(VersionUnknown, match=r"key 'k' in the state of Till is of version 2.* reads version 1\."):
        values().decode("k", values(2).encode("k", 1))
    with pytest.raises(MigrationFailed, match=r"key 'k' in the state of Till from version 1 failed \(KeyError: 'x'\)"):
        values(2, {1: lambda key, value: value["x"]}).decode("k", values().encode("k", {}))


@pytest.mark.parametrize(
    ("version", "steps", "match"),
    [
        (3, {2: lambda key, value: value}, "no migration from 1 to 2"),
        (2, {}, "no migration from 1 to 2"),
        (2, {1: lambda key, value: value, 2: lambda key, value: value}, "a migration from 2, which is none"),
        (0, {}, "an int from 1 on"),
        (2, {1: asyncio.sleep}, "coroutine function"),
        (2, {1: "no function"}, "has to be a function"),
    ],
)
def test_a_chain_of_migrations_with_a_gap_is_refused_at_class_definition(version: int, steps: Any, match: str) -> None:
    with pytest.raises(DeclarationRefused, match=match):

        class Till(Agent):
            state_version: ClassVar[int] = version
            migrations: ClassVar[dict[int, Any]] = steps
