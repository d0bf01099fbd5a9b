"""Personal data on a cluster with real logs: nowhere in clear, and gone everywhere with its key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peer import Agent, AskTimeout, Call, CallerError, Cluster, Context, Erased, Personal, bulky, handles, tool

DONE: dict[str, Any] = {}
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    DONE.clear()
    SEEN.clear()


def unsend(call: Call) -> None:
    DONE.pop(call.intent, None)


@tool(undo=unsend)
def send_letter(name: Personal[str], *, intent: str) -> str:
    DONE[intent] = name.value
    return "sent"


@dataclass
class Sign:
    name: Personal[str]


@dataclass
class Welcome:
    name: Personal[str]
    number: int


class Desk(Agent):
    keys: ClassVar[dict[str, Any]] = {"photo": bulky()}

    @handles(Sign)
    async def sign(self, message: Sign, ctx: Context) -> None:
        SEEN.append(message.name.value)
        self.state["name"] = message.name
        self.state["photo"] = Personal(f"photo of {message.name.value}" * 1000, message.name.subject)
        ctx.send("post", Welcome(message.name, 1))


class Post(Agent):
    spaces: ClassVar[tuple[str, ...]] = ("hall",)

    @handles(Welcome)
    async def welcome(self, message: Welcome, ctx: Context) -> None:
        await ctx.call(send_letter, message.name)
        ctx.space("hall").map("guests")[message.number] = Personal(f"dear {message.name.value}", message.name.subject)
        self.state["last"] = message.name


async def started(cluster: Cluster) -> None:
    await cluster.spawn("desk", Desk)
    await cluster.spawn("post", Post)


def clear_text(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and b"Lovelace" in path.read_bytes()]


async def test_personal_data_is_nowhere_in_clear_and_read_where_it_is_needed(tmp_path: Path) -> None:
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await started(cluster)
        await cluster.submit("desk", Sign(Personal("Ada Lovelace", "c-17")))
        await cluster.quiet()
        assert list(DONE.values()) == ["Ada Lovelace"]
        assert (await cluster.state("desk"))["name"].value == "Ada Lovelace"
        assert (await cluster.state("desk"))["photo"].value.startswith("photo of Ada Lovelace")
        assert (await cluster.shared("post")).value("hall", "guests", 1).value == "dear Ada Lovelace"
        assert clear_text(tmp_path) == []


async def test_erasing_a_subject_erases_it_everywhere_and_leaves_the_logs_whole(tmp_path: Path) -> None:
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await started(cluster)
        await cluster.submit("desk", Sign(Personal("Eve", "c-18")), Sign(Personal("Ada Lovelace", "c-17")))
        await cluster.quiet()
        steps = await cluster.steps("desk")
        await cluster.erase("c-17")
        assert (await cluster.state("desk"))["name"].value == Erased("c-17")
        assert (await cluster.state("desk"))["photo"].value == Erased("c-17")
        assert (await cluster.shared("post")).value("hall", "guests", 1).value == Erased("c-17")
        assert (await cluster.state("desk", at="desk/1/1"))["name"].value == "Eve"
        # Nothing was rewritten: the logs are read again, hashes and all.
        await cluster.kill("desk")
        await cluster.kill("post")
        assert await cluster.steps("desk") == steps
        assert (await cluster.state("post"))["last"].value == Erased("c-17")


async def test_what_runs_again_after_an_erasure_reads_erased_and_does_not_fail(tmp_path: Path) -> None:
    async with Cluster(backend="local", folder=tmp_path) as cluster:
        await started(cluster)
        await cluster.submit("desk", Sign(Personal("Ada Lovelace", "c-17")))
        await cluster.quiet()
        await cluster.erase("c-17")
        await cluster.rollback("desk/1/1", inputs="retry")
        await cluster.quiet()
        assert ["Ada Lovelace", Erased("c-17")] == SEEN
        # The letter was claimed by the step that ran again: what it is called with is the same, readable or not.
        assert list(DONE.values()) == ["Ada Lovelace"]
        assert (await cluster.state("desk"))["photo"].value == Erased("c-17")
        assert await cluster.dead_letters("desk") == await cluster.dead_letters("post") == []
        await cluster.submit("desk", Sign(Personal("Ada Lovelace", "c-17")))
        await cluster.quiet()
        assert SEEN[-1] == Erased("c-17")


async def test_a_vault_that_went_away_makes_inputs_wait_and_is_no_erasure(tmp_path: Path) -> None:
    async with Cluster(backend="local", folder=tmp_path / "logs", vault=tmp_path / "vault") as cluster:
        await started(cluster)
        await cluster.submit("desk", Sign(Personal("Ada Lovelace", "c-17")))
        await cluster.quiet()
        (tmp_path / "vault").rename(tmp_path / "away")
        await cluster.rollback("desk/1/1", inputs="retry")
        with pytest.raises(AskTimeout):
            await cluster.quiet(timeout_s=0.5)
        (tmp_path / "away").rename(tmp_path / "vault")
        await cluster.quiet()
        assert SEEN == ["Ada Lovelace", "Ada Lovelace"]


async def test_a_subject_that_can_not_be_is_refused() -> None:
    async with Cluster(backend="local") as cluster:
        with pytest.raises(CallerError, match="subject ''"):
            await cluster.erase("")
