"""Another peer comes later: it finds the hosts by their folder, proves that it belongs, and asks what any peer can."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, AgentUnknown, BackendFailed, CallerError, Cluster, ConfigInvalid, Context, handles
from peer.backends.admission import addresses_in
from peer.trust import authority
from protocol.fact import State

BACKENDS = ["local", pytest.param("ray", marks=pytest.mark.ray)]


class Counter(Agent):
    @handles(int)
    async def add(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        if self.name == "a":
            ctx.send("b-2", message)


NAMES = ["a", "b-2", "b-10"]


def cluster_in(folder: Path, backend: str = "local") -> Cluster:
    return Cluster(backend, folder=folder, **({"listen": True} if backend == "local" else {}))


async def launched(cluster: Cluster) -> None:
    for name in NAMES:
        await cluster.spawn(name, Counter)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_whoever_attaches_can_ask_what_any_peer_can(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where hosts on Ray find the agents
    async with cluster_in(tmp_path, backend) as cluster:
        await launched(cluster)
        async with Cluster.attach(tmp_path) as one, Cluster.attach(str(tmp_path)) as other:
            assert one.agents == other.agents == NAMES
            assert one.host.host_id != other.host.host_id
            await one.submit("a", 1, 2)
            await other.submit("a", 3)
            await one.quiet()
            assert await other.state("b-2") == {"sum": 6}
            epoch = await one.checkpoint()
            outcome = await other.rollback("a/1/2", inputs="discard")
            assert outcome.committed
            await one.quiet()
            assert await cluster.state("b-2") == {"sum": 4}
            assert (await one.restore(epoch)).epoch == epoch
            assert (await other.epochs()).committed == epoch
            assert await one.effects() == []
            with pytest.raises(AgentUnknown, match="b-2"):
                await one.status("b-3")
        await cluster.submit("a", 5)
        await cluster.quiet()
        with pytest.raises(CallerError, match="has ended"):
            await one.quiet()


async def test_another_process_attaches_over_several_cells_and_its_goodbye_is_heard(tmp_path: Path) -> None:
    program = (
        "import asyncio, json, sys\n"
        "from ebbtide import Cluster\n"
        "cells = asyncio.new_event_loop()\n"
        "cluster = cells.run_until_complete(Cluster.attach(sys.argv[1]).start())\n"
        "cells.run_until_complete(cluster.submit('b-10', 7))\n"
        "cells.run_until_complete(cluster.quiet())\n"
        "state = cells.run_until_complete(cluster.state('b-10'))\n"
        "print(json.dumps([cluster.host.host_id, state, cluster.agents]))\n"
        "cells.run_until_complete(cluster.detach())\n"
    )
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        runs = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        printed, said = await runs.communicate()
        assert runs.returncode == 0, said.decode()
        host, state, agents = json.loads(printed)
        assert (state, agents) == ({"sum": 7}, NAMES)
        async with asyncio.timeout(20):
            while cluster.host.neighbours.machine.standing(host) != State.LEFT:
                await asyncio.sleep(0.02)


async def refused(folder: Path, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as found:
        async with asyncio.timeout(15), Cluster.attach(folder):
            raise AssertionError("it was let in")
    assert "\n" not in str(found.value)


async def test_nothing_to_attach_to_is_one_line_within_seconds(tmp_path: Path) -> None:
    await refused(tmp_path / "none", ConfigInvalid, "is not there. Nothing was started")
    (tmp_path / "file").touch()
    await refused(tmp_path / "file", ConfigInvalid, "is a file, and no folder")
    (tmp_path / "empty").mkdir()
    await refused(tmp_path / "empty", ConfigInvalid, "authority of a cluster, is not there")
    run = tmp_path / "run"
    async with cluster_in(run) as cluster:
        await launched(cluster)
        was = addresses_in(run)
    await refused(run, BackendFailed, "no cluster runs in .*no host has noted there")
    # As a host that was killed leaves it.
    (run / "host-1" / "address.json").write_text(json.dumps({"host": "a", "address": was["host-1"].address, "pid": 1}))
    await refused(run, BackendFailed, r"nobody listens where its hosts were \(host-1 at tcp")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_whoever_cant_read_the_authority_gets_nothing(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        (tmp_path / authority.FILE).chmod(0)
        await refused(tmp_path, ConfigInvalid, "can't be read: Permission denied")


async def test_a_wrong_authority_gets_nothing_and_is_told_from_nobody_being_there(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        (tmp_path / authority.FILE).write_bytes(b"x" * 32)
        refusals = (await cluster.costs("a")).refused
        await refused(tmp_path, BackendFailed, "does not answer within .* started with another authority")
        assert (await cluster.costs("a")).refused > refusals


async def test_hosts_that_are_gone_are_not_waited_for_and_one_that_is_silent_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        await cluster.kill("b-10", for_good=True)
        async with Cluster.attach(tmp_path) as attached:
            await attached.submit("a", 1)
            assert attached.agents == NAMES
        assert "no answer" not in caplog.text
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            stranger: Any = {"host": "0" * 16, "address": f"tcp://127.0.0.1:{silent.getsockname()[1]}", "pid": 1}
            (tmp_path / "host-9").mkdir()
            (tmp_path / "host-9" / "address.json").write_text(json.dumps(stranger))
            async with Cluster.attach(tmp_path) as attached:
                await attached.status("a")
        assert "no answer from host-9" in caplog.text


async def test_hosts_that_end_with_their_program_are_not_left_running(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await launched(cluster)
        with pytest.raises(CallerError, match="in this process, and end with it"):
            await cluster.detach()
        await cluster.submit("b-2", 1)


async def test_what_is_to_outlive_its_program_needs_a_folder_and_a_ray_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(CallerError, match="name the folder"):
        Cluster("ray", detached=True, address="192.0.2.1:6379")
    with pytest.raises(CallerError, match="ends with this program"):
        Cluster("ray", detached=True, folder=tmp_path)
    with pytest.raises(CallerError, match="knows no option 'detached'"):
        Cluster("local", detached=True, folder=tmp_path)
    with pytest.raises(CallerError, match="is not started"):
        await Cluster("local").detach()


async def test_whoever_is_attached_finds_hosts_again_that_were_all_started_anew(tmp_path: Path) -> None:
    async with cluster_in(tmp_path) as cluster:
        await cluster.spawn("b-2", Counter)
        one = await Cluster.attach(tmp_path).start()
        other = await Cluster.attach(tmp_path).start()
        await one.submit("b-2", 1)
        await one.quiet()
    async with cluster_in(tmp_path) as cluster:
        await cluster.spawn("b-2", Counter)
        before, after = {each.host_id for each in (one.host, other.host)}, addresses_in(tmp_path)
        assert before.isdisjoint(each.host for each in after.values())
        for each in (one, other):  # they know each other, and that both are alive
            async with asyncio.timeout(60):
                await each.submit("b-2", 2)
                await each.quiet()
            await each.detach()
        assert await cluster.state("b-2") == {"sum": 5}
