"""Rule NA-1, as far as agents' machines go; the rest of it is tried in worlds."""

from protocol.action import Seek
from protocol.event import Reached
from tests.rules.bench import Bench


def test_na1_a_name_that_nobody_has_is_sought_when_the_step_is_durable_and_in_every_life_until_it_is_heard_of() -> None:
    bench = Bench("a", "new", strange={"new"})
    bench.slow.add("a")
    bench.step("a", sends=(("new", b"make"), ("a", b"other")))
    assert bench.sought == []
    bench.sync("a")
    assert bench.sought == [("a", Seek("new"))]
    bench.crash("a")
    assert bench.sought == [("a", Seek("new"))] * 2
    bench.strange.discard("new")
    bench.feed("a", Reached("new"))
    bench.sync("a")
    bench.deliver()
    assert bench.ran("new")
    bench.crash("a")
    assert len(bench.sought) == 2, "it has left: whoever has the name handles it"
