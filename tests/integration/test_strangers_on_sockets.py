"""Strangers on raw sockets: a host goes on, and nothing of what they send is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.attacks.attackers import announce_much, claim_names, flood, hold_many, replay
from benchmarks.bench_attacks import Counter, captured_from, measured
from peer import Cluster
from peer.backends.admission import addresses_in
from peer.transport.place import Place

SECONDS = 1.0


@asynccontextmanager
async def target(folder: Path) -> AsyncIterator[tuple[Cluster, str]]:
    async with Cluster("local", folder=folder, listen=True) as cluster:
        await cluster.spawn("counter", Counter)
        yield cluster, next(iter(addresses_in(folder).values())).address


@pytest.mark.parametrize("attack", [claim_names, announce_much, flood, hold_many])
async def test_strangers_are_not_read_and_members_go_on_meanwhile(attack, tmp_path: Path) -> None:
    async with target(tmp_path) as (cluster, address):
        attacking = asyncio.create_task(asyncio.to_thread(attack, address, SECONDS))
        handed = 0
        while not attacking.done():
            await cluster.submit("counter", 1)
            handed += 1
        assert await attacking > 0
        await cluster.quiet()
        assert await cluster.state("counter") == {"n": handed}
        host = (await cluster.status("counter")).host
        assert host in {fact.host for fact in cluster.host.known_hosts()}


async def test_what_was_captured_on_the_way_is_worth_nothing(tmp_path: Path) -> None:
    async with target(tmp_path) as (cluster, address):
        streams = await captured_from(tmp_path)
        assert sum(map(len, streams)) > 1_000
        assert not any(b"Propose" in stream or b"to be captured" in stream for stream in streams), "it is encrypted"
        before = (await cluster.state("counter"), [step.id async for step in cluster.steps("counter")])
        refused = (await cluster.costs("counter")).refused
        assert await asyncio.to_thread(replay, address, SECONDS, streams) > 10
        await cluster.quiet()
        after = (await cluster.state("counter"), [step.id async for step in cluster.steps("counter")])
        assert after == before
        assert (await cluster.costs("counter")).refused == refused, "nothing of it came as far as a frame"


async def test_a_member_gets_no_host_by_a_wrong_address(tmp_path: Path) -> None:
    async with target(tmp_path) as (cluster, address):
        place = Place.of(address)
        other = str(place._replace(key=bytes(31) + b"\x01"))
        cluster.host.transport.introduce(other, b"never read")
        await cluster.submit("counter", 1)
        assert (await cluster.costs("counter")).refused == 0


def test_a_host_that_is_attacked_lives_and_takes_no_memory_for_what_is_announced() -> None:
    _, rows = measured(SECONDS)
    assert [row.attack for row in rows] == ["names", "announced", "flood", "held", "replay"]
    assert all(row.lives and row.tried > 0 and row.per_s > 0 for row in rows)
    assert max(row.memory_mb for row in rows) < 200, "60 MB were announced 300 times"
