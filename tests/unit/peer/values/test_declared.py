"""What a class declares of its keys: a declaration that would make a rollback wrong is refused when it is made."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from peer import Agent, Context, DeclarationRefused, bulky, derived, handles, secret
from peer.values.declared import Derived, family, kind_of


def build(key: Any, sources: Any) -> Any:
    return len(sources)


async def later(*arguments: Any) -> Any: ...


def declare(**keys: Any) -> type[Agent]:
    return type("Till", (Agent,), {"keys": keys})


def test_a_tuple_is_kept_as_its_first_element_says() -> None:
    keys = declare(scan=bulky()).state_schema.keys
    assert kind_of("scan", keys) == kind_of(("scan", 7), keys) == bulky()
    for key in ("scans", ("x", "scan"), (), 7, True, (("scan",), 1)):
        assert kind_of(key, keys) is None
    assert (family(("scan", 7)), family("scan"), family(7), family(())) == ("scan", "scan", None, None)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: secret(), r"secret\(\) without load: .* an undo or a restart could not bring the value back"),
        (lambda: secret(load=later), "load is a coroutine function"),
        (lambda: secret(load="token"), "load is 'token': it has to be a function"),  # type: ignore[arg-type]
        (lambda: derived(build, of=()), "a tuple of one key or more"),
        (lambda: derived(build, of="orders"), "a tuple of one key or more"),  # type: ignore[arg-type]
        (lambda: derived(build, of=(("a", 1),)), "a tuple of one key or more"),  # type: ignore[arg-type]
        (lambda: derived(later, of=("a",)), "build is a coroutine function"),
        (lambda: declare(a=derived(build, of=("a",))), "a of a: a key that is derived of itself"),
        (
            lambda: declare(a=derived(build, of=("x", "b")), b=derived(build, of=("c",)), c=derived(build, of=("a",))),
            "a of b of c of a: a key that is derived of itself",
        ),
        (lambda: declare(a=bulky), "keys declares 'a' as <function bulky"),
        (lambda: type("Till", (Agent,), {"keys": {("a", 1): bulky()}}), "tuples are kept as their first element says"),
        (lambda: type("Till", (Agent,), {"keys": {7: bulky()}}), "keys declares 7, which is no str"),
        (lambda: type("Till", (Agent,), {"keys": ("a",)}), "keys is .*: it declares state"),
        (lambda: type("Late", (declare(a=bulky()),), {"keys": {"a": secret(load=build)}}), "a base class otherwise"),
        (
            lambda: type("Late", (declare(a=secret(load=str)),), {"keys": {"a": derived(build, of=("b",))}}),
            "'a' as derived, and a base class otherwise",
        ),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(make: Callable[[], Any], match: str) -> None:
    with pytest.raises(DeclarationRefused, match=match):
        make()


def test_declarations_are_inherited() -> None:
    base = declare(a=bulky(), b=derived(build, of=("a",)))
    late = type("Late", (base,), {"keys": {"a": bulky(), "c": derived(build, of=("b",))}})
    assert sorted(late.state_schema.keys) == ["a", "b", "c"]
    assert isinstance(late.state_schema.keys["c"], Derived)


def test_a_message_with_a_reading_and_a_writing_handler_is_refused() -> None:
    with pytest.raises(DeclarationRefused, match=r"look and order both handle str, and one of them is read_only"):

        class Till(Agent):
            @handles(str)
            def order(self, message: str, ctx: Context) -> None: ...

            @handles(str, read_only=True)
            def look(self, message: str, ctx: Context) -> None: ...


def test_a_handler_that_may_only_read_stays_so_when_it_is_overridden() -> None:
    class Till(Agent):
        tries: ClassVar[int] = 1

        @handles(str, read_only=True)
        def look(self, message: str, ctx: Context) -> None: ...

    class Late(Till):
        def look(self, message: str, ctx: Context) -> None: ...

    class Writing(Till):
        @handles(str)
        def look(self, message: str, ctx: Context) -> None: ...

    assert (Late.read_only_handlers, Writing.read_only_handlers) == ({"look"}, frozenset())
