"""One step with so many consequences, among agents who write to each other in a certain shape: undone in a world."""

import logging
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.suite.form import Row, ratio
from peer import Agent, Context, handles
from protocol.ids import AgentId
from sims.metrics import rollback_costs
from sims.topology import topology_of
from sims.world import World

SEED = 1
AGENTS_PER_HOST = 20
SHAPES: dict[str, tuple[str, int]] = {
    "ring": ("ring", 1),
    "hub": ("star", 4),
    "random": ("random-regular", 3),
    "DAG": ("dag", 3),
    "small world": ("small-world", 3),
    "conversation": ("ring", 1),
}
"""By name: who writes to whom, as `sims.topology` has it, and how many messages a step sends at most."""


class Share(Struct, frozen=True):
    """Something from which so many more steps are to follow."""

    left: int


class Passer(Agent):
    """Shares what it gets among those that it writes to, in turn.

    Args:
        targets: whom it writes to.
        width: to how many of them at once, at most.
    """

    def __init__(self, targets: Sequence[AgentId], width: int) -> None:
        self.targets = tuple(targets)
        self.width = width

    @handles(Share)
    async def passes(self, message: Share, ctx: Context) -> None:
        """Note it, and pass it on: each of the next ones gets its part."""
        self.state["left"] = message.left
        parts = min(self.width, len(self.targets), message.left)
        for at in range(parts):
            # Of n messages that are left, each of the parts is one, and has its part of the rest to pass on.
            rest = message.left - parts
            part = rest // parts + (1 if at < rest % parts else 0)
            ctx.send(self.targets[(message.left + at) % len(self.targets)], Share(part))


def shape_row(shape: str, agents: int, cone: int) -> Row:
    """Measure one rollback.

    Args:
        shape: one of `SHAPES`.
        agents: how many there are; in a conversation there are two.
        cone: how many steps are undone; fewer where the shape comes to an end before.
    """
    logging.getLogger("ebbtide").setLevel(logging.CRITICAL + 1)
    name, width = SHAPES[shape]
    count = 2 if shape == "conversation" else agents
    graph = {0: (1,), 1: (0,)} if shape == "conversation" else topology_of(name, count, SEED)
    if shape == "ring":
        # One way round: there and back would be a conversation of all.
        graph = {at: ((at + 1) % count,) for at in graph}
    hosts = max(2, -(-count // AGENTS_PER_HOST))
    with World(SEED, hosts, checking="end") as world:
        for at, targets in graph.items():
            world.spawn(
                f"a{at}", Passer, host=f"host-{at % hosts + 1}", targets=tuple(f"a{other}" for other in targets),
                width=width,
            )  # fmt: skip
        world.run(until=0.5)
        world.submit("a0", Share(cone - 1))
        world.settle(limit=60.0 + cone)
        outcome = world.rollback("a0/1/1", inputs="discard")
        messages, size = rollback_costs(world).get(outcome.proposal, (0, 0))
    undone = len(outcome.undone)
    return {
        "shape": shape, "cone": undone, "participants": len(outcome.agents), "messages": messages,
        "a_step": ratio(messages, undone), "bytes": size, "virtual_ms": outcome.seconds * 1000,
    }  # fmt: skip
