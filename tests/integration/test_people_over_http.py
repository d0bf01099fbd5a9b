"""People over HTTP: the same calls as the API's, signed where the key is; what is unsigned, or not new, is refused."""

import asyncio
import json
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgpack
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from peer import (
    Agent,
    Approval,
    AskTimeout,
    CallerError,
    Cluster,
    ConfigInvalid,
    Context,
    NotEntitled,
    Person,
    Result,
    Tier,
    handles,
    tool,
)  # fmt: skip
from peer.people.person import Act
from peer.serving import bodies, door
from peer.serving.door import header_of
from peer.serving.kept import Kept
from peer.serving.remote import Remote
from peer.serving.serve import address_of, is_loopback, serve, serving_alone
from tests.integration.test_people import boxed, settled

POST: list[str] = []


@pytest.fixture(autouse=True)
def nothing_posted() -> None:
    POST.clear()


@tool(kind="irreversible")
def send(text: str) -> None:
    POST.append(text)


class Clerk(Agent):
    approvals = (Approval("boss", tool=send),)
    tiers: ClassVar = {"new": Tier(), "barred": Tier(refuses=(send,))}
    tiers_by = "boss"

    @handles(str)
    async def write(self, message: str, ctx: Context) -> None:
        ctx.request(send, message, then=self.done)

    @handles(int)
    async def ask(self, message: int, ctx: Context) -> None:
        ctx.ask_person("how many?", then=self.told, to=("boss", "eve"))

    async def done(self, result: Result, ctx: Context) -> None:
        self.state[result.args[0]] = result.error or "sent"

    async def told(self, result: Result, ctx: Context) -> None:
        self.state["told"] = [result.value, result.by]


class Place:
    """A cluster that is served, and who may act on it."""

    def __init__(self, cluster: Cluster, folder: Path, url: str) -> None:
        self.cluster, self.folder, self.url = cluster, folder, url
        self.ann = Person.enrol(folder, "ann", "boss", key=folder.parent / "ann.key")
        self.zoe = Person.enrol(folder, "zoe", key=folder.parent / "zoe.key")

    async def send(self, name: str, body: Any, act: Act | None, who: Person | None = None, at_us: int = 0) -> Any:
        """Send a word as it is; return the answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {}
        if act is not None:
            at_us = at_us or time.time_ns() // 1000
            headers["authorization"] = header_of((who or self.ann).proof(msgspec.structs.replace(act, at_us=at_us)))
        async with httpx.AsyncClient() as client:
            return await client.post(f"{self.url}/{name}", content=data, headers=headers)


@asynccontextmanager
async def served(folder: Path, urls: tuple[str, ...] = (), open_metrics: bool = False) -> AsyncIterator[str]:
    """Serve the cluster of a folder, as `ebbtide people serve` does; yield where."""
    where: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def corrected(agent: str, text: str, kind: str | None) -> Any:
        return json.loads(text)

    async with Cluster.attach(folder) as attached:
        serving = asyncio.create_task(
            serve(attached, "127.0.0.1:0", urls, corrected, where.set_result, open_metrics)
        )  # fmt: skip
        try:
            yield await where
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "run"
    async with Cluster("local", folder=folder, listen=True) as cluster:
        await cluster.spawn("clerk", Clerk)
        async with served(folder) as url:
            yield Place(cluster, folder, url)


async def test_people_look_and_act_without_the_folder(tmp_path: Path) -> None:
    async with running(tmp_path) as place, Remote(place.url, place.ann) as remote:
        await place.cluster.submit("clerk", "a", "b", "c", 1)
        await boxed(place.cluster, place.ann, 4)
        first, second, third, question = await remote.inbox(place.ann)
        assert (first.args, first.asks, question.question) == (("a",), ("boss",), "how many?")
        assert (await remote.inbox("zoe"), len(await remote.inbox())) == ([], 4)
        await first.approve("fine", as_=place.ann)
        await remote.reject("clerk", second.name, "no")
        await remote.release("clerk", third.name, "now")
        await remote.answer("clerk", question.name, {"n": [7 << 80, 1.5, None]})
        await remote.answer("clerk", question.name, {"n": [7 << 80, 1.5, None]})
        with pytest.raises(CallerError, match="is rejected by ann already"):
            await remote.approve("clerk", second.name)
        await settled(place.cluster, "clerk")
        state = await place.cluster.state("clerk")
        assert (sorted(POST), state["b"]) == (["a", "c"], "ann has rejected it: no")
        assert state["told"] == [{"n": [7 << 80, 1.5, None]}, "ann"]
        await remote.pause("clerk", "look")
        assert (await place.cluster.status("clerk")).paused == "paused by ann: look"
        await remote.resume("clerk")
        await remote.set_tier("clerk", "barred", "it pays twice")
        found = await remote.tiers("clerk")
        assert (found.tier, found.by, found.tiers) == ("barred", "ann", ("new", "barred"))
        assert (await place.cluster.status("clerk")).paused == ""
        async with Remote(place.url, place.zoe) as other:
            with pytest.raises(NotEntitled, match=r"set by boss, and not by zoe"):
                await other.set_tier("clerk", "new", "please")


async def test_rollbacks_are_shown_and_proposed_and_amended(tmp_path: Path) -> None:
    async with running(tmp_path) as place:
        await place.cluster.submit("clerk", "a", "b")
        await boxed(place.cluster, None, 2)
        assert (await _roll(place, "preview", {"steps": ["clerk/1/9"]})).status_code == 404
        look = await _roll(place, "preview", {"steps": ["clerk/1/2"]})
        assert look.json()["steps"] == ["clerk/1/2"]
        amended = {"steps": ["clerk/1/2"], "inputs": "amend", "amend": "B", "reason": "big"}
        done = await _roll(place, "rollback", amended)
        assert (done.json()["committed"], done.json()["undone"]) == (True, ["clerk/1/2"])
        assert {each.args for each in await boxed(place.cluster, None, 2)} == {("a",), ("B",)}
        (vote,) = (await place.cluster.ballots("clerk")).votes
        assert vote[0].reason == "big, says ann"
        for body, status in (
            ({"steps": []}, 400), ({"steps": ["clerk"]}, 400),
            ({"steps": ["clerk/1/1"], "inputs": "amend"}, 400), ({"steps": ["clerk/1/1"], "timeout": 1e9}, 400),
            ({"steps": ["clerk/1/1"], "inputs": "burn"}, 409),
        ):  # fmt: skip
            answer = await _roll(place, "rollback", body)
            assert (answer.status_code, bool(answer.json()["text"])) == (status, True), answer.text


async def _roll(place: Place, verb: str, body: dict[str, Any]) -> Any:
    data = json.dumps(body).encode()
    steps = body["steps"]
    act = Act(verb, steps[0].split("/")[0] if steps else "", " ".join(steps), "", body.get("reason", ""), data, 0)
    return await place.send(verb, data, act)


async def test_a_word_counts_once_and_for_five_minutes_over_restarts_of_the_server(tmp_path: Path) -> None:
    async with running(tmp_path) as place:
        body, now_us = {"agent": "clerk", "note": ""}, time.time_ns() // 1000
        pause, resume = Act("pause", "clerk", "", "", "", b"", 0), Act("resume", "clerk", "", "", "", b"", 0)
        assert (await place.send("pause", body, pause, at_us=now_us)).json()["state"] == "paused"
        assert (await place.send("resume", body, resume, at_us=now_us + 1)).status_code == 200
        again = await place.send("pause", body, pause, at_us=now_us)
        assert (again.status_code, again.json()["text"][:25]) == (409, "This was said before, wor")
        at_once = await asyncio.gather(*(place.send("resume", body, resume, at_us=now_us + 2) for _ in range(5)))
        assert sorted(answer.status_code for answer in at_once) == [200, 409, 409, 409, 409]
        async with Cluster("local", folder=tmp_path / "other"):
            pass
        there = Person.enrol(tmp_path / "other", "ann", "boss", key=tmp_path / "ann.key")
        heard_there = _moved(there.proof(msgspec.structs.replace(pause, at_us=now_us + 3)), place.ann)
        async with httpx.AsyncClient() as client:
            moved = await client.post(
                f"{place.url}/pause", json=body, headers={"authorization": header_of(heard_there)}
            )
        assert (moved.status_code, "has not signed this" in moved.json()["text"]) == (401, True)
        for off_us in (-301_000_000, 400_000_000):
            late = await place.send("pause", body, pause, at_us=now_us + off_us)
            assert (late.status_code, "Sign it anew" in late.json()["text"]) == (401, True)
        async with served(place.folder) as url:
            place.url = url
            assert (await place.send("pause", body, pause, at_us=now_us)).status_code == 409
        assert (await place.cluster.status("clerk")).paused == ""


def _moved(proof: bytes, who: Person) -> bytes:
    """Return a proof as somebody would make it who has heard it in another cluster that the same key is known to."""
    _, at_us, signature = msgspec.msgpack.decode(proof)
    return msgspec.msgpack.encode([who.chain, at_us, signature])


async def test_what_is_wrong_is_told_with_its_status_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.host.asking.UNHEARD_S", 0.2)
    async with running(tmp_path) as place:
        await place.cluster.submit("clerk", "a")
        (box,) = await boxed(place.cluster)
        body = {"agent": "clerk", "request": box.name, "step": str(box.step), "note": ""}
        act = Act("approve", "clerk", box.name, str(box.step), "", b"", 0)
        async with Cluster("local", folder=tmp_path / "other"):
            pass
        stranger = Person.enrol(tmp_path / "other", "ann", "boss", key=tmp_path / "stranger.key")
        ended = Person.enrol(place.folder, "old", "boss", key=tmp_path / "old.key", days=-1)
        tier = Act("tier", "clerk", "x", "", "y", b"", 0)
        deep = b'{"agent": "clerk", "note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        tried: list[tuple[str, Any, Act | None, Person | None, int, str]] = [
            ("approve", body, None, None, 401, "not signed"),
            ("approve", body, act, stranger, 401, "does not vouch"),
            ("approve", body, act, ended, 401, "has ended"),
            ("approve", body | {"note": "more"}, act, None, 401, "has not signed this"),
            ("reject", body, act, None, 401, "has not signed this"),
            ("approve", body, act, place.zoe, 403, "asks boss, and not zoe"),
            ("pause", {"agent": "clark"}, Act("pause", "clark", "", "", "", b"", 0), None, 404, "clerk"),
            ("approve", {"agent": "clerk"}, act, None, 400, "missing required field"),
            ("approve", body | {"value": 1}, act, None, 400, "'value' is the answer"),
            ("approve", body | {"step": ""}, act, None, 400, "step=''"),
            ("approve", body | {"extra": 1}, act, None, 400, "extra"),
            ("approve", b"{", act, None, 400, "no body"),
            ("approve", b"[1, 2]", act, None, 400, "no body"),
            ("approve", b"\xff\xfe", act, None, 400, "no body"),
            ("pause", deep, act, None, 400, "no body"),
            ("pause", b" " * (2 << 20), act, None, 413, "more than"),
            ("release", body, act, None, 400, "note"),
            ("tier", {"agent": "clerk", "tier": "x", "note": "y"}, tier, None, 409, "has no tier"),
            ("nothing", {}, act, None, 404, "There are: GET /inbox"),
        ]  # fmt: skip
        for name, sent, signed, who, status, text in tried:
            answer = await place.send(name, sent, signed, who)
            assert (answer.status_code, text in answer.json()["text"]) == (status, True), (name, answer.text)
            assert set(answer.json()) == {"error", "text"}
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{place.url}/approve")).status_code == 405
            assert (await client.get(f"{place.url}/inbox")).headers["www-authenticate"] == "Ebbtide"
            for junk in ("Ebbtide", "Ebbtide !!", "Basic YTpi", "Ebbtide " + "A" * 4000):
                answer = await client.get(f"{place.url}/inbox", headers={"authorization": junk})
                assert answer.status_code == 401
        assert (await place.send("approve", body, act)).json()["state"] == "approved"
        other = Act("approve", "clerk", box.name, "clerk/1/99", "", b"", 0)
        assert (await place.send("approve", body | {"step": "clerk/1/99"}, other)).status_code == 409
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_looking_is_signed_and_only_what_was_signed_is_shown(tmp_path: Path) -> None:
    async with running(tmp_path) as place, httpx.AsyncClient() as client:
        async with Remote(place.url, place.zoe) as remote:
            assert await remote.inbox() == []
            agents = await remote._look("agents", {})
            assert [(row["agent"], row["tier"], row["error"]) for row in agents] == [("clerk", "new", None)]
        act = msgspec.structs.replace(door.look_act("inbox", ""), at_us=time.time_ns() // 1000)
        headers = {"authorization": header_of(place.zoe.proof(act))}
        assert (await client.get(f"{place.url}/inbox", headers=headers)).status_code == 200
        assert (await client.get(f"{place.url}/inbox?for=ann", headers=headers)).status_code == 401
        assert (await client.get(f"{place.url}/agents", headers=headers)).status_code == 401


async def test_what_the_guide_says_of_a_signature_is_enough_to_make_one(tmp_path: Path) -> None:
    def authorization(key: Path, *act: Any) -> dict[str, str]:
        chain, now_us = msgpack.unpackb(key.with_suffix(".cert").read_bytes()), time.time_ns() // 1000
        private = Ed25519PrivateKey.from_private_bytes(key.read_bytes())
        signature = private.sign(b"ebbtide act\0" + msgpack.packb(chain[-1]) + msgpack.packb([*act, now_us]))
        proof = msgpack.packb([chain, now_us, signature])
        return {"authorization": f"Ebbtide {urlsafe_b64encode(proof).decode()}"}

    async with running(tmp_path) as place, httpx.AsyncClient() as client:
        key = tmp_path / "ann.key"
        await place.cluster.submit("clerk", 1)
        await boxed(place.cluster)
        signed = authorization(key, "look", "", "inbox?for=boss", "", "", b"")
        (asked,) = (await client.get(f"{place.url}/inbox?for=boss", headers=signed)).json()
        body = {"agent": "clerk", "request": asked["request"], "step": asked["step"], "note": "", "value": ["a", 1]}
        signed = authorization(key, "answer", "clerk", asked["request"], asked["step"], "", msgpack.packb(["a", 1]))
        answer = await client.post(f"{place.url}/answer", json=body, headers=signed)
        assert answer.json()["state"] == "answered"
        await place.cluster.submit("clerk", 2)
        await boxed(place.cluster)
        data = b'{"steps": ["clerk/1/3"], "inputs": "discard"}'
        signed = authorization(key, "rollback", "clerk", "clerk/1/3", "", "", data)
        assert (await client.post(f"{place.url}/rollback", content=data, headers=signed)).json()["committed"]


async def test_who_asks_what_is_no_server_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as place:
        with pytest.raises(ConfigInvalid, match="no http"):
            Remote("127.0.0.1:7474", place.ann)
        with pytest.raises(CallerError, match="add --as KEY"):
            Remote(place.url, None)
        async with Remote("http://127.0.0.1:9", place.ann) as remote:
            with pytest.raises(AskTimeout, match="does not answer"):
                await remote.inbox()
        async with Remote(f"{place.url}/deeper", place.ann) as remote:
            with pytest.raises(CallerError, match="There is none such"):
                await remote.inbox()


async def test_names_are_kept_over_restarts_and_what_has_ended_or_is_torn_is_not(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "names", 0)
    await kept.add("one", 10)
    await asyncio.gather(*(kept.add(f"n{number}", 100) for number in range(50)))
    kept.close()
    with (tmp_path / "names").open("ab") as file:
        file.write(b"100 torn")
    again = Kept(tmp_path / "names", 20)
    assert (len(again), "one" in again, "torn" in again, "n7" in again) == (50, False, False, True)
    again.drop("n7")
    again.tidy(100)
    assert len(again) == 0
    again.close()


def test_one_serves_a_folder_and_says_where(tmp_path: Path) -> None:
    with (
        serving_alone(tmp_path),
        pytest.raises(CallerError, match=r"runs on .* already, as process"),
        serving_alone(tmp_path),
    ):
        pass
    with serving_alone(tmp_path):
        pass
    assert address_of("[::1]:80") == ("::1", 80)
    for wrong in ("7474", "host", "host:x", "a/b:1", ""):
        with pytest.raises(ConfigInvalid, match="HOST:PORT"):
            address_of(wrong)
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert bodies.WAIT_S_MAX > 60
