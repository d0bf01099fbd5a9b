"""A central orchestrator: exact, and told every step, and slow when there are many."""

import pytest

from sims.baselines.application import Application, Load
from sims.baselines.measures import Measured, measured
from sims.baselines.orchestrator import Orchestrator, Report, processes
from sims.baselines.rig import Rig, Terms
from tests.unit.sims.baselines.hand import Hand, full, setting


def run(agents: int, terms: Terms | None = None, seed: int = 2) -> Measured:
    return measured(Rig(Application(Load(agents=agents, seed=seed)), processes, terms).run(), "orchestrator")


def test_the_cone_is_undone_and_nothing_else():
    hand = Hand(processes(setting(full(3))))
    before = hand.work(1)
    wrong = hand.work(0, 1, 2)
    hand.deliver(0, 1)
    handled = hand.finish(1)
    after = hand.work(1)
    hand.wrong(0, wrong)
    hand.settle()
    assert hand.undone == {0: [wrong], 1: [handled]}
    assert 2 not in hand.running, "the message to 2 is refused"
    assert before < handled < after == hand.processes[1].value("k")
    assert not hand.ever_stopped


def test_what_ran_before_its_agent_heard_is_undone_too():
    hand = Hand(processes(setting(full(3))))
    wrong = hand.work(0, 1)
    hand.deliver(0, 3)
    hand.deliver(0, 1)
    first = hand.finish(1, 2)
    # The orchestrator does not know of 1's step yet when it is told.
    hand.wrong(0, wrong)
    hand.deliver(0, 3)
    hand.deliver(1, 2)
    second = hand.finish(2)
    hand.settle()
    assert hand.undone == {0: [wrong], 1: [first], 2: [second]}
    assert list(hand.running) == [0], "only the root's input is there again"


def test_inputs_run_again_only_when_the_whole_cone_is_undone():
    hand = Hand(processes(setting(full(2))))
    wrong = hand.work(0, 1)
    hand.deliver(0, 2)
    hand.deliver(0, 1)
    hand.finish(1)
    hand.deliver(1, 2)
    hand.wrong(0, wrong)
    hand.deliver(0, 2)
    hand.deliver(2, 0)
    assert 0 not in hand.running
    assert hand.processes[0].waiting() == 1
    hand.settle()
    assert 0 in hand.running


@pytest.mark.parametrize("agents", [10, 40])
def test_every_step_costs_a_message(agents: int):
    rig = Rig(Application(Load(agents=agents, seed=4)), processes)
    reports: list[Report] = []
    rig.watch = lambda _, __, frame: reports.append(frame.body) if isinstance(frame.body, Report) else None
    rig.run()
    ended = [step for step in rig.truth.steps.values() if step.ended_us >= 0]
    assert len(reports) == len(ended)
    orchestrator = rig.seats[-1].process
    assert isinstance(orchestrator, Orchestrator)
    assert orchestrator.reports == len(ended)


def test_it_is_the_bottleneck_where_reports_come_faster_than_it_handles_them():
    quick, slow = Terms(orchestrator_us=50), Terms(orchestrator_us=1_000)
    few, many = run(10, slow), run(80, slow)
    assert few.undone_after_s < 0.05
    assert many.undone_after_s > 4 * few.undone_after_s
    assert run(80, quick).undone_after_s < 0.05
