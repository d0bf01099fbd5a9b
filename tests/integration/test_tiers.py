"""Tiers of autonomy: what an agent does alone, announces, asks for or leaves, set by people while it runs."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from peer import (
    Agent,
    Approval,
    CallerError,
    Cluster,
    Context,
    DeclarationRefused,
    NotEntitled,
    NotInTier,
    Person,
    Personal,
    Result,
    Tier,
    handles,
    tool,
)  # fmt: skip
from peer.audit import cli
from peer.audit.events import happenings
from peer.audit.logs import hosts_in
from tests.integration.test_people import boxed, settled, until

DONE: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


@tool(kind="irreversible")
def wire(amount: int, note: Any = "") -> None:
    DONE.append(amount)


@tool(undo=lambda call: None)
def book(amount: int) -> None:
    DONE.append(-amount)


class Clerk(Agent):
    tiers: ClassVar = {
        "new": Tier(asks=(Approval("treasurer", tool=wire), Approval("treasurer", tool=book))),
        "watched": Tier(announces=(wire, book)),
        "trusted": Tier(),
        "barred": Tier(refuses=(wire, book)),
    }

    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        if message < 0:
            try:
                await ctx.call(book, -message)
            except NotInTier as error:
                self.state["told"] = str(error)
        else:
            ctx.request(wire, message, note=Personal("secret", "ann"), then=self.paid)

    @handles(list)
    async def together(self, message: list[int], ctx: Context) -> None:
        ctx.request(wire, message[0], then=self.paid, group=ctx.group("both", ["clerk"]))

    @handles(float)
    async def lenient(self, message: float, ctx: Context) -> None:
        ctx.request(wire, round(message), then=self.paid, approval=Approval("anybody", question="May I?"))

    @handles(str)
    def threaded(self, message: str, ctx: Context) -> None:
        ctx.request(wire, len(message), then=self.paid)

    async def paid(self, result: Result, ctx: Context) -> None:
        self.state[result.args[0]] = result.error or "paid"


async def done(cluster: Cluster) -> None:
    await cluster.quiet()
    await settled(cluster, "clerk")


async def announced(cluster: Cluster, agent: str = "clerk") -> list[str]:
    return [each.detail for each in await cluster.notices(agent) if each.notice == "announced"]


async def test_each_tier_means_what_its_class_says_from_the_moment_it_is_set(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        ann = Person.enrol(tmp_path / "run", "ann", "treasurer", key=tmp_path / "ann.key")
        await cluster.spawn("clerk", Clerk)
        found = await cluster.tiers("clerk")
        assert (found.tier, found.tiers, found.by) == ("new", ("new", "watched", "trusted", "barred"), "")
        await cluster.submit("clerk", 1, -1)
        (box,) = await boxed(cluster, ann)
        assert (box.args, box.asks) == ((1,), ("treasurer",))
        await box.approve(as_=ann)
        await done(cluster)
        assert DONE == [1]
        assert "no step waits for that" in (await cluster.dead_letters("clerk"))[0].reason

        await cluster.set_tier("clerk", "watched", "a week without a slip", by="eve")
        await cluster.submit("clerk", 2, -2, "abc")
        await done(cluster)
        assert sorted(DONE) == [-2, 1, 2, 3]
        lines = await until(lambda: _three(cluster))
        assert any(line.endswith("wire(2, note=Personal(subject='ann'))") for line in lines), lines
        assert any(line.endswith("book(2)") for line in lines)

        await cluster.set_tier("clerk", "trusted", "two weeks")
        await cluster.submit("clerk", 4)
        await done(cluster)
        assert (len(await announced(cluster)), 4 in DONE) == (3, True)
        assert (await cluster.status("clerk")).tier == "trusted"


async def _three(cluster: Cluster) -> list[str] | None:
    found = await announced(cluster)
    return found if len(found) == 3 else None


async def test_what_a_handler_brings_along_does_not_take_the_place_of_what_the_tier_asks_for(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", 3.0)
        await cluster.quiet()
        assert [each.asks for each in await cluster.inbox()] == [("treasurer",)]
        await cluster.set_tier("clerk", "trusted", "two good weeks")
        await cluster.submit("clerk", 4.0)
        await cluster.quiet()
        assert [each.asks for each in await cluster.inbox()] == [("treasurer",), ("anybody",)]


async def test_what_a_tier_refuses_is_told_in_the_handler_and_what_was_requested_before_is_not_called(
    tmp_path: Path,
) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.set_tier("clerk", "trusted", "go")
        await cluster.submit("clerk", 5, [50])
        await cluster.quiet()
        await cluster.set_tier("clerk", "barred", "it pays twice")
        await cluster.submit("clerk", -6, 7)
        await done(cluster)
        state = await cluster.state("clerk")
        assert state["told"].startswith(f"clerk may not use {book.name} in tier 'barred'.")
        assert "ebbtide tier" in state["told"]
        assert state[5] == f"clerk may not use {wire.name} in tier 'barred'. It was not called."
        (letter,) = await cluster.dead_letters("clerk")
        assert "NotInTier" in letter.reason
        assert DONE == [50], "others may have gone by it"


async def test_a_tier_outlives_restarts_checkpoints_and_rollbacks_and_the_logs_tell_who_and_why(tmp_path: Path) -> None:
    run = tmp_path / "run"
    async with Cluster("local", folder=run, checkpoints_kept=1) as cluster:
        ann = Person.enrol(run, "ann", "auditor", key=tmp_path / "ann.key")
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", -1)
        await cluster.quiet()
        await cluster.set_tier("clerk", "watched", "so far so good", as_=ann)
        await cluster.set_tier("clerk", "watched", "again", as_=ann)
        await cluster.submit("clerk", 1, 2)
        await cluster.quiet()
        assert (await cluster.rollback("clerk/1/1", inputs="discard")).committed
        for _ in range(4):
            await done(cluster)
    async with Cluster("local", folder=run) as cluster:
        await cluster.spawn("clerk", Clerk)
        found = await cluster.tiers("clerk")
        assert (found.tier, found.by, found.note) == ("watched", "ann", "so far so good")
    (told,) = [each for each in happenings(hosts_in(run)).happenings if each.kind == "agent.tier"]
    assert (told.data["tier"], told.data["by"], told.data["signed"]["roles"]) == ("watched", "ann", ["auditor"])
    shown = CliRunner().invoke(cli.group, ["show", str(run), "clerk"]).stdout
    assert "clerk: tier watched, by ann (auditor, signed): so far so good" in shown


async def test_a_tier_outlives_the_host_and_its_disk_where_there_is_a_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.replication.inquiry.WAIT_S", 1.5)
    async with Cluster("local", folder=tmp_path / "run", replicas=1, successor_s=0.3) as cluster:
        for name in ("one", "two", "three"):
            await cluster.spawn(name, Clerk)
        for _ in range(2):
            await cluster.checkpoint()
        await cluster.set_tier("one", "watched", "so far so good", by="ann")
        await cluster.kill("one", with_disk=True)
        async with asyncio.timeout(60):
            found = await cluster.tiers("one")
        assert (found.tier, found.by) == ("watched", "ann")


async def test_who_may_set_it_signs_and_nobody_else_can(tmp_path: Path) -> None:
    class Careful(Clerk):
        tiers_by = ("auditor", "bob")

    async with Cluster("local", folder=tmp_path / "run") as cluster:
        ann = Person.enrol(tmp_path / "run", "ann", "auditor", key=tmp_path / "ann.key")
        eve = Person.enrol(tmp_path / "run", "eve", "treasurer", key=tmp_path / "eve.key")
        await cluster.spawn("clerk", Careful)
        for as_, why in ((None, "not by whoever has not signed"), (eve, r"not by eve \(treasurer\)")):
            with pytest.raises(NotEntitled, match=f"set by auditor or bob, and {why}"):
                await cluster.set_tier("clerk", "trusted", "why not", as_=as_)
        with pytest.raises(CallerError, match="has no tier 'free', but these: new, watched"):
            await cluster.set_tier("clerk", "free", "why not", as_=ann)
        with pytest.raises(CallerError, match="note"):
            await cluster.set_tier("clerk", "trusted", "", as_=ann)
        assert (await cluster.tiers("clerk")).tier == "new"
        await cluster.set_tier("clerk", "trusted", "why not", as_=ann)
        assert (await cluster.tiers("clerk")).by == "ann"


async def test_a_tier_that_is_no_longer_declared_means_the_strictest_of_all_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.set_tier("clerk", "trusted", "go")
    monkeypatch.setattr(Clerk, "tiers", {"new": Tier(announces=(wire,)), "barred": Tier(refuses=(book,))})
    monkeypatch.setattr(Clerk, "tiers_by", "auditor")
    with caplog.at_level(logging.INFO, "ebbtide"):
        async with Cluster("local", folder=tmp_path / "run") as cluster:
            await cluster.spawn("clerk", Clerk)
            found = await cluster.tiers("clerk")
            assert (found.tier, found.tiers) == ("trusted", ("new", "barred"))
            await cluster.submit("clerk", 8, -8)
            (box,) = await boxed(cluster, "auditor")
            assert box.args == (8,)
            assert "may not use" in (await until(lambda: _told(cluster)))["told"]
            assert len(await announced(cluster)) == 1
    assert "declares no such tier" in caplog.text
    monkeypatch.setattr(Clerk, "tiers", {})
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", 9)
        assert [each.args for each in await boxed(cluster, "auditor", 2)] == [(8,), (9,)]


async def _told(cluster: Cluster) -> dict[Any, Any] | None:
    state = await cluster.state("clerk")
    return dict(state) if "told" in state else None


async def test_who_watches_is_told_of_what_is_announced(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.set_tier("clerk", "watched", "go")
        async with cluster.watch(kinds=["notices"]) as happenings_:
            await cluster.submit("clerk", 11)
            async with asyncio.timeout(30):
                async for each in happenings_:
                    if getattr(each, "notice", "") == "announced":
                        break
            assert "wire(11" in each.detail


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Tier(asks=Approval()), r"a tuple of Approval\(...\)"),
        (lambda: Tier(refuses=(print,)), "a tuple of tools"),
        (lambda: Tier(announces=[wire]), "a tuple of tools"),
        (lambda: type("Bad", (Agent,), {"tiers": {"new": 1}}), r"by name, a Tier\(...\) each"),
        (lambda: type("Bad", (Agent,), {"tiers": {"": Tier()}}), "a tier"),
        (lambda: type("Bad", (Agent,), {"tiers_by": 3}), "names nobody"),
    ],
)
def test_tiers_that_can_not_be_meant_are_refused_where_they_are_written(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(DeclarationRefused, match=why):
        make()
