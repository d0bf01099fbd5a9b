"""What can be asked about checkpoints afterwards: where each agent's cut stands, and which restores there were."""

import json
from pathlib import Path

from peer import Agent, Cluster, Context, handles
from peer.export import export


class Counter(Agent):
    @handles(int)
    def count(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


def written(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


async def test_cuts_and_restores_outlive_a_crash_and_are_exported(tmp_path: Path) -> None:
    async with Cluster("local", agents_per_actor=2, checkpoints_kept=100) as cluster:
        for name in ("a", "b", "idle"):
            await cluster.spawn(name, Counter)
        epochs = []
        for number in range(1, 4):
            await cluster.submit("a", number)
            await cluster.submit("b", number, number)
            await cluster.quiet()
            epochs.append(await cluster.checkpoint())
        await cluster.restore(epochs[0], reason="too far")
        await cluster.quiet()
        before = {agent: await cluster.cuts(agent) for agent in cluster.agents}
        await cluster.kill("a")
        await cluster.kill("idle")
        await cluster.quiet()
        after = {agent: await cluster.cuts(agent) for agent in cluster.agents}
        assert {agent: (cuts.last, cuts.cuts, cuts.restores) for agent, cuts in after.items()} == {
            agent: (cuts.last, cuts.cuts, cuts.restores) for agent, cuts in before.items()
        }
        await export(cluster, tmp_path)
    *checkpoints, restore = written(tmp_path, "checkpoints.jsonl")
    assert [line["epoch"] for line in checkpoints] == epochs
    for number, line in enumerate(checkpoints, 1):
        lasts = {agent: cut["last"] for agent, cut in line["cuts"].items()}
        assert lasts == {"a": f"a/1/{number}", "b": f"b/1/{2 * number}", "idle": None}
        assert line["begun"] == min(cut["time"] for cut in line["cuts"].values())
        steps = {step["step"]: step for step in written(tmp_path, "steps.jsonl")}
        for agent, cut in line["cuts"].items():
            inside = [
                step for step in steps.values() if step["step"].startswith(f"{agent}/") and step["time"] <= cut["time"]
            ]
            assert max((step["step"] for step in inside), default=None) == cut["last"]
            assert all(step["epoch"] < line["epoch"] for step in inside)
    assert (restore["number"], restore["epoch"], restore["reason"]) == (1, epochs[0], "too far")
    assert restore["decided"] <= restore["done"]
    undone = {name for name, step in steps.items() if step["retracted_by"] == "restore/1"}
    assert undone == {"a/1/2", "a/1/3", "b/1/3", "b/1/4", "b/1/5", "b/1/6"}


async def test_cuts_that_the_horizon_has_passed_are_forgotten_also_by_who_comes_back() -> None:
    async with Cluster("local", checkpoints_kept=2) as cluster:
        await cluster.spawn("a", Counter)
        epochs = []
        for number in range(10):
            await cluster.submit("a", number)
            await cluster.quiet()
            epochs.append(await cluster.checkpoint())
        assert [cut.epoch for cut in (await cluster.cuts("a")).cuts] == epochs[-2:]
        await cluster.kill("a")
        assert [cut.epoch for cut in (await cluster.cuts("a")).cuts] == epochs[-2:]
        assert await cluster.state("a") == {"sum": 45}


async def test_who_is_idle_sleeps_through_checkpoints_and_one_of_them_is_restored() -> None:
    async with Cluster("local", agents_per_actor=2, checkpoints_kept=4) as cluster:
        for name in ("busy", "idle"):
            await cluster.spawn(name, Counter)
        await cluster.checkpoint()
        for number in range(3):
            await cluster.submit("busy", number)
            epoch = await cluster.checkpoint()
        place = (await cluster.cuts("idle")).cuts[-1]
        assert (place.epoch, place.seq, place.time_us) == (epoch, 0, 0)
        status = await cluster.status("idle")
        assert (status.epoch, status.committed) == (epoch, epoch)
        # Woken: it makes the cut that it has slept through last, and then its step.
        await cluster.submit("idle", 7)
        await cluster.quiet()
        after = await cluster.checkpoint()
        places = {cut.epoch: cut for cut in (await cluster.cuts("idle")).cuts}
        assert (places[epoch].seq, places[after].seq) == (0, 1)
        assert places[after].time_us > places[epoch].time_us > 0
        await cluster.kill("idle")
        await cluster.restore(epoch)
        await cluster.quiet()
        assert (await cluster.state("idle"), await cluster.state("busy")) == ({}, {"sum": 3})
