"""Watchers in worlds: what they are told of steps that nobody can name any more ends no watch."""

from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.detectors.suspicion import Suspicion
from peer.watching import Always, Watcher
from protocol.ids import StepId
from sims.world import World


class Worker(Agent):
    @handles(int)
    async def work(self, message: int, ctx: Context) -> None:
        self.state["last"] = message


class Guard(Watcher):
    policy = Always("undo")


def test_a_suspicion_of_a_step_that_no_log_tells_of_is_over_and_the_next_one_is_decided() -> None:
    with World(seed=1, hosts=2) as world:
        world.spawn("worker", Worker)
        world.spawn("guard", Guard)
        world.submit("worker", 1, 2)
        world.settle()
        world.submit("guard", Suspicion((StepId("worker", 1, 9),)), Suspicion((StepId("worker", 1, 2),)))
        world.settle()
        cases = {key[1]: value for key, value in world.state("guard").items() if key[0] == "case"}
        assert cases["worker/1/9"][:2] == ["over", "ignore"]
        assert "nobody can tell what undoing it would undo: no step worker/1/9" in cases["worker/1/9"][4]
        assert cases["worker/1/2"][:2] == ["over", "1 steps undone"]
        assert world.machine("guard").core.dead == []
