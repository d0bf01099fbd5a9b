"""Rules RQ-1 to RQ-3, as far as agents' machines go; the rest of them is tried in worlds."""

import pytest

from protocol.action import Tell
from protocol.agent.intents import PERSON
from protocol.agent.requesting import Requesting, RequestSeen
from protocol.event import CutWanted, ReleaseAsked, Settled, StepRan, ToolWanted
from protocol.ids import StepId
from protocol.limits import NEVER_US
from protocol.step import Hold, Input, OutputDraft, Request, StepDraft
from tests.rules.bench import Bench


def requested(bench: Bench, kind: str, wait_us: int = NEVER_US, hold: Hold | None = None) -> StepId:
    """Have agent `a` take a step that requests a tool."""
    bench.submit("a", b"x")
    order = bench.runs.pop("a")
    out = OutputDraft("a", b"answer", None, wait_us, Request("post", kind, b"args", False, None, hold))
    bench.feed("a", StepRan(order.run, StepDraft(outputs=(out,))))
    return order.step


def settle(bench: Bench) -> None:
    """Cut and commit an epoch."""
    for name in bench.machines:
        bench.feed(name, CutWanted(1))
    for name in bench.machines:
        bench.feed(name, Settled(1, (), 0))


def waiting(bench: Bench) -> RequestSeen:
    """Return the request that waits."""
    (seen,) = bench.machines["a"].requesting.waiting()
    return seen


def say(bench: Bench, number: int, verb: str, value: bytes = b"") -> None:
    """Ann says something of the request that waits."""
    bench.feed("a", ReleaseAsked(number, waiting(bench).name, "", "ann", verb, value))


def told(bench: Bench) -> list[Tell]:
    return [tell for _, tell in bench.told if tell.notice in ("asked", "approved", "rejected", "answered")]


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


def test_rq1_a_new_request_has_those_that_wait_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    real = Requesting._look_at

    def look_at(self: Requesting, requests: list[tuple[Input, Request]]) -> None:
        looked.append(len(requests))
        real(self, requests)

    monkeypatch.setattr(Requesting, "_look_at", look_at)
    bench = Bench("a")
    for _ in range(20):
        requested(bench, "irreversible")
    assert sum(looked) <= 25, "each once, and a few when they begin"
    settle(bench)
    assert len(called(bench)) == 20


def test_rq2_what_is_irreversible_waits_for_its_step_to_be_settled_over_crashes() -> None:
    bench = Bench("a")
    step = requested(bench, "irreversible")
    bench.crash("a")
    assert called(bench) == []
    settle(bench)
    assert called(bench) == ["call"]
    assert bench.machines["a"].core.holds(step) == "has let post go, which can't be undone"
    assert bench.machines["a"].requesting.floor == 1
    bench.crash("a")
    assert bench.machines["a"].requesting.floor == 1
    assert bench.runs["a"].input.payload == b"answer", "nobody can tell whether it happened: it is not repeated"
    assert called(bench) == ["call"]


def test_rq2_somebody_may_let_it_go_before_and_that_is_durable_when_it_is_said() -> None:
    bench = Bench("a", "z")
    step = requested(bench, "irreversible")
    seen = waiting(bench)
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
    seen = waiting(bench)
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


HOLD = Hold("may it go?", (("ann", 0), ("bob", 1_000_000)))


def test_rq3_what_is_held_waits_for_a_person_and_then_for_its_step_to_be_settled_over_crashes() -> None:
    bench = Bench("a")
    requested(bench, "irreversible", hold=HOLD)
    settle(bench)
    assert called(bench) == []
    assert [(tell.notice, tell.detail) for tell in told(bench)] == [("asked", "ann: may it go?")]
    bench.elapse(1_000_001)
    assert told(bench)[-1].detail == "bob: may it go?"
    say(bench, 1, "approve")
    assert bench.replies[-1].value == "approved"
    assert called(bench) == ["call"]


def test_rq3_an_approval_stands_in_the_log_and_is_not_that_of_a_re_run() -> None:
    bench = Bench("a", "z")
    step = requested(bench, "irreversible", hold=HOLD)
    say(bench, 1, "approve")
    bench.crash("a")
    assert waiting(bench).approved == "ann"
    assert called(bench) == [], "its step is not settled"
    bench.propose("z", step, inputs="retry")
    bench.deliver()
    out = OutputDraft("a", b"answer", None, NEVER_US, Request("post", "irreversible", b"args", False, None, HOLD))
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(outputs=(out,))))
    assert waiting(bench).approved is None
    settle(bench)
    assert called(bench) == []


def test_rq3_a_rejection_is_an_answer_and_nothing_is_called_over_crashes() -> None:
    bench = Bench("a")
    requested(bench, "compensable", hold=HOLD)
    say(bench, 1, "reject", b"no money")
    bench.crash("a")
    run = bench.runs["a"]
    assert run.input.payload == b"answer"
    bench.feed("a", ToolWanted(run.run, "post", "", b"", None, False, was_requested=True))
    assert (bench.resumed[-1][1].answer, bench.resumed[-1][1].result) == ("failed", b"no money")
    assert called(bench) == []


def test_rq3_a_question_is_answered_by_a_person_alone_and_a_re_run_that_asks_the_same_has_the_answer() -> None:
    bench = Bench("a", "z")
    step = requested(bench, PERSON, hold=HOLD)
    settle(bench)
    assert called(bench) == []
    say(bench, 1, "approve")
    assert "asks for an answer" in bench.replies[-1].error
    say(bench, 2, "answer", b"42")
    assert bench.replies[-1].value == "answered"
    run = bench.runs.pop("a")
    bench.feed("a", ToolWanted(run.run, "post", "", b"", None, False, was_requested=True))
    assert (bench.resumed[-1][1].answer, bench.resumed[-1][1].result) == ("done", b"42")
    bench.feed("a", StepRan(run.run, StepDraft()))
    bench.propose("z", step, inputs="retry")
    bench.deliver()
    out = OutputDraft("a", b"answer", None, NEVER_US, Request("post", PERSON, b"args", False, None, HOLD))
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(outputs=(out,))))
    run = bench.runs.pop("a")
    assert run.input.payload == b"answer"
    bench.feed("a", ToolWanted(run.run, "post", "", b"", None, False, was_requested=True))
    assert (bench.resumed[-1][1].answer, bench.resumed[-1][1].result) == ("done", b"42")
    assert called(bench) == []


@pytest.mark.parametrize("crashes", [False, True])
def test_rq3_the_first_word_counts_said_again_it_is_the_same_and_another_is_refused(crashes: bool) -> None:
    bench = Bench("a")
    requested(bench, "irreversible", hold=HOLD)
    name = waiting(bench).name
    say(bench, 1, "approve")
    if crashes:
        bench.crash("a")
    bench.feed("a", ReleaseAsked(2, name, "", "ann", "approve"))
    assert bench.replies[-1].value == "approved"
    bench.feed("a", ReleaseAsked(3, name, "", "bob", "reject"))
    assert f"{name} of a is approved by ann already" in bench.replies[-1].error


def test_rq3_what_is_said_of_a_step_that_is_undone_meanwhile_is_refused() -> None:
    bench = Bench("a", "z")
    step = requested(bench, "irreversible", hold=HOLD)
    name = waiting(bench).name
    bench.propose("z", step)
    bench.deliver()
    bench.feed("a", ReleaseAsked(3, name, "", "ann", "approve"))
    assert "its step is undone" in bench.replies[-1].error


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_rq3_what_nobody_answers_in_time_goes_as_was_said_before(verb: str) -> None:
    bench = Bench("a")
    requested(bench, "compensable", hold=HOLD._replace(default=verb, default_us=5_000_000, value=b"too late"))
    bench.elapse(4_000_000)
    assert called(bench) == []
    assert "a" not in bench.runs
    name = waiting(bench).name
    bench.crash("a")
    bench.elapse(1_100_000)
    assert called(bench) == (["call"] if verb == "approve" else [])
    assert ("a" in bench.runs) == (verb == "reject")
    bench.feed("a", ReleaseAsked(3, name, "", "ann", verb))
    assert "by default already" in bench.replies[-1].error or verb == "approve"
