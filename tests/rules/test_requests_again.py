"""Rules RQ-1 to RQ-3 where a step runs again: what was said, or done, for its earlier run is not said of this one."""

import pytest

from protocol.agent.intents import PERSON
from protocol.event import CutWanted, Learned, ReleaseAsked, RestorePending, Settled, StepRan, ToolWanted
from protocol.ids import StepId
from protocol.limits import NEVER_US
from protocol.records import BaseRecord
from protocol.step import Hold, OutputDraft, Request, StepDraft
from tests.rules.bench import Bench
from tests.rules.test_loss import lose_last_step
from tests.rules.test_requests import HOLD, called, say, settle, waiting


def asking(bench: Bench, kind: str, args: bytes, hold: Hold | None = HOLD, key: str | None = None) -> None:
    """Have the step that runs at `a` request something."""
    request = Request("person" if kind == PERSON else "post", kind, args, False, None, hold)
    draft = StepDraft(outputs=(OutputDraft("a", b"answer", key, NEVER_US, request),))
    bench.feed("a", StepRan(bench.runs.pop("a").run, draft))


def asked(bench: Bench, kind: str = "compensable", hold: Hold | None = HOLD) -> StepId:
    """Have a step request something at `a`."""
    bench.submit("a", b"x")
    step = bench.runs["a"].step
    asking(bench, kind, b"args", hold)
    return step


def answer(bench: Bench, tool: str = "post") -> str:
    """Have the answer handled; return what its handler is told."""
    run = bench.runs.pop("a").run
    bench.feed("a", ToolWanted(run, tool, "", b"", None, False, was_requested=True))
    bench.feed("a", StepRan(run, StepDraft()))
    return bench.resumed[-1][1].answer


def again(bench: Bench, step: StepId) -> None:
    """Have a step undone; its re-run is under way."""
    bench.propose("z", step, inputs="retry")
    bench.deliver()
    assert bench.undone(step)


def done(bench: Bench) -> StepId:
    """Have a request approved and called, and its answer handled."""
    step = asked(bench)
    say(bench, 1, "approve")
    bench.used("a", bench.tools[-1][1])
    assert answer(bench) == "done"
    return step


def test_rq3_a_re_run_that_wants_other_arguments_asks_anew_and_the_earlier_call_is_undone() -> None:
    bench = Bench("a", "z")
    again(bench, done(bench))
    asking(bench, "compensable", b"other")
    assert called(bench) == ["call", "undo"]
    bench.used("a", bench.tools[-1][1])
    assert called(bench) == ["call", "undo"], "nobody has agreed to the other arguments"
    assert waiting(bench).args == b"other"
    say(bench, 2, "approve")
    assert called(bench) == ["call", "undo", "call"]
    assert bench.tools[-1][1].args == b"other"


def test_rq3_who_handles_the_rejection_of_other_arguments_is_not_told_of_the_earlier_call() -> None:
    bench = Bench("a", "z")
    again(bench, done(bench))
    asking(bench, "compensable", b"other")
    bench.used("a", bench.tools[-1][1])
    bench.crash("a")
    say(bench, 2, "reject", b"no")
    assert answer(bench) == "failed"
    assert called(bench) == ["call", "undo"], "nobody stands behind the earlier call"


def test_rq3_a_re_run_that_asks_a_person_is_not_answered_by_what_a_tool_has_done_for_its_lineage() -> None:
    bench = Bench("a", "z")
    again(bench, done(bench))
    asking(bench, PERSON, b"args")
    assert waiting(bench).kind == PERSON
    assert called(bench) == ["call", "undo"], "what the tool has done is nobody's"
    assert {use.tool for _, use in bench.tools} == {"post"}, "nobody has a tool for a person"


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_rq3_what_was_rejected_is_asked_anew_by_a_re_run_and_the_new_word_counts(verb: str) -> None:
    bench = Bench("a", "z")
    step = asked(bench)
    say(bench, 1, "reject", b"no")
    answer(bench)
    again(bench, step)
    asking(bench, "compensable", b"args")
    say(bench, 2, verb, b"no")
    assert (bench.replies[-1].request, bench.replies[-1].error) == (2, "")
    assert called(bench) == (["call"] if verb == "approve" else [])
    if verb == "reject":
        assert answer(bench) == "failed"


def test_rq2_of_two_releases_and_of_a_release_and_a_yes_the_first_counts() -> None:
    bench = Bench("a", "z")
    step = asked(bench, "irreversible")
    bench.asks_by_hand, bench.agrees = True, lambda agent: False
    bench.propose("z", step)
    bench.deliver()
    name = waiting(bench).name
    bench.feed("a", ReleaseAsked(1, name, "why", "ann"))
    bench.feed("a", ReleaseAsked(2, name, "why", "bob"))
    assert "is released by ann already" in bench.replies[-1].error
    bench.feed("a", ReleaseAsked(3, name, "", "bob", "approve"))
    assert "is released by ann already" in bench.replies[-1].error
    bench.feed("a", ReleaseAsked(4, name, "again", "ann"))
    bench.answer("a")
    bench.deliver()
    assert called(bench) == ["call"]
    assert [reply.request for reply in bench.replies if not reply.error and reply.request in (1, 4)] == [1, 4]


def test_rq2_what_was_let_go_for_a_step_that_a_disk_has_lost_stays_and_is_told() -> None:
    bench = Bench("a", "b")
    bench.step("b", sends=(("a", b"x"),))
    bench.deliver()
    asking(bench, "irreversible", b"args", None)
    bench.feed("a", ReleaseAsked(1, waiting(bench).name, "why", "ann"))
    bench.feed("a", Learned(lose_last_step(bench, "b")))
    bench.used("a", bench.tools[-1][1])
    assert bench.undone(StepId("a", 1, 1))
    bench.elapse(bench.limits.effect_wait_us + 1)
    assert "not-undone" in [tell.notice for _, tell in bench.told]


def test_rq1_what_is_called_off_while_it_is_called_comes_to_its_end() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    asking(bench, "irreversible", b"args", None, "key")
    settle(bench)
    assert called(bench) == ["call"]
    bench.submit("a", b"y")
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(cancels=("key",))))
    bench.used("a", bench.tools[-1][1])
    assert bench.machines["a"].under_way() == []


def test_rq1_what_has_become_of_a_call_is_not_forgotten_as_long_as_its_request_may_come_again() -> None:
    bench = Bench("a", "z")
    bench.submit("a", b"x")
    asking(bench, "irreversible", b"args", None, "key")
    settle(bench)
    bench.submit("a", b"y")
    canceller = bench.runs["a"].step
    bench.feed("a", StepRan(bench.runs.pop("a").run, StepDraft(cancels=("key",))))
    bench.used("a", bench.tools[-1][1])
    bench.propose("z", canceller, inputs="discard")
    bench.deliver()
    assert bench.undone(canceller)
    bench.feed("a", CutWanted(2))
    bench.feed("a", Settled(2, (), 2))
    assert answer(bench) == "done"


def test_rq2_what_has_come_back_lets_nothing_go_before_its_host_has_said_what_is_settled() -> None:
    bench = Bench("a")
    asked(bench, "irreversible")
    bench.feed("a", RestorePending(True))
    for epoch in (1, 2):
        bench.feed("a", CutWanted(epoch))
        bench.feed("a", Settled(epoch, (), epoch - 1))
    say(bench, 1, "approve")
    assert any(isinstance(record, BaseRecord) and record.committed == 2 for record in bench.disks["a"])
    bench.crash("a")
    assert called(bench) == [], "a restore that undoes it may be voted on"
    bench.feed("a", RestorePending(True))
    bench.feed("a", Settled(2, (), 1))
    assert called(bench) == []
    bench.feed("a", RestorePending(False))
    assert called(bench) == ["call"]
