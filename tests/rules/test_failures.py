"""Rules ST-6 and ST-8: what becomes of an input whose handler has a policy of its own."""

from protocol.event import StepRan
from protocol.step import StepDraft
from tests.rules.bench import Bench

SECOND_US = 1_000_000


def fails(bench: Bench, error: str, rule: str = "", again_us: int | None = None, poison: bool = False) -> None:
    """Let the running handler of `a` fail."""
    draft = StepDraft(error=error, rule=rule, again_us=again_us, poison=poison)
    bench.feed("a", StepRan(bench.runs.pop("a").run, draft))


def test_st6_under_a_rule_of_a_policy_the_policy_gives_up_and_says_when_an_input_runs_again() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    for failures in range(2 * bench.limits.failures_max):
        assert bench.runs["a"].failed == ({"net": failures} if failures else {})
        fails(bench, "down", "net", 7 * SECOND_US)
        bench.elapse(7 * SECOND_US - 1)
        assert "a" not in bench.runs
        bench.elapse(1)
    fails(bench, "down", "net", poison=True)
    assert [letter.why for letter in bench.machines["a"].core.dead] == ["down"]


def test_st6_failures_under_one_rule_do_not_count_under_another() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    for rule in ("net", "", "net", ""):
        fails(bench, "boom", rule, 0 if rule else None)
        bench.elapse(SECOND_US)
    assert bench.runs["a"].failed == {"net": 2, "": 2}
    fails(bench, "boom")
    assert [letter.why for letter in bench.machines["a"].core.dead] == ["boom"]


def test_st8_what_waits_counts_under_no_rule() -> None:
    bench = Bench("a")
    bench.submit("a", b"x")
    fails(bench, "down", "net", 0)
    bench.elapse(SECOND_US)
    for _ in range(5):
        bench.ran("a", error="not ready", waits=True)
        bench.elapse(60 * SECOND_US)
    assert bench.runs["a"].failed["net"] == 1
    bench.ran("a")
    bench.submit("a", b"y")
    assert bench.runs["a"].failed == {}
