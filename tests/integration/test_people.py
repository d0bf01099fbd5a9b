"""People who are asked, on a real backend: who may say what, when it counts, and what outlives a restart."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peer import (
    Agent,
    Approval,
    CallerError,
    Cluster,
    ConfigInvalid,
    Context,
    DeclarationRefused,
    NotEntitled,
    Overseer,
    PendingRequest,
    Person,
    Result,
    Wanted,
    handles,
    tool,
)  # fmt: skip
from peer.audit.events import happenings
from peer.audit.logs import hosts_in

POST: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    POST.clear()


@tool(kind="irreversible")
def send(text: str) -> str:
    POST.append(text)
    return f"sent {text}"


@tool(kind="idempotent")
def print_it(text: str) -> None:
    POST.append(text)


class Clerk(Agent):
    """Asks before it sends what is long, and before it prints anything."""

    approvals = (
        Approval("boss", tool=send, when=lambda wanted: len(wanted.args[0]) > 5, escalate={3600: "director"}),
        Approval(tool=print_it),
    )

    @handles(str)
    async def letter(self, message: str, ctx: Context) -> None:
        if message.startswith("print"):
            ctx.request(print_it, message, then=self.done, key=message)
        elif message.startswith("call"):
            await ctx.call(print_it, message)
        else:
            ctx.request(send, message, then=self.done)

    @handles(int)
    async def ask(self, message: int, ctx: Context) -> None:
        ctx.ask_person(
            "how many?", then=self.told, about=message, deadline=0.01 if message else None, default=message or None
        )

    async def done(self, result: Result, ctx: Context) -> None:
        self.state[result.args[0]] = result.value or result.error or "done"

    async def told(self, result: Result, ctx: Context) -> None:
        self.state["told"] = [result.value, result.by, result.note]


class Book(Agent):
    overseers = (Overseer("boss", steps=2),)

    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


async def until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(60):
        while not (seen := await found()):
            await asyncio.sleep(0.01)
    return seen


async def boxed(cluster: Cluster, who: Person | str | None = None, count: int = 1) -> list[PendingRequest]:
    async def look() -> list[PendingRequest] | None:
        found = await cluster.inbox(who)
        return found if len(found) == count else None

    return await until(look)


async def settled(cluster: Cluster, agent: str) -> None:
    epoch = await cluster.checkpoint()

    async def is_settled() -> bool:
        return (await cluster.status(agent)).committed >= epoch

    await until(is_settled)
    await cluster.quiet()


async def test_what_people_are_asked_outlives_a_restart_and_so_does_what_they_have_said(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        boss = Person.enrol(tmp_path / "run", "eve", "boss", key=tmp_path / "eve.key")
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", "short", "a long one", "another long one", 0)
        await cluster.quiet()
        await settled(cluster, "clerk")
        assert POST == ["short"]
        first, second, question = await boxed(cluster, boss, 3)
        assert (first.args, first.asks, first.waits_for_people) == (("a long one",), ("boss", "director"), True)
        assert question.kwargs == {"about": 0}
        await first.reject("too long", as_=boss)
        assert [each.name for each in await boxed(cluster, "boss", 2)] == [second.name, question.name]
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("clerk", Clerk)
        second, question = await boxed(cluster, Person.load(tmp_path / "eve.key"), 2)
        await second.approve(as_=boss)
        await question.answer(7, "as ever", by="bob")
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("clerk", Clerk)
        await settled(cluster, "clerk")
        state = await cluster.state("clerk")
        assert state["a long one"] == "eve has rejected it: too long"
        assert state["told"] == [7, "bob", "as ever"]
        assert POST == ["short", "another long one"]
    told = happenings(hosts_in(tmp_path / "run")).happenings
    (approved,) = (each.data for each in told if each.kind == "request.approved")
    assert (approved["by"], approved["signed"]["name"], approved["signed"]["roles"]) == ("eve", "eve", ["boss"])
    words = {(each.data["state"], each.data["by"]) for each in told if each.kind == "effect" and "by" in each.data}
    assert words >= {("undone", "eve"), ("done", "bob")}


async def test_only_who_is_asked_may_say_so_and_has_to_sign_it(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        boss = Person.enrol(tmp_path / "run", "eve", "boss", key=tmp_path / "eve.key")
        late = Person.enrol(tmp_path / "run", "zoe", "director", key=tmp_path / "zoe.key")
        ended = Person.enrol(tmp_path / "run", "old", "boss", key=tmp_path / "old.key", days=-1)
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", "a long one")
        (box,) = await boxed(cluster, boss)
        stranger = Person(boss.keys, late.chain)
        for as_, why in (
            (None, "not whoever has not signed"), (late, "not zoe"), (ended, "has ended"),
            (stranger, "has not signed this"),
        ):  # fmt: skip
            for verb in ("approve", "reject", "release"):
                with pytest.raises(NotEntitled, match=why):
                    await getattr(cluster, verb)("clerk", box.name, "now", as_=as_)
        assert await cluster.inbox(late) == []
        async with Cluster("local", folder=tmp_path / "other"):
            pass
        other = Person.enrol(tmp_path / "other", "eve", "boss", key=tmp_path / "other.key")
        with pytest.raises(NotEntitled, match="does not vouch for eve"):
            await box.approve(as_=other)
        with pytest.raises(CallerError, match=r"it is a Person"):
            await box.approve(as_="eve")  # type: ignore[arg-type]
        await box.release("at once", as_=boss)
        await cluster.quiet()
        assert POST == ["a long one"]
        with pytest.raises(CallerError, match="is released by eve already"):
            await box.reject("no", as_=boss)


async def test_a_word_on_a_run_that_is_undone_is_refused_and_its_re_run_asks_anew(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        boss = Person.enrol(tmp_path / "run", "eve", "boss", key=tmp_path / "eve.key")
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", "a long one", "print this")
        one, other = await boxed(cluster, None, 2)
        await one.approve(as_=boss)
        assert {each.approved for each in await cluster.requests("clerk")} == {"eve", None}
        await cluster.rollback(one.step, inputs="retry")
        again = next(each for each in await boxed(cluster, None, 2) if each.tool == one.tool)
        assert (again.name, again.approved) == (one.name, None)
        assert again.step != one.step
        with pytest.raises(CallerError, match="is undone meanwhile"):
            await one.approve(as_=boss)
        await cluster.rollback(other.step, inputs="discard")
        with pytest.raises(CallerError, match="its step is undone"):
            await other.approve()
        assert POST == []


async def test_what_asks_nobody_by_name_anybody_may_say_and_no_step_calls_it(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", "print this", "call this", 5)
        (box,) = await boxed(cluster)
        await box.approve(by="bob")
        await box.approve(by="bob")
        with pytest.raises(CallerError, match=r"approved by bob already|has gone"):
            await box.reject(by="ann")
        await cluster.quiet()
        assert POST == ["print this"]
        assert "no step waits for that" in (await cluster.dead_letters("clerk"))[0].reason
        state = await until(lambda: _told(cluster))
        assert state["told"] == [5, "", "nobody has said anything in time"]


async def _told(cluster: Cluster) -> dict[Any, Any] | None:
    state = await cluster.state("clerk")
    return dict(state) if "told" in state else None


async def test_an_overseer_is_asked_about_the_part_and_what_is_decided_without_it_needs_no_word(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        boss = Person.enrol(tmp_path / "run", "eve", "boss", key=tmp_path / "eve.key")
        await cluster.spawn("book", Book)
        await cluster.submit("book", 1, 2, 4)
        await cluster.quiet()
        assert (await cluster.rollback("book/1/3", inputs="discard")).committed
        wanted = asyncio.create_task(cluster.rollback("book/1/1", inputs="discard"))
        (box,) = await boxed(cluster, boss)
        assert (box.tool, box.kwargs["steps"], box.kwargs["roots"]) == ("rollback", 2, ["book/1/1"])
        with pytest.raises(NotEntitled):
            await box.approve()
        with pytest.raises(CallerError, match="approved or rejected"):
            await box.answer(1, as_=boss)
        await box.approve("go on", as_=boss)
        assert (await wanted).committed
        await box.approve("go on", as_=boss)
        with pytest.raises(CallerError, match="is approved by eve already"):
            await box.reject("stop", as_=boss)
        await cluster.quiet()
        assert await cluster.state("book") == {"sum": 2}
    told = happenings(hosts_in(tmp_path / "run")).happenings
    findings = [each for one in told if one.kind == "rollback.voted" for each in one.data.get("findings", ())]
    assert [(each["name"], each["text"], each["signed"]["name"]) for each in findings] == [
        ("overseer", "approved by eve: go on", "eve")
    ]


async def test_a_rollback_that_was_rejected_is_not_answered_by_the_same_person_either(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        boss = Person.enrol(tmp_path / "run", "eve", "boss", key=tmp_path / "eve.key")
        await cluster.spawn("book", Book)
        await cluster.submit("book", 1, 2)
        await cluster.quiet()
        wanted = asyncio.create_task(cluster.rollback("book/1/1", inputs="discard"))
        (box,) = await boxed(cluster, boss)
        await box.reject("no", as_=boss)
        assert not (await wanted).committed
        await box.reject("no", as_=boss)
        with pytest.raises(CallerError, match="approved or rejected"):
            await box.answer(1, as_=boss)


async def test_an_overseer_is_asked_again_after_a_restart_and_a_default_counts_in_time(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("book", Book)
        await cluster.submit("book", 1, 2)
        await cluster.quiet()
        wanted = asyncio.create_task(cluster.rollback("book/1/1", inputs="discard"))
        await boxed(cluster)
        wanted.cancel()
    Book.overseers = (Overseer("boss", steps=2, deadline=0.05, default="reject"),)
    try:
        async with Cluster("local", folder=tmp_path / "run") as cluster:
            await cluster.spawn("book", Book)
            await cluster.quiet()
            assert (await cluster.state("book"), await cluster.inbox()) == ({"sum": 3}, [])
            notices = {(each.notice, each.agent) for each in cluster.host.notices} | {
                (each.notice, each.agent) for each in await cluster.notices("book")
            }
            assert ("rejected", "book") in notices
    finally:
        Book.overseers = (Overseer("boss", steps=2),)


async def test_a_paused_agent_begins_nothing_over_restarts_and_can_be_undone(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("book", Book)
        await cluster.submit("book", 1)
        await cluster.quiet()
        await cluster.pause("book", "look first", by="ann")
        await cluster.submit("book", 2)
        await cluster.quiet()
        assert (await cluster.status("book")).paused == "paused by ann: look first"
        assert (await cluster.rollback("book/1/1", inputs="discard")).committed
    async with Cluster("local", folder=tmp_path / "run") as cluster:
        await cluster.spawn("book", Book)
        assert (await cluster.status("book")).paused == "paused by ann: look first"
        await cluster.checkpoint()
        await cluster.quiet()
        assert await cluster.state("book") == {}
        await cluster.resume("book")
        await cluster.resume("book")
        await cluster.quiet()
        assert await cluster.state("book") == {"sum": 2}
        assert (await cluster.status("book")).paused == ""


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Approval(tool="send"), "is no tool"),
        (lambda: Approval(when=3), "a function"),
        (lambda: Approval(default="maybe"), "'approve' or 'reject'"),
        (lambda: Approval(deadline=-1), "deadline"),
        (lambda: Approval(escalate={5: "eve"}), "without `to`"),
        (lambda: Approval(to=3), "names nobody"),
        (lambda: Overseer(steps=0), "from 1 on"),
        (lambda: Overseer(default="x"), "'approve' or 'reject'"),
        (lambda: type("Bad", (Agent,), {"approvals": [Approval()]}), "a tuple of Approval"),
    ],
)
def test_a_rule_that_can_not_be_meant_is_refused_where_it_is_written(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(DeclarationRefused, match=why):
        make()


def test_a_key_is_its_owners_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="is not there"):
        Person.enrol(tmp_path, "eve", key=tmp_path / "eve.key")
    with pytest.raises(ConfigInvalid, match="ebbtide people add"):
        Person.load(tmp_path / "eve.key")
    assert Wanted("t", "k", (), {}, "a", None).confidence is None


def test_an_agent_without_rules_asks_nobody() -> None:
    assert Agent.approvals == Agent.overseers == ()


async def test_who_is_refused_leaves_no_key_behind(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path / "run"):
        with pytest.raises(CallerError, match="'look' is no right"):
            Person.enrol(tmp_path / "run", "zed", key=tmp_path / "zed.key", may=("look",))
        assert not (tmp_path / "zed.key").exists()
