"""What operators see: numbers of each host, whether it is well, by the API, over HTTP, and for Prometheus."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from peer import Agent, Cluster, Context, Person, Result, handles
from peer.host.health import Health
from peer.host.measures import SERIES
from peer.serving import probes
from peer.serving.door import header_of, look_act
from tests.integration.test_people_over_http import served


@pytest.fixture(autouse=True)
def always_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRESH_S", 0.0)


class Buyer(Agent):
    tries = 1

    @handles(int)
    async def buy(self, message: int, ctx: Context) -> None:
        if message < 0:
            raise ValueError("nobody is paid for buying")
        self.state["spent"] = self.state.get("spent", 0) + message
        ctx.send("till", message)

    @handles(str)
    async def ask(self, message: str, ctx: Context) -> None:
        ctx.ask_person(message, then=self.told, to="ann")

    async def told(self, result: Result, ctx: Context) -> None:
        self.state["told"] = result.value


class Till(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


class Wrong(Agent):
    def __init__(self) -> None:
        raise ValueError("no such shop")


async def opened(cluster: Cluster) -> None:
    await cluster.spawn("buyer", Buyer)
    await cluster.spawn("till", Till)


async def measured(cluster: Cluster, agent: str) -> dict[str, dict[str, float]]:
    found = (await cluster.measures())[cluster.host.homes[agent]]
    assert isinstance(found, dict), found
    return found


def single(found: dict[str, dict[str, float]], *names: str) -> list[float]:
    return [found[name][""] for name in names]


async def test_a_host_counts_what_happens_there_in_this_life(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, listen=True) as cluster:
        await opened(cluster)
        await cluster.submit("buyer", 1, 2, -3, "how much?")
        await cluster.quiet()
        await cluster.rollback("buyer/1/2", inputs="discard", reason="too much")
        await cluster.checkpoint()
        await cluster.quiet()
        buyer, till = await measured(cluster, "buyer"), await measured(cluster, "till")
        assert buyer["agents"] == {"up": 1, "coming": 0, "broken": 0}
        assert single(buyer, "steps_total", "steps_undone_total", "inputs_waiting", "requests_held") == [3, 1, 0, 1]
        assert single(till, "steps_total", "steps_undone_total", "dead_letters_total") == [2, 1, 0]
        assert single(buyer, "dead_letters", "dead_letters_total") == [2, 2]
        assert buyer["rollbacks_total"] == {"commit": 1, "abort": 0}
        assert buyer["rollback_seconds_total"][""] > 0
        assert buyer["messages_total"]["Data"] >= 2
        assert buyer["rollback_messages_total"][""] > 0
        assert buyer["frames_lost_total"]["refused"] == 0
        assert buyer["notices_total"]["dead-letter"] == 1
        assert single(buyer, "checkpoint_epoch", "log_stalled", "draining") == [1, 0, 0]
        assert abs(buyer["checkpoint_timestamp_seconds"][""] - time.time()) < 60
        assert buyer["log_bytes"][""] > 1000
        assert buyer["hosts"]["up"] == 2
        assert set(buyer) == {each.name for each in SERIES}
    async with Cluster("local", folder=tmp_path, listen=True) as cluster:
        await opened(cluster)
        again = await measured(cluster, "buyer")
        assert single(again, "steps_total", "steps_undone_total", "dead_letters_total") == [0, 0, 0]
        assert single(again, "dead_letters", "requests_held") == [2, 1]


async def scraped(url: str, headers: dict[str, str] | None = None) -> Any:
    async with httpx.AsyncClient() as client:
        return await client.get(url, headers=headers)


async def test_prometheus_reads_all_hosts_at_one_place(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    async with Cluster("local", folder=folder, listen=True) as cluster:
        await opened(cluster)
        await cluster.submit("buyer", 1, 2)
        await cluster.quiet()
        async with served(folder, open_metrics=True) as url:
            answer = await scraped(f"{url}/metrics")
            assert answer.status_code == 200
            families = {each.name: each for each in text_string_to_metric_families(answer.text)}
            steps = {each.labels["host"]: each.value for each in families["ebbtide_steps"].samples}
            assert steps == {"host-1": 2, "host-2": 2}
            assert families["ebbtide_steps"].type == "counter"
            assert {each.value for each in families["ebbtide_host_answers"].samples} == {1.0}
            agents = {(each.labels["host"], each.labels["state"]): each.value
                      for each in families["ebbtide_agents"].samples}  # fmt: skip
            assert agents["host-1", "up"] == 1


async def test_numbers_are_for_those_who_have_signed_unless_they_are_open(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    async with Cluster("local", folder=folder, listen=True) as cluster:
        await opened(cluster)
        ann = Person.enrol(folder, "ann", "boss", key=tmp_path / "ann.key")
        async with served(folder) as url:
            answer = await scraped(f"{url}/metrics")
            assert (answer.status_code, answer.json()["error"]) == (401, "NotEntitled")
            assert "--open-metrics" in answer.json()["text"]
            act = msgspec.structs.replace(look_act("metrics", ""), at_us=time.time_ns() // 1000)
            answer = await scraped(f"{url}/metrics", {"authorization": header_of(ann.proof(act))})
            assert (answer.status_code, 'ebbtide_steps_total{host="host-1"}' in answer.text) == (200, True)


async def test_probes_say_whether_all_is_well_and_in_few_words_why_not(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    async with Cluster("local", folder=folder, listen=True) as cluster:
        await opened(cluster)
        async with served(folder) as url:
            for path in ("healthz", "readyz"):
                answer = await scraped(f"{url}/{path}")
                assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
            with pytest.raises(Exception, match="no such shop"):
                await cluster.spawn("wrong", Wrong)
            await cluster.kill("till", for_good=True)
            answer = await scraped(f"{url}/readyz")
            assert answer.status_code == 503
            assert "host-2 does not answer" in answer.json()["why"]
            assert (await scraped(f"{url}/healthz")).status_code == 200


async def test_a_host_that_waits_for_the_disk_is_not_ready(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, listen=True) as cluster:
        await opened(cluster)
        (host,) = [place.host for place in cluster._backend._places if "till" in place.host.drivers]
        host.stalled("the disk is full")
        found = (await cluster.health())[host.host_id]
        assert isinstance(found, Health)
        assert (found.whys(), found.in_short()) == (["it waits: the disk is full"], ["nothing can be written"])
        assert (await measured(cluster, "till"))["log_stalled"] == {"": 1}
        host.stalled("")
        found = (await cluster.health())[host.host_id]
        assert isinstance(found, Health)
        assert found.whys() == []


async def test_many_probes_at_once_are_one_look_at_the_hosts(tmp_path: Path) -> None:
    looks = 0
    began = asyncio.Event()

    async def look() -> int:
        nonlocal looks
        looks += 1
        await began.wait()
        return looks

    shared = probes._Shared(look)
    waiting = [asyncio.create_task(shared.get()) for _ in range(5)]
    await asyncio.sleep(0)
    began.set()
    assert await asyncio.gather(*waiting) == [1] * 5
