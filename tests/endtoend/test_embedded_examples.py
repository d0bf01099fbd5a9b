"""Other people's simulations with peers in them: the examples do what their pages say, and follow every rollback."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

ROOT = Path(__file__).parents[2]
LACKS = [("mesa_grid", "mesa"), ("pettingzoo_restore", "pettingzoo"), ("simpy_line", "simpy")]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# -- Mesa --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mesa_grid():
    return load("mesa_grid")


def until_the_assay(mesa_grid, seed):
    model = mesa_grid.GoldRush(seed)
    for _ in range(mesa_grid.ASSAY_AT - 1):
        model.step()
    return model


@pytest.mark.parametrize("seed", [1, 2])
def test_the_grid_is_as_it_was_but_for_what_the_false_gold_has_claimed(mesa_grid, seed):
    model = until_the_assay(mesa_grid, seed)
    before, acts = dict(model.claims), dict(model.claiming.standing)
    places = {name: figure.place for name, figure in model.figures.items()}
    assert model.worthless() > 0
    asked = model.assay()
    assert dict(model.claims) == before
    # No day passes: nothing but the rollback happens.
    model.world.settle()
    undone = [str(step) for step in asked.outcome.undone]
    claimed = {
        done.args[1:]
        for intent, done in acts.items()
        for record in model.world.steps(intent.split("/")[0])
        if intent in record.calls and str(record.step) in undone and done.result
    }
    assert mesa_grid.FALSE_GOLD in claimed
    assert model.worthless() == 0
    untouched = {at: who for at, who in before.items() if at not in claimed}
    assert {at: who for at, who in model.claims.items() if at in before and at not in claimed} == untouched
    assert all(at not in model.claims for at in claimed if model.ore[at] < mesa_grid.POOR)
    electors = {step.split("/")[0] for step in undone}
    for name, figure in model.figures.items():
        assert name in electors or figure.place == places[name]
        assert figure.cell.coordinate == figure.place
        assert figure in model.grid[figure.place].agents
    model.world.check()
    model.world.close()


def test_the_data_collector_shows_the_worthless_claims_come_and_go(mesa_grid):
    model = mesa_grid.main()
    worthless = list(model.datacollector.get_model_vars_dataframe()["worthless"])
    assert worthless == [0, 0, 0, 3, 3, 0, 0, 0, 0]
    assert len(model.claims) == len([act for act in model.claiming.standing.values() if act.result])


# -- PettingZoo --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restore():
    return load("pettingzoo_restore")


def test_pettingzoos_own_tests_accept_the_environment(restore, recwarn):
    parallel_api_test(restore.RestoreEnv(rounds=12), num_cycles=30)
    parallel_seed_test(lambda: restore.RestoreEnv(rounds=12), num_cycles=10)
    assert [str(warning.message) for warning in recwarn if "pettingzoo" in str(warning.filename)] == []


def trajectory(restore, seed):
    env = restore.RestoreEnv(rounds=12)
    seen, _ = env.reset(seed=seed)
    found = [{name: one.tolist() for name, one in seen.items()}]
    at = 0
    while env.agents:
        at += 1
        # All four actions come up, restores of both kinds among them.
        actions = {name: (seed + 3 * at + number * number) % 4 for number, name in enumerate(env.agents)}
        seen, rewards, _, _, infos = env.step(actions)
        found.append(({name: one.tolist() for name, one in seen.items()}, rewards, infos))
    found.append((env.world.trace_hash(), len(env.asked)))
    env.close()
    return found


def test_equal_seeds_give_equal_trajectories_and_others_do_not(restore):
    assert trajectory(restore, 5) == trajectory(restore, 5)
    assert trajectory(restore, 5)[-1] != trajectory(restore, 6)[-1]


def test_going_back_takes_the_neighbours_brick_too_and_no_other(restore):
    env = restore.RestoreEnv()
    env.reset(seed=3)
    idle = dict.fromkeys(env.agents, restore.RESTORE_LAST)
    env.step({**idle, "b0": restore.LAY_0, "b2": restore.LAY_1})
    env.step({**idle, "b0": restore.LAY_1})
    assert sorted(env.wall) == [
        ("b0", 0, 0), ("b0", 1, 1), ("b1", 0, 0), ("b1", 1, 1),
    ]  # fmt: skip
    env.step(idle)
    assert sorted(env.wall) == [("b0", 0, 0), ("b1", 0, 0)]
    env.world.settle()
    env.world.check()
    env.close()


def test_going_back_to_the_checkpoint_leaves_what_is_older(restore):
    env = restore.RestoreEnv()
    env.reset(seed=3)
    lay, wait = restore.LAY_1, restore.RESTORE_LAST
    everybody = dict.fromkeys(env.agents, wait)
    for _ in range(8):
        env.step({**everybody, "b0": lay})
    core = env.world.machine("b0").core
    assert core.committed > 0
    older = [at for at, choice in enumerate(env.decided["b0"]) if epoch_of(env, choice) < core.committed]
    assert 0 < len(older) < 8
    env.step({**everybody, "b0": restore.RESTORE_CHECKPOINT})
    assert sorted(at for who, at, _ in env.wall if who == "b0") == older
    env.close()


def epoch_of(env, choice):
    (step,) = env.world.steps_of(choice.made)
    return env.world.machine("b0").core.cone.record(step).epoch


def test_who_goes_back_does_better_than_who_does_not(restore):
    means = restore.main(episodes=3)
    assert means["careful"] > means["careless"] + 5


# -- SimPy -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simpy_line():
    return load("simpy_line")


@pytest.mark.parametrize(("inputs", "made"), [("discard", 13), ("retry", 16)])
def test_material_and_goods_follow_the_rollback(simpy_line, inputs, made, capsys):
    line = simpy_line.main(inputs)
    assert line.found == [6, 7, 8]
    assert len(line.shipped) == made
    assert set(line.shipped.values()) == {simpy_line.RIGHT}
    assert line.steel.level == simpy_line.STEEL - made * (simpy_line.CUT + simpy_line.WELD)
    assert line.paint.level == simpy_line.PAINT - made * simpy_line.COAT
    assert line.torch.count == 0
    assert "shipped 11, of which wrong 3" in capsys.readouterr().out


def test_an_order_that_is_rolled_back_while_it_is_welded_frees_its_torch(simpy_line):
    line = simpy_line.Line()
    line.env.run(until=1.0)
    assert line.torch.count == 1
    line.world.propose(*line.world.steps_of(line.orders[0]), inputs="discard")
    line.env.run(until=1.5)
    assert (line.torch.count, line.steel.level, line.jobs) == (0, simpy_line.STEEL, {})
    line.env.run(until=ORDERS_DONE)
    assert sorted(line.shipped) == list(range(1, simpy_line.ORDERS))
    line.world.close()


ORDERS_DONE = 45.0


# -- extras ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, _ in LACKS])
def test_an_example_runs_from_the_command_line(name):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"], capture_output=True, text=True, timeout=60, check=True
    )
    assert len(done.stdout.splitlines()) >= 2


@pytest.mark.parametrize(("name", "lacks"), LACKS)
def test_without_the_extra_the_remedy_is_named(name, lacks):
    code = (
        f"import runpy, sys; sys.modules[{lacks!r}] = None; runpy.run_path({str(ROOT / 'examples' / name)!r} + '.py')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: no module '{lacks}': it belongs to the extra for researchers."
        ' pip install "ebbtide[research]"'
    )


@pytest.mark.parametrize(("name", "lacks"), LACKS)
def test_an_example_run_without_the_extra_ends_with_one_line(name, lacks, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{lacks!r}] = None")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"no module '{lacks}': it belongs to the extra for researchers. pip install \"ebbtide[research]\"\n"
    )


def test_worlds_need_none_of_the_extras():
    extras = {"mesa", "pettingzoo", "gymnasium", "simpy", "matplotlib"}
    code = f"import sims.world, sims.ports, sys; print(sorted({extras} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
