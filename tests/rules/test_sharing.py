"""Rules SH: shared entries."""

import random

from protocol.agent.folds import Op, counter_amounts, encode_op
from protocol.event import Merged, SubscriberSeen
from protocol.step import EntryDraft, Read, space_key
from tests.rules.bench import Bench

KEY = space_key("s", "x")
ADD = (EntryDraft(KEY, encode_op(Op("add", b"1"))),)


def bench_with_subscriber() -> Bench:
    bench = Bench("a", "b")
    bench.feed("a", SubscriberSeen("s", "b"))
    return bench


def share(bench: Bench) -> None:
    """Carry what `a` shares to `b`."""
    for name, action in bench.shared:
        assert name == "a"
        bench.feed("b", Merged(action.entries))
    bench.shared.clear()


def test_sh1_a_write_is_an_entry_of_its_own_shared_once_it_is_durable() -> None:
    bench = bench_with_subscriber()
    bench.slow.add("a")
    bench.submit("a", b"x")
    bench.sync("a")
    bench.ran("a", entries=ADD + ADD)
    assert bench.shared == []
    bench.sync("a")
    entries = bench.shared[0][1].entries
    assert len({(entry.key, entry.writer, entry.index) for entry in entries}) == 2
    share(bench)
    assert len(counter_amounts(bench.machines["b"].core.versions.entries(KEY))) == 2


def test_sh2_replicas_with_the_same_entries_read_the_same_in_any_order_of_arrival() -> None:
    bench = bench_with_subscriber()
    for _ in range(6):
        bench.step("a", entries=ADD)
    entries = [entry for _, action in bench.shared for entry in action.entries]
    wanted = bench.machines["a"].core.versions.entries(KEY)
    for seed in range(20):
        other = Bench("b")
        shuffled = [*entries, *entries[:2]]
        random.Random(seed).shuffle(shuffled)
        for entry in shuffled:
            other.feed("b", Merged((entry,)))
        assert other.machines["b"].core.versions.entries(KEY) == wanted


def test_sh2_a_rollback_hides_entries_at_every_subscriber() -> None:
    bench = bench_with_subscriber()
    step = bench.step("a", entries=ADD)
    share(bench)
    reader = bench.step("b", reads=(Read(KEY, step),))
    bench.propose("a", step)
    bench.deliver()
    assert bench.undone(reader)
    assert bench.machines["b"].core.versions.entries(KEY) == []


def test_sh3_an_author_writes_its_subscribers_down_before_it_serves_them() -> None:
    bench = Bench("a", "b")
    bench.slow.add("a")
    bench.feed("a", SubscriberSeen("s", "b"))
    assert bench.admitted == []
    bench.sync("a")
    assert [action.subscriber for _, action in bench.admitted] == ["b"]
    bench.crash("a")
    assert bench.machines["a"].core.subscribers == {"s": ["b"]}


def test_sh3_no_newcomer_is_admitted_while_entries_are_frozen() -> None:
    bench = Bench("a", "b", "c")
    bench.feed("a", SubscriberSeen("s", "b"))
    step = bench.step("a", entries=ADD)
    bench.propose("a", step)
    bench.deliver(lambda mail: mail[1] == "a")  # b has not voted
    bench.feed("a", SubscriberSeen("s", "c"))
    assert [action.subscriber for _, action in bench.admitted] == ["b"]
    bench.deliver()
    assert [action.subscriber for _, action in bench.admitted] == ["b", "c"]
    assert bench.machines["a"].core.shared_entries() == []


def test_sh4_an_observed_value_is_undone_and_the_step_stays() -> None:
    bench = Bench("a")
    writer = bench.step("a", writes={"k": b"1"})
    watcher = bench.step("a", observed=("k",))
    reader = bench.step("a", reads=(Read("k", writer),))
    record = bench.machines["a"].core.cone.record(watcher)
    assert (record.observed, record.reads) == (("k",), ())
    bench.propose("a", writer)
    bench.deliver()
    assert bench.undone(writer)
    assert bench.undone(reader)
    assert not bench.undone(watcher)


def test_sh4_an_observer_of_a_shared_entry_is_in_nobodys_cone_and_its_clock_is_silent() -> None:
    bench = bench_with_subscriber()
    writer = bench.step("a", entries=ADD)
    share(bench)
    watcher = bench.step("b", observed=(KEY,))
    assert bench.machines["b"].core.cone.record(watcher).clock == {"b": (1, 1)}
    bench.propose("a", writer)
    bench.deliver()
    assert bench.machines["b"].core.versions.entries(KEY) == []
    assert not bench.undone(watcher)
    bench.crash("b")
    assert bench.machines["b"].core.cone.record(watcher).observed == (KEY,)


def test_sh4_an_observer_that_runs_while_the_value_is_frozen_is_not_called_off() -> None:
    bench = Bench("a", "b", "d")
    writer = bench.step("a", writes={"k": b"1"}, sends=(("b", b"m"),))
    bench.submit("a", b"x")
    bench.propose("d", writer)
    bench.deliver(lambda mail: mail[1] == "a")
    assert bench.machines["a"].core.quarantine.freezes(writer)
    watcher = bench.ran("a", observed=("k",))
    assert watcher in bench.machines["a"].core.cone
