"""Rule RQ-4 on machines, whatever frames and processes do: all members let go, or none."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from protocol.agent.core import Core, Then
from protocol.agent.grouping import Grouping, _Group  # pyright: ignore[reportPrivateUsage]
from protocol.event import Received, ReleaseAsked
from protocol.group import GroupDecidedRecord, GroupVotedRecord
from protocol.records import IntentRecord, Record
from protocol.step import StepRecord
from tests.rules.bench import Bench
from tests.rules.members import GROUP, HOLD, MEMBERS, calls, request, say, settle

POINTS = ("vote pending", "voted", "heard all", "decided", "let go")


def play(seed: int) -> Bench:
    """Three members; a person may say no, a step may be undone, time may be over.

    Frames are lost, doubled and out of order, and processes die.
    """
    chance = Random(seed)
    bench = Bench(*MEMBERS)
    held = chance.random() < 0.5
    group = GROUP._replace(deadline_us=chance.choice([2, 4, 60]) * 1_000_000)
    steps = [request(bench, name, group, HOLD if held and name == "b" else None) for name in MEMBERS]
    for name in MEMBERS:
        bench.slow.add(name)
    todo = [*(("settle", name) for name in MEMBERS), ("undo", "a" if chance.random() < 0.5 else "c")]
    todo += [("word", "b")] if held else []
    for _ in range(60):
        bench.now_us += 100_000
        for name in MEMBERS:
            if chance.random() < 0.5:
                bench.sync(name)
            if chance.random() < 0.06:
                bench.crash(name)
        if todo and chance.random() < 0.3:
            what, name = todo.pop(chance.randrange(len(todo)))
            if what == "settle":
                settle(bench, name)
            elif what == "undo":
                bench.propose("b", next(step for step in steps if step.agent == name))
            elif waiting := bench.machines[name].requesting.waiting():
                verb = chance.choice(["approve", "reject"])
                bench.feed(name, ReleaseAsked(7, waiting[0].name, "", "ann", verb, b"\xa2no"))
        if bench.mail:
            mail = bench.mail[chance.randrange(len(bench.mail))]
            if chance.random() < 0.8:
                bench.mail.remove(mail)
            if chance.random() < 0.7:
                bench.feed(mail[1], Received(mail[0], mail[2]))
        if chance.random() < 0.3:
            bench.elapse(300_000)
    finish(bench)
    return bench


def finish(bench: Bench) -> None:
    """Let all end in peace."""
    bench.slow.clear()
    for name in MEMBERS:
        bench.sync(name)
        settle(bench, name, epoch=9)
    for name in MEMBERS:
        if any(seen.hold and not seen.approved for seen in bench.machines[name].requesting.waiting()):
            say(bench, name, "approve")
    for _ in range(12):
        bench.elapse()
        bench.deliver()


def outcome_of(bench: Bench) -> str:
    """Return `go`, `none`, or `undone` if one was undone besides; check that all members have come to the same."""
    ends: set[bool] = set()
    called = {name for name, use in bench.tools if use.verb in ("call", "check")}
    undone = {name for name in MEMBERS if bench.undone(_step(bench, name).step)}
    for name in MEMBERS:
        words = [record for record in bench.disks[name] if isinstance(record, GroupVotedRecord)]
        assert len(words) <= 1, words
        found = [record for record in bench.disks[name] if isinstance(record, GroupDecidedRecord)]
        # Who was undone before it said anything, and has heard nothing, has nothing to decide.
        assert len(found) == 1 or (name in undone and not words and not found), "each comes to the end, once"
        ends |= {record.is_go for record in found}
        intents = [record for record in bench.disks[name] if isinstance(record, IntentRecord)]
        assert len(intents) == 1 or name in undone, "called once, or answered once"
    assert len(ends) == 1
    assert called == ({*MEMBERS} if True in ends else set()), called
    assert not (undone and called)
    return "go" if True in ends else "undone" if undone else "none"


def _step(bench: Bench, name: str) -> StepRecord:
    return next(record for record in bench.disks[name] if isinstance(record, StepRecord))


def test_rq4_all_or_none_whatever_is_lost_doubled_out_of_order_or_crashes() -> None:
    ends = [outcome_of(play(seed)) for seed in range(400)]
    assert min(ends.count(end) for end in ("go", "none", "undone")) > 40, "all that may happen does"


def goes_without_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Group, "is_decided_by", lambda self, votes: any(votes.values()) or len(votes) > 1)


def what_is_ready_is_undone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Grouping, "binds", lambda self, group, lineage: False)


def votes_are_heard_before_they_are_durable(patch: pytest.MonkeyPatch) -> None:
    real = Core.append

    def append(self: Core, records: Sequence[Record], then: Then | None = None, **options: Any) -> None:
        is_vote = isinstance(records[-1], GroupVotedRecord) and then is not None
        real(self, records, None if is_vote else then, **options)
        if is_vote:
            assert then is not None
            then()

    patch.setattr(Core, "append", append)


def says_no_after_ready(patch: pytest.MonkeyPatch) -> None:
    def late_us(found: _Group) -> int:
        return found.since_us + found.group.deadline_us

    patch.setattr("protocol.agent.grouping._late_us", late_us)


def _forgetful(self: Grouping, record: GroupVotedRecord, real: Any = Grouping.apply_voted) -> None:
    if not self._core.replaying:  # pyright: ignore[reportPrivateUsage]
        real(self, record)


def votes_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Grouping, "apply_voted", _forgetful)


MUTATIONS = [
    goes_without_all, what_is_ready_is_undone, votes_are_heard_before_they_are_durable, says_no_after_ready,
    votes_are_not_kept,
]  # fmt: skip


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_rq4_switched_off_is_noticed(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    for seed in range(2000):
        try:
            outcome_of(play(seed))
        except AssertionError:
            return
    pytest.fail("nothing was noticed")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("victim", MEMBERS)
def test_rq4_a_member_that_dies_at_any_point_goes_on_where_it_was(point: str, victim: str) -> None:
    bench = Bench(*MEMBERS)
    for name in MEMBERS:
        request(bench, name)
    bench.slow.add(victim)
    settle(bench)
    others = [name for name in MEMBERS if name != victim]
    if point == "vote pending":
        bench.crash(victim)
        assert bench.machines[victim].grouping.open() == []
    elif point == "voted":
        bench.sync(victim)
        bench.crash(victim)
    else:
        bench.sync(victim)
        bench.slow.discard(victim)
        bench.slow.add(victim)
        bench.deliver(lambda mail: mail[1] == victim)
        assert calls(bench).get(victim) is None, "the intent is not durable"
        if point != "heard all":
            bench.sync(victim)
            assert calls(bench)[victim] == 1
        if point == "let go":
            use = next(use for name, use in bench.tools if name == victim)
            bench.used(victim, use)
            bench.sync(victim)
        bench.crash(victim)
    finish(bench)
    assert outcome_of(bench) == "go"
    checks = [use for name, use in bench.tools if name == victim and use.verb == "check"]
    assert bool(checks) == (point == "decided")
    assert all(calls(bench)[name] == 1 for name in others)
