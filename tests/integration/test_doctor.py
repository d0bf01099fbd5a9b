"""The doctor on a cluster that runs, on one of which a host is gone, and where none runs."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from peer import Agent, Cluster, Context, handles
from peer.cli.main import app
from peer.doctor.finding import Finding
from peer.doctor.hosts import check_clocks, check_reached, check_versions, check_wire, seen_of


class Counter(Agent):
    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message


async def told(folder: Path) -> list[Finding]:
    async with Cluster.attach(folder) as cluster:
        seen = await seen_of(cluster)
        found = [*await check_reached(cluster, seen), *check_clocks(seen), *check_versions(seen)]
        return [*found, *check_wire(seen, cluster.host.notices)]


async def test_hosts_that_are_well_and_one_that_is_gone(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path, listen=True) as cluster:
        for name in ("a", "b", "c"):
            await cluster.spawn(name, Counter)
        found = await told(tmp_path)
        assert [(each.check, each.verdict) for each in found] == [
            ("reached", "ok"), ("clocks", "ok"), ("versions", "ok"), ("wire", "ok")]  # fmt: skip
        await cluster.kill("b", for_good=True)
        found = await told(tmp_path)
        wrong = [each for each in found if each.verdict == "fail"]
        assert {each.check for each in wrong} == {"reached"}
        assert any(each.text.startswith("host-2 does not answer at tcp://") for each in wrong)
        assert all(each.remedy for each in wrong)


async def ran(folder: Path) -> None:
    async with Cluster("local", folder=folder, listen=True) as cluster:
        await cluster.spawn("a", Counter)


def test_where_no_cluster_runs_it_tells_what_it_can(tmp_path: Path) -> None:
    asyncio.run(ran(tmp_path))
    done = CliRunner().invoke(app, ["doctor", str(tmp_path), "--json"])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    verdicts = {row["check"]: row["verdict"] for row in rows}
    assert {name: verdicts[name] for name in ("keys", "reached", "clocks", "versions", "wire")} == {
        "keys": "ok", **dict.fromkeys(("reached", "clocks", "versions", "wire"), "unknown")}  # fmt: skip
    assert "no cluster runs" in next(row["text"] for row in rows if row["check"] == "clocks")
    assert done.exit_code == 0
    (tmp_path / "host-1" / "host.key").chmod(0o644)
    done = CliRunner().invoke(app, ["doctor", str(tmp_path)])
    assert done.exit_code == 1
    assert "chmod 600" in done.stdout
