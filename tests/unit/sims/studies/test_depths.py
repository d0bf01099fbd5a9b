"""How far to go back when it is not known which step went wrong: in worlds, and by policies."""

from dataclasses import dataclass

import pytest

from peer import Agent, Context, errors, handles
from peer.depths import BanditDepth, Costs, ExpectedDepth, FixedDepth, Found, HindsightDepth, cost_of
from sims.studies.depths import CASES, COSTS, GoingBack, policies, run
from sims.world import World


@dataclass
class Job:
    number: int
    is_wrong: bool = False


class Worker(Agent):
    """Counts, and counts wrong jobs wrongly the first time; each step hangs on the one before."""

    @handles(Job)
    async def work(self, message: Job, ctx: Context):
        value = -1000 if message.is_wrong and ctx.attempt == 1 else message.number
        self.state["sum"] = self.state.get("sum", 0) + value
        ctx.send("mirror", value)


class Mirror(Agent):
    @handles(int)
    async def add(self, message: int, ctx: Context):
        self.state["sum"] = self.state.get("sum", 0) + message


def go_through(world, policy, ages, start=40):
    """Let faults of these ages happen one after the other, and go back; return what each has cost."""
    done = 0

    def work(count):
        nonlocal done
        for _ in range(count):
            world.deliver("worker", Job(done))
            done += 1
        world.settle()

    work(start)
    found = []
    for age in ages:
        made = world.deliver("worker", Job(done, is_wrong=True))
        done += 1
        work(age - 1)
        (wrong,) = world.steps_of(made)
        going = GoingBack(world, "worker", policy)
        while wrong not in going.back():
            # It shows again.
            work(COSTS.again)
            (wrong,) = world.steps_of(made)
        found.append(going.over(wrong, age))
    assert world.state("worker") == world.state("mirror") == {"sum": sum(range(done))}
    world.check()
    return found


def test_what_going_back_costs_in_a_world_is_what_the_table_reckons_with():
    ages = [1, 3, 8, 9, 20, 2]
    with World(3, hosts=2) as world:
        world.spawn("worker", Worker)
        world.spawn("mirror", Mirror)
        found = go_through(world, FixedDepth(4).begin(1), ages)
    assert [one.age for one in found] == ages
    assert [one.cost for one in found] == [cost_of(4, age, COSTS) for age in ages]
    assert [one.cost for one in found][:2] == [3, 1]


def test_a_learner_in_a_world_goes_as_far_as_faults_are_old():
    with World(3, hosts=2, checking="end") as world:
        world.spawn("worker", Worker)
        world.spawn("mirror", Mirror)
        found = go_through(world, HindsightDepth(first=2).begin(1), [12] * 4, start=30)
    assert [one.depth for one in found] == [2, 12, 12, 12]
    assert found[0].cost > 2 * COSTS.miss
    assert [one.cost for one in found[1:]] == [0, 0, 0]


# -- policies ----------------------------------------------------------------------------------------------------------


def test_a_way_that_is_too_short_is_in_vain_and_one_too_long_undoes_the_innocent():
    costs = Costs(again=4, miss=10)
    assert cost_of(8, 8, costs) == 0
    assert cost_of(12, 8, costs) == 4
    # 8 in vain and 10 besides; by then it is 13 old, and 16 go back.
    assert cost_of(8, 9, costs) == 8 + 10 + 3
    assert cost_of(1, 6, costs) == (1 + 10) + (2 + 10) + (4 + 10) + (8 + 10) + (16 + 10) + (32 - 26)


def test_the_formula_goes_further_the_later_faults_show_and_the_dearer_a_miss():
    def depth(mean, miss=10.0):
        return ExpectedDepth(mean, Costs(miss=miss)).begin(1).depth()

    assert depth(4) < depth(16) < depth(64)
    assert depth(16, miss=1.0) < depth(16, miss=200.0)


@pytest.mark.parametrize("case", ["told 8, is 40", "told 40, is 8", "8, later 60"])
def test_learners_do_better_than_a_formula_that_was_told_wrong(case):
    by = {
        name: sum(run(CASES[case], maker.begin(s), s) for s in range(3))
        for name, maker in policies(CASES[case]).items()
    }
    assert by["hindsight"] < by["bandit"] < by["formula"]


def test_a_bandit_ends_where_it_costs_least():
    policy = BanditDepth(first=2, most=64).begin(1)
    chosen = []
    for _ in range(300):
        chosen.append(policy.depth())
        policy.learn(Found(chosen[-1], 16, cost_of(chosen[-1], 16, COSTS)))
    assert chosen[0] == 2
    assert sum(depth == 16 for depth in chosen[-50:]) > 40


@pytest.mark.parametrize(
    ("maker", "said"),
    [(FixedDepth(0), "steps=0"), (ExpectedDepth(0), "mean_steps=0"), (BanditDepth(first=0), "first=0"),
     (HindsightDepth(remembers=0), "remembers=0")],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_named(maker, said):
    with pytest.raises(errors.ConfigInvalid, match=said):
        maker.begin(1)
