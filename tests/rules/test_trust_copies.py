"""Rule TR-11: who keeps a copy of another host's logs can't read it; who is to go on with that host's agents can."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from peer import errors
from peer.host.host import Host
from peer.keys import HostKeys
from peer.replication.incoming import PREFIX
from peer.replication.inquiry import FoundCopy
from peer.replication.opener import Opener
from peer.replication.replication import Replication
from peer.replication.sealing import Seal, level_of
from peer.replication.shares import check_of, share_of
from peer.replication.trustee import Trustee, said_of
from peer.trust.lies import Signed
from protocol.checkpoints.copy import Copied, Copy, Deposit, Lacking, Part, Reclaim, Returned
from protocol.checkpoints.escrow import needed, threshold, trustees_max
from protocol.checkpoints.succession import backups_of
from protocol.ids import HOST
from protocol.wire import Frame
from tests.counting import NAMES, filled, host_of, places, restarted, started, sums, told


def part_of(host: Host) -> Replication:
    return host.checkpoints._replication


def hosts_of(cluster) -> list[Host]:
    return [place.host for place in places(cluster)]


def copies_at(host: Host) -> dict[str, list[bytes]]:
    names = [name for name in host.store.agents() if name.startswith(PREFIX) and host.store.length(name)]
    return {name: list(host.store.read(name, host.store.reads_from(name)[0])) for name in names}


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("others", range(1, 20))
def test_tr11_as_many_hosts_as_may_be_lost_open_nothing_and_what_is_left_opens_all(replicas: int, others: int) -> None:
    trustees = min(others, trustees_max(replicas))
    enough, sure = threshold(trustees, replicas), needed(trustees, replicas)
    assert 1 <= enough <= sure <= trustees
    if trustees >= replicas:
        # The owner is lost, and replicas - 1 of those that have a share.
        assert sure - (replicas - 1) >= enough
    if others >= 2 * replicas:
        assert enough == replicas + 1


async def test_tr11_who_keeps_a_copy_can_not_read_it(tmp_path: Path) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        read: set[str] = set()
        for host in hosts_of(cluster):
            for name, records in copies_at(host).items():
                owner, log = name[len(PREFIX) :].split("/", 1)
                first = host.store.reads_from(name)[0]
                # While there were two hosts, the one was trusted with the other's copies: there was nobody else.
                alone = [level_of(record) for record in records].count(1)
                assert {level_of(record) for record in records[alone:]} <= {2}
                if alone < len(records):
                    read.add(log)
                    with pytest.raises(errors.LogCorrupt, match="too few hosts have returned"):
                        part_of(host).opener.open(owner, log, first + alone, records[alone:])
        assert read == {*NAMES, HOST}


async def test_tr11_shares_are_returned_to_who_has_succeeded_their_owner_and_to_nobody_else(tmp_path: Path) -> None:
    async with started(tmp_path, successor_s=0.3) as cluster:
        await filled(cluster)
        dead = host_of(cluster, "b1")
        curious, other = (host for host in hosts_of(cluster) if host is not dead)
        part_of(curious).opener._returned[dead.host_id] = {}
        curious.send_frame(other.host_id, Frame(copies=(Reclaim(dead.host_id),)))
        curious.send_frame(other.host_id, Frame(copies=(Lacking("b1", 0, dead.host_id),)))
        await cluster.submit("c1", 1)
        await cluster.quiet(pause_s=0.1)
        assert part_of(curious).opener._returned[dead.host_id] == {}
        del part_of(curious).opener._returned[dead.host_id]
        before = await sums(cluster)
        await cluster.kill("b1", for_good=True, with_disk=True)
        await cluster.submit("b1", 7)
        assert await sums(cluster) == {**before, "b1": before["b1"] + 7}


async def test_tr11_a_successor_that_begins_again_need_not_ask_again(tmp_path: Path) -> None:
    async with started(tmp_path, successor_s=0.3) as cluster:
        await filled(cluster)
        dead = host_of(cluster, "b1").host_id
        await cluster.kill("b1", for_good=True, with_disk=True)
        await cluster.submit("b1", 7)
        others = [host for host in hosts_of(cluster) if host.host_id != dead]
        successor = next(host for host in others if host.checkpoints.succeeds(dead))
        agent = next(name for name in NAMES if name[0] != "b" and host_of(cluster, name) is successor)
        again = await restarted(cluster, agent, lambda _: None)
        opener = part_of(again).opener
        assert opener.opens(dead, {2})
        assert dead not in opener._returned


async def test_tr11_who_returns_shares_of_a_secret_that_it_has_made_up_keeps_nothing_from_being_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path, successor_s=0.3) as cluster:
        await filled(cluster)
        dead, returned = host_of(cluster, "b1").host_id, Trustee.of

        def of(self: Trustee, owner: str) -> tuple[Part, ...]:
            # One that alone makes a secret, which has the check that is said to be its own.
            who = self._site.host_id
            made_up = [Part(level, 1, share_of(bytes(32), 1, who), check_of(bytes(32))) for level in (1, 2)]
            taken_over = [part._replace(check=check_of(bytes(32)), threshold=1) for part in returned(self, owner)]
            return (*taken_over, *made_up, *returned(self, owner))

        def reclaim(self: Trustee, sender: str, message: Reclaim) -> None:
            with monkeypatch.context() as patched:
                patched.setattr(Trustee, "of", of)
                honest(self, sender, message)

        honest = Trustee.reclaim
        monkeypatch.setattr(Trustee, "reclaim", reclaim)
        before = await sums(cluster)
        await cluster.kill("b1", for_good=True, with_disk=True)
        await cluster.submit("b1", 7)
        assert await sums(cluster) == {**before, "b1": before["b1"] + 7}
        (successor,) = [host for host in hosts_of(cluster) if host.host_id != dead and host.checkpoints.succeeds(dead)]
        assert part_of(successor).opener._returned[dead], "it has asked"


def test_tr11_shares_of_hosts_that_have_none_keep_the_others_from_being_tried_in_no_way(tmp_path: Path) -> None:
    owner, secret = HostKeys.from_seed(b"owner"), bytes(range(32))
    hosts = [f"{number:016x}" for number in range(200)]
    trustees = backups_of(owner.host_id, hosts, 3)
    kept: Any = SimpleNamespace(of=lambda owner: (), keep=lambda *given: None)
    site: Any = SimpleNamespace(host_id="me")
    opener = Opener(site, kept, lambda level: Seal(secret, level))
    opener._returned[owner.host_id] = {}
    check = check_of(secret)
    proof = msgspec.msgpack.encode(Signed(owner.public_key, owner.sign(said_of(owner.host_id, Part(2, 2, b"", check)))))
    for host in sorted(hosts, key=lambda host: host in trustees):
        share = share_of(secret, 2, host) if host in trustees[1:] else bytes(66)
        opener.returned(host, Returned(owner.host_id, (Part(2, 2, share, check, proof),)))
        opener.returned(host, Returned("another", (Part(2, 2, share, check, proof),)))
    assert opener.opens(owner.host_id, {2})
    assert not opener.opens(owner.host_id, {1})


async def test_tr11_a_copy_that_was_altered_is_refused_and_told(tmp_path: Path) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        owner = host_of(cluster, "b1")
        inquiry = owner.checkpoints._replication._inquiry
        found = await inquiry.ask("b1", owner=owner.host_id)
        trustee, copy = next((host, copy) for host, copy in found.items() if copy.records)
        sealed = list(copy.records)
        assert inquiry.opened(owner.host_id, "b1", {trustee: copy})
        swapped = [*sealed[:-2], sealed[-1], sealed[-2]]
        plain = [*sealed[:-1], b"\x01plain"]
        for false in (swapped, plain):
            copy.records = false
            assert inquiry.opened(owner.host_id, "b1", {trustee: copy}) == {}
        for kind, options in (("json:JSONDecoder", copy.options), ("json:JSONDecoder", b""), (copy.kind, b"\x80")):
            false = FoundCopy()
            false.first, false.records, false.kind, false.options = copy.first, list(sealed), kind, options
            assert inquiry.opened(owner.host_id, "b1", {trustee: false}) == {}, "its class was exchanged"
        assert "copy-refused" in told(owner)


async def test_tr11_nothing_counts_before_its_copies_can_be_opened_without_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        escrow, deposit = part_of(host_of(cluster, "a1")).escrow, Trustee.deposit
        with monkeypatch.context() as patched:
            patched.setattr(Trustee, "deposit", lambda self, sender, message: None)
            escrow._had.clear()
            escrow._look()
            handed = asyncio.ensure_future(cluster.submit("a1", 1))
            await cluster.submit("b1", 1)
            assert not (await asyncio.wait([handed], timeout=1.0))[0]
        assert Trustee.deposit is deposit
        await handed
        assert escrow.is_placed


async def test_tr11_an_owner_of_a_release_that_did_not_seal_has_its_copies_begin_anew_once_it_does(
    tmp_path: Path,
) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        trustee = host_of(cluster, "b1")
        kept = trustee.checkpoints.copies.kept
        older = "00" * 8
        kept.keep(older, Copy("x", 1, (b"\x01one", b"\x01two")))
        name = f"{PREFIX}{older}/x"
        await until(lambda: trustee.store.length(name) == 2)
        assert kept.read(older, "x")[2] == [b"\x01one", b"\x01two"], "what it has kept itself it may go on from"
        kept.keep(older, Copy("x", 1, (), is_sealed=True))
        await until(lambda: trustee.store.length(name) == 0)
        kept.keep(older, Copy("y", 1, (b"\x01one",)))
        other = f"{PREFIX}{older}/y"
        await until(lambda: trustee.store.length(other) == 1)
        kept.keep(older, Copy("y", 2, (b"\x01two",)))
        kept.keep(older, Copy("y", 3, (b"\x81three",), is_sealed=True))
        await until(lambda: trustee.store.length(other) == 0)
        assert kept._durable[other] == 0, "what was being written then does not count any more"
        kept.keep(older, Copy("x", 1, (b"\x81one",), is_sealed=True))
        kept.keep(older, Copy("x", 2, (b"\x81two",), is_sealed=True))
        await until(lambda: trustee.store.length(name) == 2)


async def test_tr11_shares_are_kept_whatever_comes_twice_late_or_made_up(tmp_path: Path) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        host = host_of(cluster, "a1")
        trustee, opener = part_of(host).trustee, part_of(host).opener
        first, second = Part(2, 2, bytes(66), b"c"), Part(2, 1, bytes(66), b"c")
        for parts in ((first,), (first, second), (first,)):
            trustee.deposit("11" * 8, Deposit(parts))
        assert {*trustee._kept["11" * 8].values()} == {first, second}, "an older deposit takes nothing back"
        for wrong in (Part(2, 2, b"short", b"c"), Part(2, 0, bytes(66), b"c"), Part(2, -1, bytes(66), b"c")):
            trustee.deposit("22" * 8, Deposit((wrong,)))
        for level in range(100):
            trustee.deposit("33" * 8, Deposit((Part(level, 1, bytes(66), b"c"),)))
        assert "22" * 8 not in trustee._kept
        assert len(trustee._kept["33" * 8]) <= 64
        opener.returned("44" * 8, Returned("55" * 8, (first,)))
        assert "55" * 8 not in opener._returned, "nobody has asked for it"


async def test_tr11_a_backup_that_says_it_has_more_than_there_is_has_to_show_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        owner = host_of(cluster, "b1")
        copies = owner.checkpoints.copies
        (backup,) = copies.backups()
        copies.received(backup, Copied("b1", 10_000))
        await until(lambda: not copies._doubted)
        await cluster.submit("b1", 5)
        assert "b1" in owner.drivers
        # Now this host has really forgotten what it has said, as from an older state of its disk.
        await cluster.quiet(pause_s=0.1)
        lost = copies._logs["b1"]
        lost.length -= 1
        copies.received(backup, Copied("b1", lost.length + 1))
        await until(lambda: "this folder is an older state of it" in caplog.text)


async def test_tr11_shares_are_said_to_be_kept_once_they_are_durable_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path) as cluster:
        await filled(cluster)
        host, written, sent = host_of(cluster, "a1"), list[Callable[[], None]](), list[Frame]()
        trustee, message = part_of(host).trustee, Deposit((Part(2, 2, bytes(66), b"c"),))
        with monkeypatch.context() as patched:
            patched.setattr(host.store, "append", lambda name, records, done, anchor=False: written.append(done))
            patched.setattr(host, "send_frame", lambda to, frame: sent.append(frame))
            trustee.deposit("11" * 8, message)
            trustee.deposit("11" * 8, message)
            assert len(written) == 1
            assert sent == []
            written[0]()
            trustee.deposit("11" * 8, message)
            assert len(sent) == 2
