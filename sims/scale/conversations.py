"""What it costs to undo a conversation from its first step: each turn answers the last, so it is one long chain."""

import time
from dataclasses import dataclass

from msgspec import Struct

from peer import Agent, Context, handles
from protocol.ids import AgentId
from protocol.records import VoteRecord
from sims.metrics import rollback_costs
from sims.world import World

TURNS = (10, 100, 1000, 2000, 10_000)
SEED = 1


class Turn(Struct, frozen=True):
    """A turn, after which so many are left."""

    left: int


class Talker(Agent):
    """Answers each turn, until none is left.

    Args:
        other: whom it answers.
    """

    def __init__(self, other: AgentId) -> None:
        self.other = other

    @handles(Turn)
    async def answer(self, message: Turn, ctx: Context) -> None:
        """Note it, and answer."""
        self.state["left"] = message.left
        if message.left:
            ctx.send(self.other, Turn(message.left - 1))


@dataclass(frozen=True)
class ConversationRow:
    """One conversation of two agents on two hosts, undone from its first step."""

    turns: int
    messages: int
    bytes: int
    votes: int
    """Durable ones, of both."""
    virtual_ms: float
    """From the proposal to the last elector's decision."""
    wall_s: float
    """What that took to simulate: one processor does the work of both hosts."""


def conversation(turns: int) -> ConversationRow:
    """Measure one conversation."""
    with World(SEED, 2, checking="end") as world:
        world.spawn("p", Talker, host="host-1", other="q")
        world.spawn("q", Talker, host="host-2", other="p")
        world.submit("p", Turn(turns - 1))
        world.settle(limit=float(60 + turns))
        began_s = time.perf_counter()
        outcome = world.rollback("p/1/1", inputs="discard")
        wall_s = time.perf_counter() - began_s
        assert len(outcome.undone) == turns, f"{len(outcome.undone)} of {turns} turns were undone"
        messages, sent = rollback_costs(world).get(outcome.proposal, (0, 0))
        votes = sum(isinstance(record, VoteRecord) for _, record in world.view().of(VoteRecord))
        return ConversationRow(turns, messages, sent, votes, outcome.seconds * 1000, wall_s)
