"""On a real Ray: what keeps a host or an agent from starting is one line, as it is in one process."""

import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import ray_agents
from ray_agents import Front, Pay

from peer import Agent, AgentBroken, BackendFailed, CallerError, Cluster, LogBusy

pytestmark = pytest.mark.ray


class Needy(Agent):
    def __init__(self, gpus: int = 0) -> None:
        self.share = 1 / gpus


class Optional(Agent):
    def __init__(self, lock: Any = None) -> None:
        self.lock = lock


async def test_a_class_that_raises_is_told_in_one_line_with_its_place_and_stops_no_other() -> None:
    async with Cluster("ray") as cluster:
        with pytest.raises(AgentBroken) as caught:
            await cluster.spawn("f", Needy)
        said = str(caught.value)
        assert said.startswith("agent 'f' did not start: Needy(...) raised ZeroDivisionError: division by zero, at ")
        assert "test_ray_starts.py:" in said
        assert "\n" not in said
        await cluster.spawn("f", Needy, gpus=2)
        await cluster.spawn("front", Front)


async def test_what_can_not_be_sent_to_a_process_is_refused_by_the_agents_name() -> None:
    async with Cluster("ray") as cluster:
        with pytest.raises(CallerError, match=r"^agent 'f': its class or options can't be sent .*lock.* Nothing was"):
            await cluster.spawn("f", Optional, lock=threading.Lock())
        await cluster.spawn("f", Optional, lock="no")


async def test_a_module_that_rays_processes_do_not_have_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("only_here")
    kind = type("Only", (Front,), {"__module__": "only_here"})
    module.Only = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "only_here", module)
    async with Cluster("ray") as cluster:
        with pytest.raises(
            BackendFailed, match=r"^host-1 \(of f\) did not start: .*No module named 'only_here'"
        ) as caught:
            await cluster.spawn("f", kind)
        assert "\n" not in str(caught.value)
        await cluster.spawn("g", ray_agents.Front)


async def test_a_log_that_another_process_has_is_told_as_in_one_process(tmp_path: Path) -> None:
    async with Cluster("ray", folder=tmp_path) as first:
        await first.spawn("front", Front)
        async with Cluster("ray", folder=tmp_path) as second:
            with pytest.raises(LogBusy, match="host-1 is in use by process"):
                await second.spawn("front", Front)
        await first.submit("front", Pay(1))
        assert (await first.status("front")).host
