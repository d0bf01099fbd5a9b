"""Rules CP-1 to CP-5 and CP-9: cuts, views, what is settled, and when the next one begins."""

import itertools

import pytest

from protocol.checkpoints.messages import MakeCut, MetRecord, StatedRecord
from protocol.checkpoints.pacing import interval_us, is_due, young_daly_us
from protocol.checkpoints.tally import Count, Statement
from protocol.event import CutWanted, Settled
from protocol.fact import Began
from protocol.ids import StepId
from protocol.limits import CheckpointLimits
from protocol.message import Data
from protocol.records import CutRecord
from protocol.step import Read, StepRecord
from tests.rules.bench import Bench, of
from tests.rules.crowd import Crowd


def cut(bench: Bench, epoch: int, *names: str) -> None:
    """Have agents make a cut."""
    for name in names:
        bench.feed(name, CutWanted(epoch))


def settle(bench: Bench, epoch: int, *names: str, horizon: int = 0, begun: tuple[Began, ...] = ()) -> None:
    """Tell agents that an epoch is committed."""
    for name in names:
        bench.feed(name, Settled(epoch, begun, horizon))


def record_of(bench: Bench, step: StepId) -> StepRecord:
    return next(r for r in bench.disks[step.agent] if isinstance(r, StepRecord) and r.step == step)


# -- CP-1


def test_cp1_who_sees_a_higher_colour_cuts_before_anything_else() -> None:
    crowd = Crowd("h0", "h1")
    actions = crowd.machines["h1"].stamped("h0", 3, 0, crowd.now_us)
    assert actions[0] == MakeCut(3)
    assert crowd.machines["h1"].epochs.colour == 3


def test_cp1_a_step_belongs_to_the_epoch_in_which_it_ran_and_a_cut_stands_before_it_in_the_log() -> None:
    bench = Bench("a")
    before = bench.step("a")
    cut(bench, 1, "a")
    after = bench.step("a")
    assert (record_of(bench, before).epoch, record_of(bench, after).epoch) == (0, 1)
    kinds = [type(record) for record in bench.disks["a"]]
    assert kinds.index(CutRecord) < len(kinds) - 1 - kinds[::-1].index(StepRecord)
    bench.crash("a")
    assert bench.machines["a"].core.epoch == 1


def test_cp1_a_message_carries_the_epoch_of_its_step() -> None:
    bench = Bench("a", "b")
    cut(bench, 1, "a")
    bench.step("a", sends=(("b", b"m"),))
    message = next(mail[2] for mail in bench.mail if isinstance(mail[2], Data))
    assert message.input.epoch == 1


# -- CP-2


def test_cp2_a_statement_is_heard_by_nobody_before_it_is_durable() -> None:
    crowd = Crowd("h0", "h1")
    crowd.slow.add("h0")
    crowd.do("h0", crowd.machines["h0"].begin(1, crowd.now_us))
    crowd.rounds(3, without=("h1",))
    assert crowd.machines["h0"].epochs.count is not None
    assert not crowd.machines["h0"].epochs.count.has("h0")
    crowd.sync("h0")
    assert any(isinstance(record, StatedRecord) for record in crowd.logs["h0"])
    assert crowd.machines["h0"].epochs.committed == 1 or crowd.machines["h0"].epochs.count.has("h0")


def test_cp2_tallies_merge_in_any_order() -> None:
    view = ("a", "b", "c")
    said = [
        Statement("a", joined=("d",), undecided=5),
        Statement("b", undecided=2),
        Statement("c", left=("a",), undecided=5),
    ]
    results = set()
    for order in itertools.permutations(said):
        counts = [Count(4, view, 5) for _ in said]
        for count, statement in zip(counts, order, strict=True):
            count.add(statement)
        for count in counts[1:]:
            counts[0].merge(count.tally())
        counts[0].add(Statement("d", undecided=5))
        assert counts[0].is_complete()
        results.add((counts[0].members(), tuple(counts[0].left), counts[0].undecided))
    assert results == {(("a", "b", "c", "d"), ("a",), 2)}


def test_cp2_a_tally_costs_a_bit_for_each_member() -> None:
    view = tuple(f"h{number:04}" for number in range(1000))
    count = Count(1, view, 2)
    for host in view[:500]:
        count.add(Statement(host))
    assert len(count.tally().bits) == 125
    assert not count.is_complete()


def test_cp2_messages_of_a_host_grow_as_the_logarithm_of_the_hosts() -> None:
    sent: dict[int, float] = {}
    for hosts in (8, 128):
        crowd = Crowd(*(f"h{number}" for number in range(hosts)))
        crowd.checkpoint("h0")
        crowd.checkpoint("h0")
        assert {machine.epochs.committed for machine in crowd.machines.values()} == {2}
        total = sum(len(actions) for actions in crowd.done.values())
        sent[hosts] = total / hosts
    assert sent[128] < 4 * sent[8]


# -- CP-3


def test_cp3_an_epoch_is_committed_when_all_of_the_view_and_whom_they_name_have_stated() -> None:
    crowd = Crowd("h0", "h1", "h2")
    crowd.do("h0", crowd.machines["h0"].begin(7, crowd.now_us))
    crowd.rounds(10, without=("h2",))
    assert crowd.machines["h0"].epochs.committed == 0
    crowd.rounds()
    commits = {machine.epochs.commit for machine in crowd.machines.values()}
    assert len(commits) == 1
    assert crowd.machines["h0"].epochs.commit is not None
    assert crowd.machines["h0"].epochs.commit.view == ("h0", "h1", "h2")
    assert ("1", "") in crowd.replies("h0")


def test_cp3_many_may_begin_and_it_is_the_same_epoch() -> None:
    crowd = Crowd("h0", "h1", "h2")
    crowd.checkpoint("h0")
    for name in crowd.names:
        crowd.do(name, crowd.machines[name].begin(2, crowd.now_us))
    crowd.rounds()
    assert {machine.epochs.committed for machine in crowd.machines.values()} == {2}


def test_cp3_whoever_began_may_die_and_the_epoch_is_committed_all_the_same() -> None:
    crowd = Crowd("h0", "h1", "h2")
    crowd.checkpoint("h0")
    crowd.do("h1", crowd.machines["h1"].begin(2, crowd.now_us))
    crowd.rounds(3)
    crowd.start("h1")
    crowd.rounds()
    assert {machine.epochs.committed for machine in crowd.machines.values()} == {2}


def test_cp3_a_stranger_is_written_down_before_anything_of_it_is_taken() -> None:
    crowd = Crowd("h0", "h1")
    crowd.slow.add("h0")
    machine = crowd.machines["h0"]
    crowd.do("h0", machine.stamped("new", 0, 0, crowd.now_us))
    assert not machine.takes("new", 0)
    crowd.sync("h0")
    assert machine.takes("new", 0)
    assert MetRecord("new") in crowd.logs["h0"]
    crowd.start("h0")
    crowd.slow.clear()
    crowd.machines["h0"].others(())
    crowd.do("h0", crowd.machines["h0"].begin(1, crowd.now_us))
    stated = [record for record in crowd.logs["h0"] if isinstance(record, StatedRecord)]
    assert stated[-1].statement.joined == ("new",)


def test_cp3_only_a_member_settles_anything() -> None:
    crowd = Crowd("h0", "h1")
    crowd.machines["h0"].others(())
    crowd.do("h0", crowd.machines["h0"].begin(1, crowd.now_us))
    crowd.rounds()
    assert crowd.machines["h1"].epochs.committed == 1
    assert 1 in crowd.settled("h0")
    assert 1 not in crowd.settled("h1")
    bench = Bench("a", "b")
    bench.step("a", sends=(("b", b"m"),))
    assert next(mail[2] for mail in bench.mail if isinstance(mail[2], Data)).input.outside


def test_cp3_who_leaves_is_in_no_later_view() -> None:
    crowd = Crowd("h0", "h1", "h2")
    crowd.checkpoint("h0")
    crowd.machines["h2"].leave("h2")
    crowd.checkpoint("h0")
    crowd.rounds(3, without=("h2",))
    for name in ("h0", "h1"):
        crowd.machines[name].others(tuple(other for other in ("h0", "h1") if other != name))
        commit = crowd.machines[name].epochs.commit
        assert commit is not None
        assert commit.next_view() == ("h0", "h1")


# -- CP-4


def lossy_bench() -> tuple[Bench, StepId, StepId]:
    """B has handled a message of a step of A's that A has lost since, and nobody has told B yet."""
    bench = Bench("a", "b")
    lost = bench.step("a", sends=(("b", b"m"),))
    bench.deliver(of(Data))
    orphan = bench.ran("b", writes={"k": b"1"})
    return bench, lost, orphan


def test_cp4_what_hangs_on_a_loss_goes_before_anything_is_settled() -> None:
    bench, lost, orphan = lossy_bench()
    cut(bench, 1, "b")
    settle(bench, 1, "b", begun=(Began("a", 2, ((1, lost.seq - 1),)),))
    assert bench.undone(orphan)
    assert bench.value("b", "k") is None


def test_cp4_an_acknowledged_message_is_kept_until_its_consumer_is_settled() -> None:
    bench = Bench("a", "b")
    for name in ("a", "b"):
        settle(bench, 0, name)
    step = bench.step("a", sends=(("b", b"m"),))
    bench.deliver(of(Data))
    bench.ran("b")
    bench.deliver()
    outbox = bench.machines["a"].core.outbox
    assert outbox.unsent() == 0
    outbox.unack("b", 1, 1, lambda lost: False)
    assert outbox.unsent() == 1, "a loss makes the acknowledgment void"
    bench.crash("a")
    bench.deliver()
    cut(bench, 1, "a")
    settle(bench, 1, "a")
    outbox = bench.machines["a"].core.outbox
    outbox.unack("b", 1, 1, lambda lost: False)
    assert outbox.unsent() == 0, f"{step}'s message is settled"


# -- CP-5


def test_cp5_a_clock_says_nothing_of_settled_steps_and_has_a_floor() -> None:
    bench = Bench("a", "b")
    for name in ("a", "b"):
        settle(bench, 0, name)
    bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    first = bench.ran("b", writes={"k": b"1"})
    assert record_of(bench, first).clock == {"a": (1, 1), "b": (1, 1)}
    cut(bench, 1, "a", "b")
    settle(bench, 1, "a", "b")
    second = bench.step("b", reads=(Read("k", first),))
    assert record_of(bench, second).clock == {"b": (1, 2)}
    assert record_of(bench, second).floor == 1


def test_cp5_an_outsiders_entries_stay() -> None:
    bench = Bench("a", "b")
    settle(bench, 1, "b")
    bench.step("a", sends=(("b", b"m"),))
    bench.deliver()
    step = bench.ran("b")
    assert record_of(bench, step).clock == {"a": (1, 1), "b": (1, 1)}


# -- CP-9


def test_cp9_the_interval_is_fixed_or_follows_from_cost_and_failures() -> None:
    assert young_daly_us(2_000_000, 3_600_000_000) == 120_000_000
    assert interval_us(CheckpointLimits(interval_us=7), cost_us=5) == 7
    limits = CheckpointLimits(interval_us=7, failure_us=3_600_000_000)
    assert interval_us(limits, cost_us=0) == 7
    assert interval_us(limits, cost_us=2_000_000) == 120_000_000


@pytest.mark.parametrize(
    ("limits", "records", "size", "due"),
    [
        (CheckpointLimits(), 10**6, 10**9, False),
        (CheckpointLimits(interval_records=100), 99, 10**9, False),
        (CheckpointLimits(interval_records=100), 100, 0, True),
        (CheckpointLimits(interval_bytes=100), 10**6, 99, False),
        (CheckpointLimits(interval_bytes=100), 0, 100, True),
    ],
)
def test_cp9_a_checkpoint_begins_when_enough_was_written(
    limits: CheckpointLimits, records: int, size: int, due: bool
) -> None:
    assert is_due(limits, records, size) is due
    crowd = Crowd("h0", limits=limits)
    crowd.do("h0", crowd.machines["h0"].grown(records, size, crowd.now_us))
    assert (crowd.machines["h0"].epochs.committed == 1) is due


def test_cp9_a_member_begins_by_itself_when_the_interval_is_over() -> None:
    crowd = Crowd("h0", limits=CheckpointLimits(interval_us=1_000_000))
    crowd.rounds(35)
    assert crowd.machines["h0"].epochs.committed == 3
