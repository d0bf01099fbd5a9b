"""Rules RQ-1 and RQ-2, as far as agents' machines go; the rest of them is tried in worlds."""

from protocol.event import CutWanted, ReleaseAsked, Settled, StepRan
from protocol.ids import StepId
from protocol.limits import NEVER_US
from protocol.step import OutputDraft, Request, StepDraft
from tests.rules.bench import Bench


def requested(bench: Bench, kind: str, wait_us: int = NEVER_US) -> StepId:
    """Have agent `a` take a step that requests a tool."""
    bench.submit("a", b"x")
    order = bench.runs.pop("a")
    out = OutputDraft("a", b"answer", None, wait_us, Request("post", kind, b"args", False))
    bench.feed("a", StepRan(order.run, StepDraft(outputs=(out,))))
    return order.step


def settle(bench: Bench) -> None:
    """Cut and commit an epoch."""
    for name in bench.machines:
        bench.feed(name, CutWanted(1))
    for name in bench.machines:
        bench.feed(name, Settled(1, (), 0))


def called(bench: Bench) -> list[str]:
    return [use.verb for _, use in bench.tools if use.tool == "post"]


def test_rq1_what_can_be_undone_is_called_when_its_step_is_durable_and_its_answer_is_an_input() -> None:
    bench = Bench("a")
    bench.slow.add("a")
    requested(bench, "compensable")
    assert called(bench) == []
    bench.sync("a")
    bench.sync("a")
    assert called(bench) == ["call"]
    assert "a" not in bench.runs
    bench.slow.clear()
    bench.used("a", bench.tools[-1][1])
    assert bench.runs["a"].input.payload == b"answer"


def test_rq2_what_is_irreversible_waits_for_its_step_to_be_settled_over_crashes() -> None:
    bench = Bench("a")
    step = requested(bench, "irreversible")
    bench.crash("a")
    assert called(bench) == []
    settle(bench)
    assert called(bench) == ["call"]
    assert bench.machines["a"].core.holds(step) == "post"
    assert bench.machines["a"].requesting.floor == 1
    bench.crash("a")
    assert bench.machines["a"].requesting.floor == 1
    assert bench.runs["a"].input.payload == b"answer", "nobody can tell whether it happened: it is not repeated"
    assert called(bench) == ["call"]


def test_rq2_somebody_may_let_it_go_before_and_that_is_durable_when_it_is_said() -> None:
    bench = Bench("a", "z")
    step = requested(bench, "irreversible")
    (seen,) = bench.machines["a"].requesting.waiting()
    bench.feed("a", ReleaseAsked(1, "other", "why", "me"))
    assert "no request 'other'" in bench.replies[-1].error
    bench.slow.add("a")
    bench.feed("a", ReleaseAsked(2, seen.name, "why", "me"))
    assert [reply.request for reply in bench.replies if not reply.error and reply.request == 2] == []
    bench.sync("a")
    assert bench.replies[-1].request == 2
    assert called(bench) == ["call"]
    bench.slow.clear()
    bench.propose("z", step)
    bench.deliver()
    assert not bench.undone(step)
    assert "has let post go, which can't be undone" in str(bench.finished[0].outcome)


def test_rq2_a_release_ends_with_its_step_and_is_not_that_of_a_re_run() -> None:
    bench = Bench("a", "z")
    step = requested(bench, "irreversible")
    bench.asks_by_hand = True
    bench.propose("z", step, inputs="retry")
    bench.deliver()
    (seen,) = bench.machines["a"].requesting.waiting()
    bench.feed("a", ReleaseAsked(9, seen.name, "why", "me"))
    assert called(bench) == [], "its step is in an undecided cone"
    bench.answer("a")
    bench.deliver()
    assert bench.undone(step)
    assert "is undone meanwhile" in next(reply.error for reply in bench.replies if reply.request == 9)
    out = OutputDraft("a", b"answer", None, NEVER_US, Request("post", "irreversible", b"args", False))
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(outputs=(out,))))
    assert called(bench) == []


def test_rq1_a_rollback_that_comes_to_nothing_holds_a_request_up_only_meanwhile() -> None:
    bench = Bench("a", "z")
    step = requested(bench, "irreversible")
    bench.asks_by_hand, bench.agrees = True, lambda agent: False
    bench.propose("z", step)
    bench.deliver()
    settle(bench)
    assert called(bench) == [], "its step is in an undecided cone"
    bench.answer("a")
    bench.deliver()
    assert not bench.undone(step)
    assert called(bench) == ["call"]
