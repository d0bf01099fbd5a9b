"""HTTP tools, against a server: keyed, taken back, looked up, and patient within bounds."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from peer import Agent, Call, Cluster, Context, EffectInDoubt, Happened, NotHappened, ToolFailed, Unknown, handles
from peer.adapters import http
from peer.adapters.options import NoAnswer
from peer.adapters.retry_after import seconds_to_wait
from peer.errors import DeclarationRefused
from tests.adapters.servers import Shop, shop

PLACE: dict[str, str] = {}


@asynccontextmanager
async def open_client() -> AsyncIterator[httpx.AsyncClient]:
    # A server that answers nothing has ended the connection: no time is waited for.
    async with httpx.AsyncClient(base_url=PLACE["url"], timeout=60) as client:
        yield client


def is_open(order: Any) -> bool:
    return order["state"] == "open"


UNDO = http.Undo("DELETE", "/orders/{answer[id]}")
LOOKUP = http.Lookup("/orders/by-key/{key}", is_open)
order = http.request("order", open_client, "POST", "/orders", undo=UNDO, lookup=LOOKUP)
blind = http.request("blind", open_client, "POST", "/orders", undo=UNDO, tries=1)
keyless = http.request("keyless", open_client, "POST", "/orders", undo=UNDO, key_header=None)
look = http.request("look", open_client, "GET", "/orders/{number}", kind="pure")


@pytest.fixture
def place() -> Iterator[Shop]:
    with shop() as (url, own):
        PLACE["url"] = url
        yield own


@pytest.fixture
async def client(place: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as client:
        yield client


TEA = {"item": "tea"}
CALL = Call("a/ext:x#1/0", (TEA,), {})


async def test_an_order_carries_its_key_and_is_taken_back_by_what_the_answer_says(place: Shop, client: Any) -> None:
    answer = await order.function(TEA, intent=CALL.intent, client=client)
    assert answer == {"status": 201, "body": {"id": 1, "state": "open", "item": "tea"}, "location": None}
    assert place.asked == [("POST", "/orders", CALL.intent)]
    found = await order.check(CALL, client=client)  # type: ignore[misc]
    assert isinstance(found, Happened)
    assert found.result["body"] == answer["body"]
    for _ in range(2):
        await order.undo(Call(CALL.intent, CALL.args, {}, answer), client=client)  # type: ignore[misc]
    assert place.asked[-1] == ("DELETE", "/orders/1", f"{CALL.intent}:undo")
    assert place.orders[1]["state"] == "cancelled"
    assert isinstance(await order.check(CALL, client=client), NotHappened)  # type: ignore[misc]


async def test_an_undo_without_an_answer_looks_it_up_and_needs_none_where_nothing_happened(
    place: Shop, client: Any
) -> None:
    await order.undo(CALL, client=client)  # type: ignore[misc]
    await order.function(TEA, intent=CALL.intent, client=client)
    await order.undo(CALL, client=client)  # type: ignore[misc]
    assert place.orders[1]["state"] == "cancelled"
    with pytest.raises(NoAnswer, match="by hand"):
        await blind.undo(CALL, client=client)  # type: ignore[misc]
    # What is gone needs no undo.
    await blind.undo(Call(CALL.intent, CALL.args, {}, {"body": {"id": 7}}), client=client)  # type: ignore[misc]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
async def test_a_refusal_has_not_happened_and_is_not_repeated(place: Shop, client: Any, status: int) -> None:
    place.next = [(status, {})]
    with pytest.raises(NotHappened, match=f"POST /orders: {status} .*as planned"):
        await order.function(TEA, intent=CALL.intent, client=client)
    assert len(place.asked) == 1


@pytest.mark.parametrize("status", [302, 500, 502])
async def test_an_answer_that_is_none_leaves_it_in_doubt(place: Shop, client: Any, status: int) -> None:
    place.next = [(status, {})]
    with pytest.raises(NoAnswer, match=str(status)):
        await order.function(TEA, intent=CALL.intent, client=client)
    assert len(place.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_service_is_asked_again_as_it_says(place: Shop, client: Any, status: int) -> None:
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
    place.next = [(status, {"Retry-After": "0"}), (status, past)]
    await order.function(TEA, intent=CALL.intent, client=client)
    assert [key for _, _, key in place.asked] == [CALL.intent] * 3
    assert len(place.orders) == 1


async def test_waits_and_tries_have_bounds(place: Shop, client: Any) -> None:
    place.next = [(429, {"Retry-After": "3600"})]
    with pytest.raises(NotHappened, match=r"asks to wait 3600 s, more than 30 s"):
        await order.function(TEA, intent=CALL.intent, client=client)
    place.next = [(429, {"Retry-After": "0"})] * 3
    with pytest.raises(NotHappened, match="429"):
        await order.function(TEA, intent=CALL.intent, client=client)
    assert (len(place.asked), place.next) == (4, [])


async def test_an_answer_that_is_lost_is_asked_for_again_by_the_same_key(place: Shop, client: Any) -> None:
    place.next = ["lose"]
    quick = http.request("quick", open_client, "POST", "/orders", undo=UNDO, wait_max_s=0)
    answer = await quick.function(TEA, intent=CALL.intent, client=client)
    assert (answer["body"]["id"], len(place.orders), len(place.asked)) == (1, 1, 2)


async def test_doubt_is_not_ended_by_a_later_refusal(place: Shop, client: Any) -> None:
    place.next = ["lose", (401, {})]
    quick = http.request("quick", open_client, "POST", "/orders", undo=UNDO, wait_max_s=0)
    with pytest.raises(NoAnswer):
        await quick.function(TEA, intent=CALL.intent, client=client)
    assert len(place.orders) == 1


async def test_without_a_key_only_a_sure_refusal_is_repeated(place: Shop, client: Any) -> None:
    place.next = [(429, {"Retry-After": "0"}), (503, {"Retry-After": "0"})]
    with pytest.raises(NoAnswer):
        await keyless.function(TEA, intent=CALL.intent, client=client)
    assert [key for _, _, key in place.asked] == [None, None]


async def test_nobody_there_is_known_not_to_have_happened(place: Shop) -> None:
    with socket.socket() as taken:
        # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}") as client:
            with pytest.raises(NotHappened, match="ConnectError"):
                await blind.function(TEA, intent=CALL.intent, client=client)


async def test_values_keep_their_place_in_a_path(place: Shop, client: Any) -> None:
    with pytest.raises(NotHappened, match="404"):
        await look.function(client=client, number="../1?x=/y")
    assert place.asked == [("GET", "/orders/..%2F1%3Fx%3D%2Fy", None)]
    for wrong in ("..", ""):
        with pytest.raises(NotHappened, match="part of a path"):
            await look.function(client=client, number=wrong)
    with pytest.raises(NotHappened, match="number"):
        await look.function(client=client)
    assert len(place.asked) == 1


async def test_a_lookup_that_does_not_answer_says_nothing(place: Shop, client: Any) -> None:
    place.next = [(500, {})]
    assert isinstance(await order.check(CALL, client=client), Unknown)  # type: ignore[misc]
    with pytest.raises(DeclarationRefused, match="tries"):
        http.request("none", open_client, "GET", "/", kind="pure", tries=0)


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("7", None, 7.0), (None, None, None), ("soon", None, None), ("-1", None, None), ("٣", None, None),
        ("Wed, 21 Oct 2015 07:28:09 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 9.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "nonsense", 0.0),
    ],
)  # fmt: skip
def test_how_long_a_server_asks_to_wait(said: str | None, date: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(said, date) == seconds


class Buyer(Agent):
    @handles(str)
    async def buy(self, kind: str, ctx: Context) -> None:
        try:
            answer = await ctx.call({"order": order, "blind": blind}[kind], TEA)
            self.state["said"] = answer["status"]
        except (ToolFailed, EffectInDoubt) as error:
            self.state["said"] = str(error)


async def said(kind: str) -> str:
    async with Cluster("local") as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.submit("buyer", kind)
        await cluster.quiet()
        return str((await cluster.state("buyer"))["said"])


async def test_a_handler_is_told_of_refusal_and_doubt(place: Shop) -> None:
    place.next = [(402, {})]
    assert "402" in await said("order")
    place.next = ["lose"]
    assert "nobody can tell" in await said("blind")
    place.next = [(500, {})]
    assert "500" in await said("order"), "its lookup says that it has not happened"
    assert len(place.orders) == 1
