"""What a class of agents may declare: refused when it is made, not when a message comes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from peer import Agent, Call, Context, DeclarationRefused, HandlerMissing, handles, tool


@dataclass
class Order:
    number: int


Ours = Order


def with_handler(handler: Any, **more: Any) -> type[Agent]:
    return type("Some", (Agent,), {"go": handler, **more})


async def good(self: Any, message: str, ctx: Context) -> None: ...


async def yields(self: Any, message: str, ctx: Context) -> AsyncIterator[int]:
    yield 1


def yields_plainly(self: Any, message: str, ctx: Context) -> Any:
    yield 1


async def takes_no_context(self: Any, message: str) -> None: ...


async def takes_more(self: Any, message: str, ctx: Context, more: int) -> None: ...


async def for_partials(more: int, self: Any, message: str, ctx: Context) -> None: ...


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: with_handler(handles(str)(yields)), "yields"),
        (lambda: with_handler(handles(str)(yields_plainly)), "yields"),
        (lambda: with_handler(handles(str)(takes_no_context)), "3 arguments"),
        (lambda: with_handler(handles(str)(takes_more)), "3 arguments"),
        (lambda: with_handler(handles(str)(staticmethod(good))), "staticmethod"),
        (lambda: with_handler(staticmethod(handles(str)(good))), "staticmethod"),
        (lambda: with_handler(handles(str)(classmethod(good))), "classmethod"),
        (lambda: with_handler(handles(str)(lambda self, message, ctx: None)), "lambda"),
        (lambda: with_handler(handles(str)(partial(for_partials, 1))), "Write it as a method"),
        (lambda: with_handler(handles(good)), "write @handles"),  # type: ignore[arg-type]
        (lambda: handles(), "names no type"),
        (lambda: handles(None), "type(None)"),  # type: ignore[arg-type]
        (lambda: handles(int | str), "@handles(A, B)"),  # type: ignore[arg-type]
        (lambda: handles("Order"), "no class of messages"),  # type: ignore[arg-type]
        (lambda: handles(list[int]), "no class of messages"),
        (lambda: with_handler(handles(str)(good), spaces="ledger"), "no tuple of names"),
        (lambda: with_handler(handles(str)(good), tries=0), "tries"),
    ],
)
def test_a_class_that_could_not_work_is_refused_when_it_is_made(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(DeclarationRefused, match=why.replace("(", r"\(").replace(")", r"\)")):
        make()


def test_two_handlers_of_one_type_are_refused() -> None:
    other = handles(str)(lambda self, message, ctx: None)
    other.__name__ = "other"
    with pytest.raises(DeclarationRefused, match="both handle str"):
        with_handler(handles(str)(good), other=other)


def test_a_subclass_replaces_a_handler_by_its_name_and_no_other_one() -> None:
    class Base(Agent):
        @handles(str)
        async def go(self, message: str, ctx: Context) -> None: ...

    class Same(Base):
        async def go(self, message: str, ctx: Context) -> None: ...

    assert Same.handlers == {str: "go"}
    with pytest.raises(DeclarationRefused, match="give it the same name"):

        class Other(Base):  # pyright: ignore[reportUnusedClass]
            @handles(str)
            async def come(self, message: str, ctx: Context) -> None: ...

    with pytest.raises(DeclarationRefused, match="yields"):

        class Yields(Base):  # pyright: ignore[reportUnusedClass]
            async def go(self, message: str, ctx: Context) -> AsyncIterator[int]:  # type: ignore[override]
                yield 1


def _namesake() -> type:
    return dataclass(type("Order", (), {"__annotations__": {"number": int}, "__module__": "shipping"}))


def test_two_classes_of_one_name_are_refused_in_one_agent_and_told_apart_where_they_are_sent() -> None:
    theirs = _namesake()
    with pytest.raises(DeclarationRefused, match=r"test_declaring.Order and shipping.Order"):
        with_handler(handles(Order, theirs)(good))
    kind = with_handler(handles(Order)(good))
    kind.check_handles(Order(1))
    with pytest.raises(HandlerMissing, match="another than"):
        kind.check_handles(theirs(1))


def test_a_class_that_was_made_anew_is_the_same_message() -> None:
    kind = with_handler(handles(Order)(good))
    again = dataclass(type("Order", (), {"__annotations__": {"number": int}, "__module__": Order.__module__}))
    kind.check_handles(again(1))


# -- tools --------------------------------------------------------------------------------------------------------


def undo(call: Call) -> None: ...


async def sends(what: int) -> None: ...


async def streams(what: int) -> AsyncIterator[int]:
    yield what


class Callable_:
    def __call__(self, what: int) -> None: ...


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: tool(kind="idempotent")(streams), "yields"),
        (lambda: tool(undo=lambda: None)(sends), "one argument"),
        (lambda: tool(undo=streams)(sends), "yields"),  # type: ignore[arg-type]
        (lambda: tool(undo=undo, check=lambda: None)(sends), "one argument"),
        (lambda: tool(kind="compensable")(sends), "undo"),
        (lambda: tool(kind="odd")(sends), "say what undoing it means"),
        (lambda: tool(kind="pure")(Callable_()), "name"),
        (lambda: tool(kind="pure")(partial(sends, 1)), "name"),
        (lambda: tool(kind="pure", timeout=0)(sends), "timeout"),
        (lambda: tool(kind="pure", retry=3)(sends), "tenacity"),  # type: ignore[arg-type]
        (lambda: tool(kind="pure", concurrency=0)(sends), "concurrency"),
    ],
)
def test_a_tool_that_could_not_work_is_refused_when_it_is_declared(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(DeclarationRefused, match=why):
        make()


def make_tool(account: str, **options: Any) -> Any:
    @tool(kind="idempotent", **options)
    def pay(cents: int) -> str:
        return account

    return pay


def test_tools_of_a_factory_have_names_that_do_not_hang_on_their_order() -> None:
    alone = make_tool("alone")
    assert alone.name == f"{__name__}:make_tool.<locals>.pay"
    one, two = make_tool("one"), make_tool("two")
    assert one.name != two.name
    assert one.name == make_tool("one").name
    again = {make_tool(account).name for account in ("two", "one")}
    assert again == {one.name, two.name}


def test_tools_of_a_loop_are_told_apart_by_their_defaults() -> None:
    made = []
    for account in ("a", "b"):

        @tool(kind="idempotent")
        def transfer(cents: int, account: str = account) -> str:
            return account

        made.append(transfer)
    assert made[0].name != made[1].name


def test_lambdas_are_told_apart_by_what_they_do() -> None:
    one, two = tool(kind="pure")(lambda x: (x, 1)), tool(kind="pure")(lambda x: (x, 2))
    assert one.name != two.name


def test_a_function_that_is_declared_again_keeps_its_name() -> None:
    source = "@tool(kind='pure')\ndef price(item, margin={margin}):\n    return margin\n"
    space: dict[str, Any] = {"tool": tool, "__name__": "notebook"}
    names = []
    for margin in (1, 1, 2):
        exec(source.format(margin=margin), space)
        names.append(space["price"].name)
    assert names == ["notebook:price"] * 3


def test_a_class_that_sees_two_tools_of_one_name_is_refused() -> None:
    one = tool(kind="pure", name="look")(lambda x: (x, 1))
    two = tool(kind="pure", name="look")(lambda x: (x, 2))
    with pytest.raises(DeclarationRefused, match="sees two tools that are called look"):
        with_handler(handles(str)(good), one=one, two=two)


def test_tools_in_a_dict_or_a_list_are_seen() -> None:
    kind = with_handler(handles(str)(good), by_account={"x": make_tool("x", name="pay-x")}, more=[make_tool("y")])
    assert "pay-x" in kind.tools()
    assert len([name for name in kind.tools() if "make_tool" in name]) == 1
