"""Declared keys in a world: what is kept outside the logs outlives a host's crash, and a run is the same each time."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from peer import Agent, Context, Personal, bulky, derived, handles, secret
from sims.world import World


def half(key: Any, sources: Any) -> Any:
    return len(sources["scan"]) // 2


@dataclass
class Sign:
    name: Personal[str]


class Keeping(Agent):
    keys: ClassVar[dict[str, Any]] = {
        "scan": bulky(), "half": derived(half, of=("scan",)), "token": secret(load=lambda key: "hunter2"),
    }  # fmt: skip

    @handles(int)
    async def keep(self, message: int, ctx: Context) -> None:
        self.state["scan"] = b"x" * message
        self.state["token"] = "hunter2"

    @handles(Sign)
    def look(self, message: Sign, ctx: Context) -> None:
        self.state["seen"] = [self.state["half"], self.state["token"], message.name.value]
        self.state["name"] = message.name


def run(seed: int) -> str:
    with World(seed, hosts=2, checking="end") as world:
        world.spawn("a", Keeping, host="host-1")
        world.submit("a", 100_000)
        world.settle()
        world.crash("host-1")
        world.submit("a", Sign(Personal("Ada", "c-1")))
        world.settle()
        state = world.state("a")
        assert (len(state["scan"]), state["token"], state["name"].value) == (100_000, "hunter2", "Ada")
        assert state["seen"] == [50_000, "hunter2", "Ada"]
        world.check()
        return world.trace_hash()


@pytest.mark.parametrize("seed", [1, 2])
def test_declared_keys_in_a_world_outlive_a_crash_and_play_again_alike(seed: int) -> None:
    assert run(seed) == run(seed)
