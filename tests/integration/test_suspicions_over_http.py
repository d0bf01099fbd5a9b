"""What systems outside and people say of steps over HTTP: that one seems wrong, and that an alarm was false."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, CallerError, Cluster, Context, HandlerMissing, InputsDiffer, handles
from peer.people.person import Act
from peer.serving.remote import Remote
from peer.watching import Always, Watcher
from tests.integration.test_people_over_http import Place, served


class Teller(Agent):
    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        right = ctx.evidence is None or "right" in ctx.evidence
        self.state["paid"] = self.state.get("paid", 0) + (message if right else 0)


class Guard(Watcher):
    policy = Always()


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Place]:
    folder = tmp_path / "run"
    async with Cluster("local", folder=folder, listen=True) as cluster:
        await cluster.spawn("teller", Teller)
        await cluster.spawn("guard", Guard)
        async with served(folder) as url:
            yield Place(cluster, folder, url)


async def cases(cluster: Cluster) -> dict[str, Any]:
    await cluster.quiet()
    return {key[1]: value for key, value in (await cluster.state("guard")).items() if key[0] == "case"}


def act_of(verb: str, body: dict[str, Any]) -> tuple[bytes, Act]:
    data, steps = json.dumps(body).encode(), body["steps"] if verb == "suspect" else [body["step"]]
    agent = steps[0].split("/")[0] if steps else ""
    return data, Act(verb, agent, " ".join(steps), "", body["why"], data, 0)


async def test_a_system_outside_has_steps_undone_and_says_it_twice_for_once(tmp_path: Path) -> None:
    async with running(tmp_path) as place, Remote(place.url, place.ann) as remote:
        await place.cluster.submit("teller", 3, 500, 7, 600)
        await place.cluster.quiet()
        both = ["teller/1/2", "teller/1/4"]
        receipt = await remote.suspect(both, 2.0, "no such payee", to="guard", key="alert 17")
        assert (receipt.agent, receipt.repeated) == ("guard", 0)
        assert (await remote.suspect(both, 2.0, "no such payee", to="guard", key="alert 17")).repeated == 1
        with pytest.raises(InputsDiffer):
            await remote.suspect(both, 3.0, "no such payee", to="guard", key="alert 17")
        assert list(await cases(place.cluster)) == ["teller/1/2"]
        assert (await cases(place.cluster))["teller/1/2"][2] == "person/ann"
        assert (await place.cluster.state("teller"))["paid"] == 10
        # Another's key of the same name is another one.
        async with Remote(place.url, place.zoe) as other:
            assert (await other.suspect("teller/1/1", 0.1, to="guard", key="alert 17")).repeated == 0
        done = await remote.overturn("teller/1/2", "a house was sold", to="guard")
        assert (str(done.step), done.reinstated, done.proposal != "") == ("teller/1/2", "run again", True)
        await place.cluster.quiet()
        assert (await place.cluster.state("teller"))["paid"] == 510
        assert (await remote.overturn("teller/1/1", "it was right")).reinstated == "stands"
        assert (await cases(place.cluster))["teller/1/2"][1] == "right, says ann"


async def test_what_is_wrong_is_told_with_its_status_and_nobody_is_told_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.host.asking.UNHEARD_S", 0.2)
    async with running(tmp_path) as place:
        await place.cluster.submit("teller", 3)
        await place.cluster.quiet()
        body = {"steps": ["teller/1/1"], "to": "guard", "why": "odd"}
        tried: list[tuple[dict[str, Any], int, str]] = [
            (body | {"steps": []}, 400, "names 1 to 64"),
            (body | {"steps": [f"teller/1/{number}" for number in range(1, 66)]}, 400, "names 1 to 64"),
            (body | {"steps": ["teller"]}, 400, "not a step"),
            (body | {"score": "high"}, 400, "score"),
            (body | {"score": float("nan")}, 400, "no finite number"),
            (body | {"to": ""}, 400, "to"),
            (body | {"why": "x" * 100_000}, 400, "why"),
            (body | {"key": "k" * 256}, 400, "key"),
            (body | {"by": "eve"}, 400, "by"),
            (body | {"to": "teller"}, 409, "teller is no watcher"),
            (body | {"to": "nobody"}, 404, "nobody"),
        ]
        for sent, status, words in tried:
            data, act = act_of("suspect", sent)
            answer = await place.send("suspect", data, act)
            assert (answer.status_code, words in answer.json()["text"]) == (status, True), (sent, answer.text)
        data, act = act_of("suspect", body)
        assert (await place.send("suspect", data, None)).status_code == 401
        _, other = act_of("suspect", body | {"score": 2.0})
        assert (await place.send("suspect", data, other)).status_code == 401
        for sent, status, words in (
            ({"step": "teller/1/9", "why": "x"}, 404, "no step"),
            ({"step": "teller/1/1", "why": ""}, 400, "why"),
            ({"step": "teller/1/1", "why": "x", "timeout": 0}, 400, "timeout"),
        ):
            data, act = act_of("overturn", sent)
            answer = await place.send("overturn", data, act)
            assert (answer.status_code, words in answer.json()["text"]) == (status, True), (sent, answer.text)
        assert await cases(place.cluster) == {}
        async with Remote(place.url, place.ann) as remote:
            with pytest.raises(HandlerMissing):
                await remote.suspect("teller/1/1", to="teller")
            with pytest.raises(CallerError, match="not a step"):
                await remote.suspect("teller", to="guard")
