"""Who may come in and what they may do, in a cluster that runs: tokens, people's grants, revocations, rotations."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from peer import Agent, BackendFailed, CallerError, Cluster, Context, NotEntitled, Person, Result, handles
from peer.backends.admission import addresses_in
from peer.trust import authority
from peer.trust.token import Token
from protocol.wire import Ask, Frame


class Desk(Agent):
    @handles(int)
    async def count(self, message: int, ctx: Context) -> None:
        self.state["n"] = self.state.get("n", 0) + message

    @handles(str)
    async def ask(self, message: str, ctx: Context) -> None:
        ctx.ask_person(message, to="boss", then=self.told)

    async def told(self, result: Result, ctx: Context) -> None:
        self.state["told"] = result.value


def cluster_in(folder: Path) -> Cluster:
    return Cluster("local", folder=folder, listen=True)


async def launched(cluster: Cluster) -> None:
    for name in ("orders-1", "bank"):
        await cluster.spawn(name, Desk)


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.02)


async def test_who_comes_by_a_token_may_do_what_it_is_for_and_nothing_else(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        token = cluster.access.token("desk", ("look:*", "submit:orders-*", "rollback:orders-*"), uses=2)
        async with Cluster.attach(token=token) as desk:
            await desk.submit("orders-1", 5)
            await desk.quiet()
            assert await desk.state("orders-1") == {"n": 5}
            await desk.rollback("orders-1/1/1", inputs="discard")
            for refused in (
                desk.submit("bank", 5), desk.checkpoint(), desk.move("bank", "x"), desk.pause("bank", "lunch"),
                desk.rollback("orders-1/1/1", "bank/1/1"),
            ):  # fmt: skip
                with pytest.raises(CallerError, match=r"desk may not|no step|no host"):
                    await refused
            assert await desk.state("bank") == {}
            with pytest.raises(NotEntitled, match="revoke"):
                await desk.access.revoke((await desk.status("bank")).host, "I may not")
        assert [each.name for each in cluster.access.members() if each.agents == ()] == ["desk"]


async def test_a_token_is_for_so_many_keys_and_so_long(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        token = cluster.access.token("desk", ("look:*",), uses=1)
        async with Cluster.attach(token=token) as desk:
            assert await desk.state("bank") == {}
        with pytest.raises(BackendFailed, match="does not answer"):
            async with Cluster.attach(token=token):
                raise AssertionError("it was let in")
        # That as many have come is remembered, also by hosts that have started anew.
        for agent in ("bank", "orders-1"):
            await cluster.kill(agent)
        now = tuple(each.address for each in addresses_in(tmp_path).values())
        again = msgspec.structs.replace(Token.of(token), addresses=now).text()
        with pytest.raises(BackendFailed, match="does not answer"):
            async with Cluster.attach(token=again):
                raise AssertionError("it was let in")
        ended = cluster.access.token("late", ("look:*",), hours=1e-9)
        with pytest.raises((BackendFailed, NotEntitled)):
            async with Cluster.attach(token=ended):
                raise AssertionError("it was let in")


async def test_a_person_comes_by_their_own_grant_without_the_authority(tmp_path: Path) -> None:
    folder, place = tmp_path / "run", tmp_path / "theirs"
    place.mkdir()
    async with cluster_in(folder) as cluster:
        await launched(cluster)
        ann = Person.enrol(folder, "ann", "boss", key=place / "ann.key", may=("look:*", "submit:bank"))
        (folder / authority.FILE).rename(place / "elsewhere")
        async with Cluster.attach(folder, as_=Person.load(place / "ann.key")) as hers:
            await hers.submit("bank", 2)
            with pytest.raises(NotEntitled, match="ann may not submit: orders-1"):
                await hers.submit("orders-1", 2)
        # Her role is asked, and her grant does not have her answer: who may say what is the cluster's to grant.
        await cluster.submit("bank", "May we?")
        await cluster.quiet()
        request = (await cluster.inbox("boss"))[0]
        with pytest.raises(NotEntitled, match="ann may not release: bank"):
            await request.answer("yes", as_=ann)
        (place / "elsewhere").rename(folder / authority.FILE)
        again = Person.enrol(folder, "ann", "boss", key=place / "ann.key", may=("release:bank",))
        await request.answer("yes", as_=again)


async def test_what_is_revoked_stays_so_whatever_is_restored_or_started_again(tmp_path: Path) -> None:
    folder, key = tmp_path / "run", tmp_path / "ann.key"
    async with cluster_in(folder) as cluster:
        await launched(cluster)
        ann = Person.enrol(folder, "ann", "boss", key=key)
        await cluster.submit("bank", "May we?")
        await cluster.quiet()
        epoch = await cluster.checkpoint()
        async with Cluster.attach(folder) as admin:
            assert await admin.access.revoke(ann.certificate.id, "the laptop is lost") == 3
        assert {each.notice for each in await cluster.notices("bank")} >= {"grant-revoke"}
        request = (await cluster.inbox("boss"))[0]
        with pytest.raises(NotEntitled, match="revoked: the laptop is lost"):
            await request.answer("yes", as_=ann)
        await cluster.restore(epoch)
        request = (await cluster.inbox("boss"))[0]
        with pytest.raises(NotEntitled, match="revoked: the laptop is lost"):
            await request.answer("yes", as_=ann)
        for agent in ("bank", "orders-1"):
            await cluster.kill(agent)
        request = (await cluster.inbox("boss"))[0]
        with pytest.raises(NotEntitled, match="revoked: the laptop is lost"):
            await request.answer("yes", as_=ann)
        with pytest.raises(BackendFailed, match="does not answer"):
            async with Cluster.attach(folder, as_=ann):
                raise AssertionError("it was let in")
    async with cluster_in(folder) as cluster:
        await launched(cluster)
        request = (await cluster.inbox("boss"))[0]
        with pytest.raises(NotEntitled, match="revoked: the laptop is lost"):
            await request.answer("yes", as_=ann)
        await request.answer("yes", as_=Person.enrol(folder, "ann", "boss", key=tmp_path / "new.key"))


async def test_a_host_that_is_revoked_is_read_by_nobody_any_more(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        home = (await cluster.status("bank")).host
        async with Cluster.attach(tmp_path) as admin:
            await admin.access.revoke(home, "it is somebody else's by now")
            seen = {each.host: each.why_out for each in admin.access.members()}
            assert seen[home] == "it is somebody else's by now"
        with pytest.raises(NotEntitled, match=f"the host of bank, {home}, is out: it is somebody else's by now"):
            await cluster.state("bank")
        await cluster.submit("orders-1", 1)
        with pytest.raises(CallerError, match="no id of a grant"):
            await cluster.access.revoke("nobody", "why")


async def test_another_authority_takes_over_while_everything_runs(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        old, token = authority.load(tmp_path).public_key, cluster.access.token("desk", ("look:*",), uses=0)
        async with Cluster.attach(tmp_path) as admin:
            await admin.submit("bank", 1)
            assert await admin.access.rotate(30) == 3
            await admin.submit("bank", 1)
        assert authority.load(tmp_path).public_key != old
        assert not [*tmp_path.glob("authority.key.*")]
        await cluster.submit("bank", 1)
        await cluster.quiet()
        async with Cluster.attach(tmp_path) as later:
            assert await later.state("bank") == {"n": 3}
        with pytest.raises((BackendFailed, NotEntitled)):
            async with Cluster.attach(token=token):
                raise AssertionError("the old authority counts no more")
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        assert await cluster.state("bank") == {"n": 3}


async def test_what_was_answered_is_not_done_again_though_the_host_has_started_anew(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        await cluster.submit("bank", 1, 2)
        await cluster.quiet()
        asked: list[Ask] = []
        real = cluster.host.asking.mail.ask
        cluster.host.asking.mail.ask = lambda home, question: (asked.append(question), real(home, question))  # type: ignore[method-assign]
        await cluster.rollback("bank/1/2", inputs="retry")
        cluster.host.asking.mail.ask = real  # type: ignore[method-assign]
        captured = next(each for each in asked if each.what == "propose")
        await cluster.quiet()
        steps = [step.id async for step in cluster.steps("bank")]
        for _ in range(2):
            home = (await cluster.status("bank")).host
            for _ in range(5):
                cluster.host.send_frame(home, Frame(asks=(captured,)))
            await cluster.submit("bank", 0)
            await cluster.quiet()
            assert [step.id async for step in cluster.steps("bank", undone=True)] == [steps[1]]
            await cluster.kill("bank")


async def test_a_change_of_the_authority_that_ended_halfway_is_gone_on_with(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        old = authority.load(tmp_path)
        for stops_at in ("_regrant", "_retire"):
            async with Cluster.attach(tmp_path) as admin:
                access = admin.access

                async def ends(*_) -> None:
                    raise KeyboardInterrupt

                setattr(access, stops_at, ends)
                with pytest.raises(KeyboardInterrupt):
                    await access.rotate(30)
        assert authority.load(tmp_path).public_key != old.public_key
        async with Cluster.attach(tmp_path) as admin:
            assert await admin.access.rotate(30) == 3
            assert not [*tmp_path.glob("authority.key.*")]
            await admin.submit("bank", 1)
        home = (await cluster.status("bank")).host
        host = next(each for each in cluster._backend._places if each.host.host_id == home).host  # type: ignore[attr-defined]
        assert old.public_key not in host.badge.trust.roots or host.badge.trust._retiring


async def test_an_older_announcement_brings_no_older_grant_back(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        older = cluster.host.known_hosts()
        async with Cluster.attach(tmp_path) as admin:
            access = admin.access

            async def not_yet(*_) -> None:
                pass

            access._retire = not_yet  # type: ignore[method-assign]
            await access.rotate(30)
        new = authority.load(tmp_path).public_key
        trust = cluster.host.badge.trust

        async def all_have_it() -> bool:
            return all(trust.member(fact.host).chain[0].by == new for fact in older)

        await until(all_have_it)
        for fact in older:
            cluster.host.neighbours.received(fact.host, Frame(facts=(fact,)))
        assert await all_have_it()
