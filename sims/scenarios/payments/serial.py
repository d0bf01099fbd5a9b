"""The oracle of values: the same agents with no fault, one message after the other, with no protocol at all.

Where the outcome depends on order, it takes the serial order of the surviving steps: of the messages that wait, that is
handled next whose step came first. Messages from one agent to another may overtake each other, where a host was down
or a step ran again, so an order of payments would not do.
"""

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peer import Agent
from peer.agents.tool import Tool
from sims.scenarios.payments import accounts
from sims.scenarios.payments.agents import Auditor, Compliance, Intake, Ledger, RiskScorer, Team
from sims.scenarios.payments.data import Payment

Order = Mapping[tuple[str, int], int]
"""By agent and the number of a payment, the place of the step that handled it."""


@dataclass
class World:
    """What a run came to."""

    balances: dict[str, int] = field(default_factory=dict)
    """Cents by account, from the books."""
    ledgers: dict[str, int] = field(default_factory=dict)
    """Cents by account, from the ledgers' own state."""
    exposure: dict[int, int] = field(default_factory=dict)
    holds: dict[int, str] = field(default_factory=dict)
    """Payment -> who holds it."""
    ends: dict[int, str] = field(default_factory=dict)
    """Payment -> how it ended, as the auditor has it."""


class _Counter:
    def __init__(self, totals: dict[Any, Any], key: Any) -> None:
        self._totals, self._key = totals, key

    def add(self, amount: int) -> None:
        self._totals[self._key] = self._totals.get(self._key, 0) + amount

    @property
    def value(self) -> int:
        return self._totals.get(self._key, 0)


class _Space:
    def __init__(self, totals: dict[Any, Any]) -> None:
        self._totals = totals

    def counter(self, key: Any) -> _Counter:
        return _Counter(self._totals, key)


class _Ctx:
    """What a handler is given, with nothing behind it."""

    attempt = 1
    evidence = None

    def __init__(self, runner: "_Serial", name: str, number: int) -> None:
        self._runner = runner
        self._number = number
        self.step = f"{name}/0/0"

    def send(self, receiver: str, message: Any) -> None:
        self._runner.send(receiver, self._number, message)

    async def call(self, tool: Tool[..., Any], *args: Any) -> Any:
        self._runner.calls += 1
        return tool.function(*args, intent=f"serial/{self._runner.calls}")

    def space(self, name: str) -> _Space:
        return _Space(self._runner.spaces.setdefault(name, {}))

    def report(self, confidence: float | None = None, **scores: float) -> None:
        pass


class _Serial:
    def __init__(self, team: Team, books: Path, order: Order) -> None:
        parts = [team.risk, team.compliance, team.ledgers]
        self.agents: dict[str, Agent] = {"intake": Intake(parts), "auditor": Auditor()}
        self.agents |= {f"risk-{n}": RiskScorer(parts) for n in range(1, team.risk + 1)}
        self.agents |= {f"compliance-{n}": Compliance(parts) for n in range(1, team.compliance + 1)}
        self.agents |= {f"ledger-{n}": Ledger(str(books)) for n in range(1, team.ledgers + 1)}
        for agent in self.agents.values():
            agent.state = {}  # type: ignore[assignment]
        self.waiting: list[tuple[int, int, str, int, Any]] = []
        """A heap: place, how many came before, receiver, number of the payment, message."""
        self.sent = 0
        self.order = order
        self.spaces: dict[str, dict[Any, Any]] = {}
        self.calls = 0

    def send(self, receiver: str, number: int, message: Any) -> None:
        # What no surviving step makes a place for is handled when it comes.
        place = self.order.get((receiver, number), -1)
        self.sent += 1
        heapq.heappush(self.waiting, (place, self.sent, receiver, number, message))

    async def run(self, payments: Sequence[Payment]) -> None:
        for payment in payments:
            self.send("intake", payment.number, payment)
        while self.waiting:
            _, _, receiver, number, message = heapq.heappop(self.waiting)
            agent = self.agents[receiver]
            await getattr(agent, type(agent).handlers[type(message)])(message, _Ctx(self, receiver, number))


def play(payments: Sequence[Payment], order: Order, team: Team, books: Path) -> World:
    """Run payments through the bank, each of their steps in its place, and return what it comes to."""
    serial = _Serial(team, books, order)
    asyncio.run(serial.run(payments))
    states = {name: dict(agent.state) for name, agent in serial.agents.items()}
    world = collect(states, serial.spaces.get("exposure", {}))
    world.balances = accounts.balances(books)
    return world


def collect(states: dict[str, dict[Any, Any]], exposure: dict[Any, Any]) -> World:
    """Sort agents' states into a world; the books are left to the caller."""
    world = World(exposure={customer: cents for customer, cents in exposure.items() if cents})
    for name, state in states.items():
        for key, value in state.items():
            if key[0] == "held":
                world.holds[key[1]] = name
            elif key[0] == "balance" and value:
                world.ledgers[key[1]] = value
            elif key[0] == "end":
                world.ends[key[1]] = value
    return world
