"""Values that are allowed singly, together: inputs, state, messages, dead letters, corrections, copies and spaces."""

from typing import Any

import pytest

from peer import Agent, AgentSpec, Cluster, Context, handles
from peer.host import pieces, wire


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of 20 kB stands for one of 512."""
    for module in (pieces, wire):
        monkeypatch.setattr(module, "PIECE_BYTES", 10_000)


BIG = 150_000


class Holder(Agent):
    spaces = ("s",)
    tries = 1

    @handles(bytes)
    async def take(self, message: bytes, ctx: Context) -> None:
        if message[0] == 0xFF:
            raise ValueError("not taken")
        self.state["k", message[0]] = message

    @handles(str)
    async def go(self, message: str, ctx: Context) -> None:
        for number in range(3):
            match message:
                case "send":
                    ctx.send("b", bytes([number]) * BIG)
                case "write":
                    self.state["w", number] = bytes([number]) * BIG
                case "share":
                    ctx.space("s").map("m")[number] = bytes([number]) * BIG
        if message == "read":
            self.state["read"] = {key: len(value) for key, value in ctx.space("s").map("m").items()}


def sizes(state: dict[Any, Any]) -> dict[Any, int]:
    return {key: len(value) for key, value in state.items()}


async def test_inputs_state_and_corrections_go_in_pieces() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Holder)
        await cluster.submit("a", *(bytes([number]) * BIG for number in range(3)))
        await cluster.quiet()
        assert sizes(await cluster.state("a")) == {("k", number): BIG for number in range(3)}
        roots = [f"a/1/{number}" for number in (1, 2, 3)]
        await cluster.rollback(*roots, inputs="amend", amend=dict.fromkeys(roots, b"x" * BIG))
        await cluster.quiet()
        assert sizes(await cluster.state("a")) == {("k", ord("x")): BIG}
        assert sum(len(page.records) for page in await cluster.steps("a")) == 6


async def test_messages_and_dead_letters_go_in_pieces() -> None:
    async with Cluster("local") as cluster:
        for name in "ab":
            await cluster.spawn(name, Holder)
        await cluster.submit("a", "send", *(b"\xff" * BIG for _ in range(3)))
        await cluster.quiet()
        assert sizes(await cluster.state("b")) == {("k", number): BIG for number in range(3)}
        assert [len(item.payload) >= BIG for item, _ in await cluster.dead_letters("a")] == [True] * 3


async def test_a_late_subscriber_of_a_large_space_gets_it_all() -> None:
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Holder)
        await cluster.submit("a", "share", "share")
        await cluster.quiet()
        await cluster.spawn("late", Holder)
        await cluster.quiet()
        await cluster.submit("late", "read")
        await cluster.quiet()
        assert (await cluster.state("late"))["read"] == dict.fromkeys(range(3), BIG)


async def test_a_large_record_is_with_the_backup_and_its_neighbours_go_on() -> None:
    async with Cluster("local", durability="replicated(1)", agents_per_actor=2, successor_s=0.3) as cluster:
        await cluster.spawn_all([AgentSpec(name, Holder) for name in "abcdef"])
        await cluster.submit("a", "write")
        for name in "bce":
            await cluster.submit(name, b"x")
        await cluster.quiet()
        assert sizes(await cluster.state("a")) == {("w", number): BIG for number in range(3)}
        # Its host is lost with its disk: the copy has it all.
        await cluster.kill("a", for_good=True, with_disk=True)
        await cluster.submit("a", b"y")
        await cluster.quiet()
        assert sizes(await cluster.state("a")) == {
            **{("w", number): BIG for number in range(3)},
            ("k", ord("y")): 1,
        }


async def test_a_step_that_holds_more_than_can_be_copied_is_refused_where_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocol.wire.STEP_BYTES_MAX", 2 * BIG)
    async with Cluster("local") as cluster:
        await cluster.spawn("a", Holder)
        await cluster.submit("a", b"x" * BIG, "write")
        await cluster.quiet()
        ((_, why),) = await cluster.dead_letters("a")
        assert "this step writes and sends 0 MB, more than 0. Nothing changed. Keep large values as bulky keys" in why
        assert sizes(await cluster.state("a")) == {("k", ord("x")): BIG}
