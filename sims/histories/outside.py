"""The world outside a history: what tools have done there, each call once."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from protocol.action import UseTool
from protocol.agent.intents import IRREVERSIBLE
from protocol.event import ToolUsed
from sims.histories.ground import Ground
from sims.histories.node import Node
from sims.histories.requests import TOOLS


@dataclass
class WorldEffect:
    """One call as the outside world saw it."""

    intent: str
    tool: str
    active: bool = False
    calls: int = 0
    undos: int = 0


class Faulty(Ground, Protocol):
    """The history whose tools act on the world."""

    effects: dict[str, WorldEffect]

    def faulty(self) -> bool:
        """Tell whether faults still happen."""
        ...


class Outside:
    """What tools act on."""

    def __init__(self, world: Faulty) -> None:
        self._world = world
        self._rng = Random(f"{world.plan.seed}/tools")
        """What is requested fails by chance of its own."""

    def use(self, node: Node, order: UseTool) -> None:
        """A tool is called, undone, or asked whether a call has happened."""
        world = self._world
        effect = world.effects.setdefault(order.intent, WorldEffect(order.intent, order.tool))
        fails = world.faulty() and world.rng.random() < 0.05
        if order.verb == "check":
            node.feed(ToolUsed(order.intent, "check", "yes" if effect.active else "no", b"r"))
        elif order.verb == "call" and order.tool in TOOLS and self._rng.random() < 0.1:
            node.feed(ToolUsed(order.intent, "call", "failed", b"no"))
        elif order.verb == "call":
            assert not effect.active, f"{order.intent} called twice"
            effect.active, effect.calls = True, effect.calls + 1
            node.feed(ToolUsed(order.intent, "call", "done", b"r"))
        elif fails:
            node.feed(ToolUsed(order.intent, "undo", "failed"))
        else:
            assert order.tool not in TOOLS or TOOLS[order.tool][0] != IRREVERSIBLE, f"{order.intent} can't be undone"
            if effect.active:
                effect.undos += 1
            effect.active = False
            node.feed(ToolUsed(order.intent, "undo", "done"))
