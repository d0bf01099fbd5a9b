"""Launching: an agent finds its own log however the program is ordered and packed, and what can't start says why."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from peer import Agent, AgentBroken, AgentSpec, CallerError, Cluster, ConfigInvalid, Context, LogBusy, handles
from peer.errors import AddressBusy
from peer.host.host import Host


class Keeper(Agent):
    def __init__(self, **options: Any) -> None:
        self.options = options

    @handles(int)
    async def keep(self, message: int, ctx: Context) -> None:
        self.state["n"] = message


NEEDS: dict[str, bool] = {}


class Needy(Agent):
    def __init__(self) -> None:
        if not NEEDS.get("gpu"):
            raise RuntimeError("no GPU")

    @handles(int)
    async def keep(self, message: int, ctx: Context) -> None:
        self.state["n"] = message


class Exiting(Agent):
    def __init__(self) -> None:
        raise SystemExit(3)


async def numbers(cluster: Cluster, names: str) -> dict[str, Any]:
    return {name: (await cluster.state(name)).get("n") for name in names}


@pytest.mark.parametrize("per_host", [1, 2])
@pytest.mark.parametrize(
    ("names", "per_host_again"), [("abc", 1), ("bac", 1), ("bc", 1), ("abc", 3), ("zabc", 1), ("cz", 3), ("cba", 2)]
)
@pytest.mark.parametrize("together", [False, True])
async def test_each_agent_has_its_own_state_again_whatever_the_order_and_the_packing(
    tmp_path: Path, per_host: int, names: str, per_host_again: int, together: bool
) -> None:
    async with Cluster("local", folder=tmp_path, agents_per_actor=per_host) as cluster:
        for number, name in enumerate("abc", 1):
            await cluster.spawn(name, Keeper)
            await cluster.submit(name, number)
        await cluster.quiet()
    async with Cluster("local", folder=tmp_path, agents_per_actor=per_host_again) as cluster:
        if together:
            await cluster.spawn_all([AgentSpec(name, Keeper) for name in names])
        else:
            for name in names:
                await cluster.spawn(name, Keeper)
        wanted = {"a": 1, "b": 2, "c": 3}
        assert await numbers(cluster, names) == {name: wanted.get(name) for name in names}
        for name in names:
            await cluster.submit(name, 10)
        await cluster.quiet()
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn_all([AgentSpec(name, Keeper) for name in sorted({*names, *"abc"})])
        now = {**wanted, **dict.fromkeys(names, 10)}
        assert await numbers(cluster, "".join(sorted(now))) == dict(sorted(now.items()))


async def test_checkpoints_go_on_after_a_restart_in_another_order(tmp_path: Path) -> None:
    for names in ("ab", "zba"):
        async with Cluster("local", folder=tmp_path) as cluster:
            for name in names:
                await cluster.spawn(name, Keeper)
                await cluster.submit(name, 1)
            await cluster.quiet()
            before = (await cluster.epochs()).committed
            epochs = [await cluster.checkpoint() for _ in range(2)]
            assert epochs[0] > before
            assert len((await cluster.epochs()).view) == len(names)


async def test_a_folder_of_a_release_that_noted_hosts_alone_is_taken_over(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        for number, name in enumerate("ab", 1):
            await cluster.spawn(name, Keeper)
            await cluster.submit(name, number)
        await cluster.quiet()
    (tmp_path / "hosts.json").write_text(json.dumps(["host-1", "host-2"]))
    async with Cluster("local", folder=tmp_path) as cluster:
        for name in "ba":
            await cluster.spawn(name, Keeper)
        assert await numbers(cluster, "ab") == {"a": 1, "b": 2}


async def test_an_agent_whose_log_another_process_has_is_refused_by_the_folders_name(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as first:
        await first.spawn("a", Keeper)
        await first.submit("a", 1)
        await first.quiet()
        async with Cluster("local", folder=tmp_path) as second:
            with pytest.raises(LogBusy, match="host-1 is in use"):
                await second.spawn("a", Keeper)
        await first.submit("a", 2)
        await first.quiet()
        assert await numbers(first, "a") == {"a": 2}


async def test_a_host_that_was_killed_before_it_had_said_anything_begins_anew(tmp_path: Path) -> None:
    # As its first start leaves it: on the list, its folder made, its key not written yet.
    (tmp_path / "hosts.json").write_text(json.dumps({"host-1": {"agents": ["a"], "ran": False}}))
    (tmp_path / "host-1").mkdir()
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("a", Keeper)
        await cluster.submit("a", 1)
        await cluster.quiet()
        assert await numbers(cluster, "a") == {"a": 1}


async def test_a_host_that_does_not_come_up_lets_go_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = Host.open

    async def fails(host: Host, *agents: Any, **options: Any) -> None:
        await opens(host, *agents, **options)
        raise AddressBusy("the port is in use")

    async with Cluster("local", folder=tmp_path) as first:
        monkeypatch.setattr(Host, "open", fails)
        with pytest.raises(AddressBusy):
            await first.spawn("a", Keeper)
        monkeypatch.undo()
    async with Cluster("local", folder=tmp_path) as second:
        await second.spawn("a", Keeper)
        assert await numbers(second, "a") == {"a": None}


@pytest.mark.parametrize("per_host", [1, 3])
@pytest.mark.parametrize(("kind", "said"), [(Needy, "RuntimeError: no GPU"), (Exiting, "SystemExit: 3")])
async def test_a_class_that_raises_is_told_in_one_line_and_its_name_can_be_used_again(
    per_host: int, kind: type[Agent], said: str
) -> None:
    NEEDS.clear()
    async with Cluster("local", agents_per_actor=per_host) as cluster:
        for before in ("first", ""):
            if before:
                await cluster.spawn(before, Keeper)
            with pytest.raises(AgentBroken, match=rf"agent 'f' did not start: .*{said}") as caught:
                await cluster.spawn("f", kind)
            assert "\n" not in str(caught.value)
            assert re.search(r", at \S*test_launches\.py:\d+ in __init__\. Nothing of its log", str(caught.value))
        NEEDS["gpu"] = True
        await cluster.spawn("f", Needy)
        await cluster.submit("f", 1)
        await cluster.spawn("after", Keeper)
        await cluster.quiet()
        assert await numbers(cluster, "f") == {"f": 1}
        assert cluster.agents == ["first", "f", "after"]
        await cluster.checkpoint()


async def test_options_that_a_class_does_not_take_are_told_in_one_line() -> None:
    async with Cluster("local") as cluster:
        with pytest.raises(AgentBroken, match=r"agent 'f' .*Needy\(\.\.\.\) raised TypeError: .*'colour'\. Nothing"):
            await cluster.spawn("f", Needy, colour="red")


@pytest.mark.parametrize("backend", ["local", "ray"])
async def test_a_folder_that_can_not_be_made_or_is_none_is_told_before_anything_starts(
    tmp_path: Path, backend: str
) -> None:
    (tmp_path / "file").touch()
    for folder in ("/proc/ebbtide", tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ConfigInvalid, match=re.escape(f"folder={str(folder)!r} can't be used")) as caught:
            async with Cluster(backend, folder=folder):
                pass
        assert "Nothing was started" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_one_of_many_that_can_not_start_stops_no_other() -> None:
    NEEDS.clear()
    async with Cluster("local", agents_per_actor=2) as cluster:
        with pytest.raises(AgentBroken, match="'f'"):
            await cluster.spawn_all([AgentSpec("a", Keeper), AgentSpec("f", Needy), AgentSpec("b", Keeper)])
        assert cluster.agents == ["a", "b"]
        for name in cluster.agents:
            await cluster.submit(name, 1)
        await cluster.quiet()
        assert await numbers(cluster, "ab") == {"a": 1, "b": 1}


async def test_one_name_twice_at_once_is_launched_once() -> None:
    async with Cluster("local") as cluster:
        ends = await asyncio.gather(*(cluster.spawn("t", Keeper) for _ in range(3)), return_exceptions=True)
        assert [end for end in ends if end == "t"] == ["t"]
        assert all(isinstance(end, CallerError) for end in ends if end != "t")
        assert cluster.agents == ["t"]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a" * 201, "\ud800", "ext:x", "a\n", None, 5])
async def test_what_is_no_name_is_refused_before_anything_starts(tmp_path: Path, name: Any) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        with pytest.raises(CallerError, match="Nothing was started"):
            await cluster.spawn(name, Keeper)
    assert not list(tmp_path.glob("host-*"))


@pytest.mark.parametrize("kind", [object, int, "Keeper", None, lambda: None])
async def test_what_is_no_agent_is_refused_before_anything_starts(tmp_path: Path, kind: Any) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        with pytest.raises(CallerError, match=r"no subclass of ebbtide\.Agent"):
            await cluster.spawn("a", kind)
    assert not list(tmp_path.glob("host-*"))


async def test_copies_on_more_hosts_than_there_are_is_told_once_when_inputs_begin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told() -> list[str]:
        return [line for line in caplog.messages if "are to keep copies" in line]

    async with Cluster("local", durability="replicated(2)") as cluster:
        await cluster.spawn_all([AgentSpec("a", Keeper), AgentSpec("b", Keeper)])
        assert told() == []
        await cluster.submit("a", 1)
        await cluster.submit("a", 2)
        assert len(told()) == 1
        assert told()[0].startswith(
            "2 other hosts are to keep copies, and there are 1: fewer disks may be lost than that"
        )
        await cluster.spawn("c", Keeper)
        await cluster.submit("a", 3)
        assert len(told()) == 1


async def test_an_agent_whose_class_raises_once_finds_its_log_again(tmp_path: Path) -> None:
    NEEDS.clear()
    NEEDS["gpu"] = True
    for life in range(3):
        NEEDS["gpu"] = life != 1
        async with Cluster("local", folder=tmp_path) as cluster:
            await cluster.spawn("a", Keeper)
            if life == 1:
                with pytest.raises(AgentBroken):
                    await cluster.spawn("f", Needy)
                continue
            await cluster.spawn("f", Needy)
            assert await numbers(cluster, "f") == {"f": 7 if life else None}
            await cluster.submit("f", 7)
            await cluster.quiet()
