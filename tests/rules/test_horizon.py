"""Rule CP-6: what is behind the horizon is folded and forgotten, and nothing that is still needed."""

from protocol.event import Received
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.message import Ack, Data
from protocol.records import BaseRecord
from protocol.step import Consumer
from tests.rules.bench import Bench, of
from tests.rules.test_checkpoints import cut, settle


def worked_bench(epochs: int = 4) -> tuple[Bench, list[StepId]]:
    """An agent that has written two keys in each of some epochs, with all but the last behind the horizon."""
    bench = Bench("a")
    steps = []
    for epoch in range(1, epochs + 1):
        steps.append(bench.step("a", writes={"k": b"%d" % epoch, f"k{epoch}": b"x"}))
        steps.append(bench.step("a", writes={"gone": None if epoch % 2 else b"y"}))
        cut(bench, epoch, "a")
        settle(bench, epoch, "a", horizon=epoch)
    return bench, steps


def values(bench: Bench) -> dict[str, bytes | None]:
    return {key: value for key, value, _ in bench.machines["a"].core.versions.read_all()}


def test_cp6_values_outlive_the_steps_that_wrote_them() -> None:
    bench, steps = worked_bench()
    core = bench.machines["a"].core
    assert len(core.cone) == 0
    assert core.cone.forgotten == len(steps)
    assert bench.value("a", "k") == b"4"
    assert {key for key, value, _ in core.versions.read_all() if value} == {"k", "k1", "k2", "k3", "k4", "gone"}


def test_cp6_memory_follows_what_is_not_final_and_not_the_history() -> None:
    sizes = []
    for epochs in (4, 40):
        bench, _ = worked_bench(epochs)
        core = bench.machines["a"].core
        versions = sum(len(core.versions.versions_of(key)) for key in ("k", "gone"))
        sizes.append((versions, len(core.cone), len(core.runs_of), len(core.retracted_by), len(core.intents.all())))
    assert sizes[0] == sizes[1]


def test_cp6_recovery_begins_at_the_last_base_and_gives_the_same_back() -> None:
    bench, _ = worked_bench(11)
    bench.submit("a", b"waits")
    last = bench.step("a", writes={"k": b"last"})
    bases = [record for record in bench.disks["a"] if isinstance(record, BaseRecord)]
    assert [base.is_full for base in bases[:9]] == [True] + 7 * [False] + [True]
    before = values(bench)
    begin = max(at for at, record in enumerate(bench.disks["a"]) if isinstance(record, BaseRecord) and record.is_full)
    bench.disks["a"] = bench.disks["a"][begin:]
    bench.crash("a")
    core = bench.machines["a"].core
    assert values(bench) == before
    assert core.seq == last.seq
    assert core.inbox.next_number("ext:test") > 1
    assert "a" in bench.runs, "the input that waited is handled"


def test_cp6_a_base_that_would_hold_what_lies_on_the_shelf_is_put_off_until_more_was_sent() -> None:
    bench = Bench("a", "b", limits=Limits(window=1, at_hand=1))
    bench.step("a", sends=[("b", b"%d" % number) for number in range(11)])
    for epoch in range(1, 6):
        bench.step("a", writes={"k": b"%d" % epoch}, sends=[("c", b"x")] * 10)
        for number in range(10 * epoch - 9, 10 * epoch + 1):
            bench.feed("a", Received("c", Ack(1, ((number, Consumer(1, 1, 0)),))))
        cut(bench, epoch, "a")
        settle(bench, epoch, "a", horizon=epoch)
    core = bench.machines["a"].core
    assert (core.outbox.shelved(), core.cone.forgotten) == (10, 6)
    bases = [record for record in bench.disks["a"] if isinstance(record, BaseRecord)]
    assert [base.epoch for base in bases] == [3], "when four times as many were sent"
    assert [out.number for out in bases[0].outbox if out.receiver == "b"] == [*range(1, 12)]
    bench.crash("a")
    assert bench.machines["a"].core.outbox.shelved() == 10
    assert bench.value("a", "k") == b"5"


def test_cp6_what_an_undecided_proposal_needs_is_not_forgotten() -> None:
    bench = Bench("a", "b")
    bench.asks_by_hand = True
    root = bench.step("a", sends=(("b", b"m"),))
    bench.deliver(of(Data))
    bench.ran("b")
    bench.propose("a", root)
    bench.deliver()
    bench.answer("a")
    for epoch in (1, 2, 3):
        cut(bench, epoch, "a", "b")
        settle(bench, epoch, "a", horizon=epoch)
    assert root in bench.machines["a"].core.cone
    settle(bench, 3, "b", horizon=0)
    bench.deliver()
    bench.answer("b")
    bench.deliver()
    assert bench.undone(root)


def test_cp6_a_base_stands_for_a_vote_that_is_in_the_writing_too() -> None:
    bench = Bench("a", "b", "c")
    bench.step("b")
    cut(bench, 1, "a", "b", "c")
    root = bench.step("a", sends=(("b", b"m"), ("c", b"m")))
    bench.deliver(of(Data))
    step = bench.ran("b")
    bench.propose("a", root)
    bench.slow.add("b")
    bench.deliver(lambda mail: mail[1] != "c")
    # `b` has made its vote, and writes it; what it writes next stands for all before it.
    settle(bench, 1, "b", horizon=1)
    bench.sync("b")
    assert isinstance(bench.disks["b"][-1], BaseRecord)
    bench.crash("b")
    assert bench.machines["b"].core.quarantine.freezes(step)


def test_cp6_what_a_running_handler_has_called_is_not_forgotten_though_its_lineage_had_ended() -> None:
    bench = Bench("a", "b")
    root = bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    bench.ran("b")
    bench.deliver()
    bench.propose("a", root, inputs="retry")
    bench.deliver()
    bench.ran("a")  # sends nothing: what `b` had done on this lineage is over
    bench.deliver()
    bench.propose("a", StepId("a", 1, 2), inputs="retry")
    bench.deliver()
    bench.ran("a", sends=(("b", b"m"),))  # sends it after all
    bench.deliver()
    order = bench.call("b", b"5")
    assert order is not None
    cut(bench, 1, "b")
    bench.slow.add("b")
    bench.used("b", order)
    settle(bench, 1, "b", horizon=1)
    bench.sync("b")
    assert [action.answer for name, action in bench.resumed if name == "b"] == ["done"]
