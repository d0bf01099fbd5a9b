"""A log of an older release, read by newer classes of the same names: nothing is lost, and nothing written back."""

import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec import Struct

from peer import Agent, AskTimeout, Cluster, Context, VersionUnknown, handles, migrates, versioned
from peer.values.forms import unpack
from peer.values.payload import encode_message

KEPT = Path(__file__).parents[1] / "data" / "logs" / "0.1.0-sqlite"
SEEN: list[Any] = []


@versioned(2)
class Order(Struct, frozen=True):
    item: str
    cents: int


@versioned(2)
class Pay(Struct, frozen=True):
    item: str
    cents: int
    currency: str


@migrates(Order, 1)
def _(fields: dict[str, Any]) -> dict[str, Any]:
    return {"item": fields["item"], "cents": fields["price"]}


@migrates(Pay, 1)
def _(fields: dict[str, Any]) -> dict[str, Any]:
    return {"item": fields["item"], "cents": fields["amount"], "currency": "EUR"}


def in_euros(key: Any, value: Any) -> Any:
    if key == "spent":
        return {"EUR": value}
    return {"cents": value["price"], "note": len(value["note"])}


class Buyer(Agent):
    state_version: ClassVar[int] = 2
    migrations: ClassVar[dict[int, Any]] = {1: in_euros}

    @handles(Order)
    def order(self, message: Order, ctx: Context) -> None:
        SEEN.append(message)
        spent = self.state.get("spent", {"EUR": 0})
        self.state["spent"] = {"EUR": spent["EUR"] + message.cents}
        ctx.send("cashier", Pay(message.item, message.cents, "EUR"))


class Cashier(Agent):
    state_version: ClassVar[int] = 2
    migrations: ClassVar[dict[int, Any]] = {1: lambda key, value: (value, "EUR")}

    @handles(Pay)
    def pay(self, message: Pay, ctx: Context) -> None:
        SEEN.append(message)
        self.state["paid", message.item] = (message.cents, message.currency)


@versioned(3)
class Newest(Struct):
    item: str


# As a later release of its module has it.
Newest.__name__ = Newest.__qualname__ = "Order"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    SEEN.clear()
    folder = tmp_path / "logs"
    shutil.copytree(KEPT, folder)
    for key in folder.rglob("host.key"):
        key.chmod(0o600)
    return folder


async def spawn(cluster: Cluster) -> None:
    await cluster.spawn("buyer", Buyer)
    await cluster.spawn("cashier", Cashier)


async def test_a_log_of_an_older_release_is_read_by_newer_classes(kept: Path) -> None:
    async with Cluster(backend="local", folder=kept) as cluster:
        await spawn(cluster)
        buyer = await cluster.state("buyer")
        assert buyer["spent"] == {"EUR": 4 + 5 + 6 + 7 + 9}
        assert buyer["orders", "cup"] == {"cents": 5, "note": 40}
        assert (await cluster.state("cashier"))["paid", "rye"] == (9, "EUR")
        # What was written since is of version 2, and stands beside what is of version 1.
        await cluster.submit("buyer", Order("ink", 1))
        await cluster.quiet()
        buyer = await cluster.state("buyer")
        assert (buyer["spent"], buyer["orders", "jam"]["cents"]) == ({"EUR": 32}, 7)
        assert [Order("ink", 1), Pay("ink", 1, "EUR")] == SEEN


async def test_inputs_of_an_older_release_run_again_through_the_migrations(kept: Path) -> None:
    async with Cluster(backend="local", folder=kept) as cluster:
        await spawn(cluster)
        last = (await cluster.steps("buyer"))[-1].records[-1].step
        before = await cluster.state("buyer")
        await cluster.rollback(last, inputs="retry", reason="to see it again")
        with pytest.raises(AskTimeout, match=r"cashier \(undos: 1"):
            await cluster.quiet(timeout_s=1)
        # This release has no tool by the old one's name: nobody but a person can tell what became of the charge.
        (effect,) = await cluster.effects("cashier")
        assert (effect.tool, effect.state) == ("tests.data.logs.till:charge", "undoing")
        assert "not known" in effect.why
        await cluster.settle(effect.intent, happened=False, note="refunded by hand")
        await cluster.quiet()
        assert [Order("rye", 9), Pay("rye", 9, "EUR")] == SEEN
        assert (await cluster.state("buyer"))["spent"] == before["spent"]
        assert (await cluster.state("cashier"))["paid", "rye"] == (9, "EUR")


async def test_reading_old_values_writes_nothing_back(kept: Path) -> None:
    async with Cluster(backend="local", folder=kept) as cluster:
        await spawn(cluster)
        before = await cluster.steps("buyer")
        assert (await cluster.state("buyer"))["spent"] == {"EUR": 31}
        assert await cluster.steps("buyer") == before
    async with Cluster(backend="local", folder=kept) as cluster:
        await spawn(cluster)
        assert await cluster.steps("buyer") == before
        kept_values = [write.value for page in before for record in page.records for write in record.writes]
        assert {unpack(value).version for value in kept_values if value is not None} == {1}


async def test_a_newer_message_waits_and_is_handled_after_the_upgrade(tmp_path: Path) -> None:
    class Old(Agent):
        @handles(Order)
        def order(self, message: Order, ctx: Context) -> None:
            self.state[message.item] = message.cents

    assert encode_message(Newest("tea"))[1:9] == b"\xa7Order@3"
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Old)
        await cluster.submit("a", Newest("tea"), Order("cup", 5))
        with pytest.raises(AskTimeout, match=r"a \(inputs"):
            await cluster.quiet(timeout_s=0.5)
        assert await cluster.state("a") == {"cup": 5}
        (notice, *_) = (notice for notice in await cluster.notices("a") if notice.notice == "step-failed")
        assert "message Order is of version 3, and this release reads versions 1 to 2." in notice.detail
        assert await cluster.dead_letters("a") == []

    for version in (1, 2):
        migrates(Newest, version)(lambda fields: fields)

    class New(Agent):
        @handles(Newest)
        def order(self, message: Newest, ctx: Context) -> None:
            self.state[message.item] = "new"

    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await cluster.spawn("a", New)
        await cluster.quiet()
        assert await cluster.state("a") == {"cup": 5, "tea": "new"}


async def test_state_of_a_newer_release_is_refused_by_name_and_nothing_crashes(kept: Path) -> None:
    async with Cluster(backend="local", folder=kept) as cluster:
        await spawn(cluster)
        await cluster.submit("buyer", Order("ink", 1))
        await cluster.quiet()

    class Older(Agent):
        @handles(Order)
        def order(self, message: Order, ctx: Context) -> None:
            self.state["spent"] = self.state["spent"]

    async with Cluster(backend="local", folder=kept) as cluster:
        await cluster.spawn("buyer", Older)
        with pytest.raises(VersionUnknown, match=r"key 'spent' in the state of .*Older is of version 2"):
            await cluster.state("buyer")
        await cluster.submit("buyer", Order("ink", 1))
        with pytest.raises(AskTimeout):
            await cluster.quiet(timeout_s=0.5)
        assert await cluster.dead_letters("buyer") == []
