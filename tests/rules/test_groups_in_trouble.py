"""Rule RQ-4 on machines, whatever frames and processes do: all members let go, or none."""

from random import Random

import pytest

from protocol.event import Received, ReleaseAsked
from tests.rules.bench import Bench
from tests.rules.members import GROUP, HOLD, MEMBERS, calls, request, say, settle

POINTS = ("vote pending", "voted", "heard all", "decided", "let go")


def play(seed: int) -> Bench:
    """Three members, one of which may say no; frames are lost, doubled and out of order, and processes die."""
    chance = Random(seed)
    bench = Bench(*MEMBERS)
    held = chance.random() < 0.5
    for name in MEMBERS:
        request(bench, name, hold=HOLD if held and name == "b" else None)
    for name in MEMBERS:
        bench.slow.add(name)
    todo = [*(("settle", name) for name in MEMBERS), *([("word", "b")] if held else [])]
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
    for _ in range(8):
        bench.elapse()
        bench.deliver()


def outcome_of(bench: Bench) -> str:
    """Return `go` or `none`, and check that all members have come to the same, and to nothing else."""
    called = {name for name, use in bench.tools if use.verb in ("call", "check")}
    ends = {name: bench.machines[name].grouping.stand(GROUP, _lineage(bench, name))[0] for name in MEMBERS}
    assert len(set(ends.values())) == 1, ends
    (end,) = set(ends.values())
    assert end in ("go", "none")
    assert called == ({*MEMBERS} if end == "go" else set()), called
    for name in MEMBERS:
        words = [record.why for record in bench.disks[name] if type(record).__name__ == "GroupVotedRecord"]  # type: ignore[attr-defined]
        assert len(words) <= 1, words
        intents = [record for record in bench.disks[name] if type(record).__name__ == "IntentRecord"]
        assert len(intents) == 1, "called once, or answered once"
    return end


def _lineage(bench: Bench, name: str) -> str:
    record = next(record for record in bench.disks[name] if type(record).__name__ == "StepRecord")
    return record.outputs[0].lineage  # type: ignore[attr-defined]


def test_rq4_all_or_none_whatever_is_lost_doubled_out_of_order_or_crashes() -> None:
    ends = [outcome_of(play(seed)) for seed in range(400)]
    assert 50 < ends.count("go") < 350


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
