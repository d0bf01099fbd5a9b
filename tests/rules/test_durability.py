"""Rules ST-9, CP-6 and CP-10 to CP-12: when a step counts, what is kept of it, and who can tell that it was changed."""

import asyncio
from pathlib import Path

from peer import Agent, AgentSpec, Cluster, Context, handles
from peer.agents.attempts import Attempts
from peer.agents.making import Origin
from peer.agents.resources import Resources
from peer.host.driver import Driver
from peer.host.strangers import Strangers
from peer.ports import Unobserved
from peer.store.memory import MemoryShelves, MemoryStore
from peer.store.outside.keeping import Keeping, Places
from peer.system import SystemClock, SystemRandomness
from protocol.action import Reply
from protocol.checkpoints.condensing import condensed
from protocol.checkpoints.epoch import COMMITS_KEPT, Commit
from protocol.checkpoints.messages import CommitRecord, EndRecord, MetRecord, StatedRecord
from protocol.checkpoints.retention import Retention
from protocol.checkpoints.succession import backups_of, node_of
from protocol.checkpoints.tally import Statement
from protocol.checkpoints.witness import KEPT, Conflict, Head, Heads
from protocol.event import LogStalled, Submitted
from protocol.limits import CheckpointLimits, Limits
from protocol.message import Data
from tests.damage import damage_record
from tests.rules.bench import Bench

SECOND = 1_000_000


def test_st9_no_step_begins_while_the_log_is_stalled_and_inputs_wait() -> None:
    bench = Bench("a")
    bench.feed("a", LogStalled(True))
    bench.submit("a", b"x")
    assert "a" not in bench.runs
    bench.feed("a", LogStalled(False))
    assert "a" in bench.runs


# -- CP-6: what is kept ------------------------------------------------------------------------------------------------


def test_cp6_epochs_are_kept_by_count_by_age_and_by_size() -> None:
    by_count = Retention(CheckpointLimits(epochs_kept=3))
    assert [by_count.horizon(epoch, epoch * SECOND) for epoch in (1, 2, 9)] == [-1, 0, 7]
    by_age = Retention(CheckpointLimits(epochs_kept=1, kept_us=5 * SECOND))
    assert [by_age.horizon(epoch, epoch * SECOND) for epoch in range(1, 9)] == [1, 1, 1, 1, 1, 2, 3, 4]
    by_size = Retention(CheckpointLimits(epochs_kept=10, kept_bytes=100))
    for epoch, size in ((1, 50), (2, 60), (3, 30), (4, 0)):
        by_size.grown(epoch, size)
    assert by_size.horizon(4, SECOND) == 2
    by_size.grown(4, 500)
    assert by_size.horizon(4, SECOND) == 4, "the newest committed epoch is always kept"


def test_cp6_a_hosts_own_log_is_condensed_to_what_its_next_life_needs() -> None:
    hosts = ("h0", "h1")
    records = [EndRecord("r1"), MetRecord("h1"), MetRecord("h9")]
    for epoch in range(1, 21):
        records += [StatedRecord(epoch, Statement("h0", top=epoch)), CommitRecord(Commit(epoch, hosts))]
    records.append(StatedRecord(21, Statement("h0", top=21)))
    kept = condensed(records)
    epochs = [record.commit.epoch for record in kept if isinstance(record, CommitRecord)]
    assert epochs == list(range(21 - COMMITS_KEPT, 21))
    assert [record.epoch for record in kept if isinstance(record, StatedRecord)] == [20, 21]
    assert EndRecord("r1") in kept
    assert MetRecord("h9") in kept
    assert MetRecord("h1") not in kept, "who is in the view need not be named"
    assert condensed(kept) == kept


# -- CP-8: backups on other nodes --------------------------------------------------------------------------------------


def test_cp8_backups_are_on_other_nodes_as_long_as_there_are_any() -> None:
    hosts = [f"{node}{number:014x}" for node in ("aa", "bb", "cc") for number in range(4)]
    for host in hosts:
        assert {node_of(backup) for backup in backups_of(host, hosts, 8)} == {"aa", "bb", "cc"} - {node_of(host)}
        assert len(backups_of(host, hosts, 11)) == 11, "where there are too few others, one on the own node will do"


# -- CP-10: replicated -------------------------------------------------------------------------------------------------


class Echo(Agent):
    """Says on what it hears."""

    @handles(int)
    async def echo(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        ctx.send("other", message)


class Checkpoints:
    """Holds back what the backups have not acknowledged."""

    def __init__(self, is_replicated: bool) -> None:
        self.is_replicated = is_replicated
        self.placing: list = []

    def wrote(self, log: str, records: list[bytes], anchor: bool = False) -> None:
        pass

    def place(self, log: str, done) -> None:
        self.placing.append(done)

    def when_recovered(self, leave) -> None:
        leave()

    def before(self, agent: str, event: object) -> list:
        return []

    def cut_ready(self, agent: str, action: object) -> None:
        pass


class Surroundings:
    """A host of one driver."""

    def __init__(self, is_replicated: bool) -> None:
        loop = asyncio.get_running_loop()
        self.clock, self.store, self.randomness = SystemClock(loop), MemoryStore(loop), SystemRandomness()
        self.checkpoints, self.shelves = Checkpoints(is_replicated), MemoryShelves()
        self.keeping = Keeping.at(Places.beside(Path(), "memory://blobs", "memory://vault"))
        self.observer = Unobserved()
        self.strangers = Strangers({"other": "host"}, {})
        self.attempts = Attempts()
        self.resources = Resources()
        self.routed: list[object] = []
        self.replies: list[str] = []

    def route(self, sender: str, receiver: str, message: object) -> None:
        self.routed.append(message)

    def spread(self, fact: object) -> None:
        pass

    def subscribers(self, space: str) -> list[str]:
        return []

    def reply(self, action: Reply) -> None:
        self.replies.append(action.value)

    def noticed(self, agent: str, notice: object) -> None:
        pass


class Nobody:
    """Makes no agents."""

    def sought(self, asker: str, name: str) -> None:
        pass

    def under_way(self, asker: str) -> tuple[str, ...]:
        return ()

    def there(self, agent: str) -> None:
        pass


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_cp10_under_replicated_nothing_leaves_before_the_backups_have_its_record() -> None:
    for is_replicated in (False, True):
        host, agent = Surroundings(is_replicated), Echo()
        agent.name = "echo"
        driver = Driver(host, agent, Limits(), Origin(), Nobody())
        driver.start(False, 1)
        await settled()
        held = host.checkpoints.placing
        while held:
            held.pop(0)()
        driver.feed(Submitted(1, "ext:test", 1, (b"\x92\xa0\x07",)))
        await settled()
        sent = [message for message in host.routed if isinstance(message, Data)]
        assert bool(host.replies) is not is_replicated
        assert bool(sent) is not is_replicated
        while held:
            held.pop(0)()
            await settled()
        assert host.replies == ["1"]
        assert [message.input.payload for message in host.routed if isinstance(message, Data)] == [b"\x92\xa0\x07"]
        driver.stop()


# -- CP-11: mending ----------------------------------------------------------------------------------------------------


async def test_cp11_a_damaged_log_is_mended_from_a_backups_copy_and_loses_nothing(tmp_path: Path) -> None:
    names = ["one", "other", "third"]
    specs = [AgentSpec(name, Sink) for name in names]
    async with Cluster("local", folder=tmp_path, durability="replicated(1)") as cluster:
        await cluster.spawn_all(specs)
        for number in range(10):
            await cluster.submit("one", number)
        await cluster.quiet()
    damage_record(tmp_path / "host-1", "one", 5)
    async with Cluster("local", folder=tmp_path, durability="replicated(1)") as cluster:
        await cluster.spawn_all(specs)
        await cluster.quiet()
        assert await cluster.state("one") == {"seen": list(range(10))}
        notices = {notice.notice for notice in await cluster.notices("one")}
        assert {"log-damaged", "log-mended"} <= notices
        assert "loss" not in notices


class Sink(Agent):
    """Remembers what it hears."""

    @handles(int)
    async def hear(self, message: int, ctx: Context) -> None:
        self.state["seen"] = [*self.state.get("seen", []), message]


# -- CP-12: witnesses --------------------------------------------------------------------------------------------------


def head(sequence: int, digest: bytes = b"d", host: str = "h0") -> Head:
    return Head(host, sequence, digest, b"", b"")


def test_cp12_two_heads_of_one_log_that_differ_are_a_contradiction() -> None:
    heads = Heads()
    assert heads.hear(head(1)) is True
    assert heads.hear(head(1)) is False
    assert heads.hear(head(1, host="h1")) is True
    assert heads.hear(head(1, b"another")) == Conflict(head(1), head(1, b"another"))


def test_cp12_heads_are_bounded_and_come_back_from_the_log() -> None:
    heads = Heads()
    for number in range(1, 3 * KEPT):
        heads.hear(head(number))
    assert [kept.sequence for kept in heads.all()] == list(range(2 * KEPT, 3 * KEPT))
    assert [kept.sequence for kept in heads.newest()] == [3 * KEPT - 1]
    again = Heads()
    again.load(heads.all())
    assert isinstance(again.hear(head(3 * KEPT - 1, b"another")), Conflict)
