"""Who is first spoken to late differs in nothing from who was there from the beginning."""

from sims.baselines.application import Application
from sims.baselines.ebbtide import processes
from sims.baselines.measures import Measured, measured
from sims.baselines.rig import Rig, Terms
from sims.baselines.wide import CONE, Strangers, Trees, load_of, run_wide
from sims.virtual.chance import Constant

FIXED = Terms(delay=Constant(400), disk=Constant(500), checkpoint_us=0)
"""Nothing is drawn, so that what else is drawn meanwhile does not matter."""


def application(agents: int, seed: int) -> Application:
    return Trees(load_of(agents, seed), Strangers(agents, seed))


def from_the_beginning(agents: int, seed: int) -> Measured:
    return measured(Rig(application(agents, seed), processes, FIXED).run(), "ebbtide")


def but_for_births(found: Measured) -> dict[str, object]:
    """Return all but what was written: who was there from the beginning has written that it was born, then."""
    return {name: getattr(found, name) for name in found.__struct_fields__ if name != "written_bytes"}


def test_a_run_is_the_same_whether_all_agents_are_there_from_the_beginning_or_are_made_when_spoken_to() -> None:
    for agents, seed in ((60, 1), (4000, 2)):
        late, made = run_wide("ebbtide", agents, seed, FIXED)
        assert made < agents
        assert but_for_births(late) == but_for_births(from_the_beginning(agents, seed))


def test_a_tree_is_undone_by_as_many_messages_among_few_agents_as_among_many() -> None:
    few, many = (run_wide("ebbtide", agents, 1)[0] for agents in (1_000, 50_000))
    assert (few.undone, many.undone) == (CONE, CONE)
    assert few.rollback_messages == many.rollback_messages
    assert many.innocent == few.innocent == 0


def test_an_orchestrator_that_cannot_keep_up_is_late_for_the_rollback() -> None:
    few, many = (run_wide("orchestrator", agents, 1)[0] for agents in (1_000, 200_000))
    assert few.undone == many.undone == CONE
    assert many.undone_after_s > 20 * few.undone_after_s


def test_everybody_writes_to_three_others_that_are_drawn_among_all() -> None:
    strangers = Strangers(1_000_000, 7)
    for agent in (0, 1, 999_999):
        assert len({agent, *strangers[agent]}) == 4
        assert all(0 <= other < 1_000_000 for other in strangers[agent])
    assert len(strangers) == 1_000_000
    assert strangers[5] == Strangers(1_000_000, 7)[5]
