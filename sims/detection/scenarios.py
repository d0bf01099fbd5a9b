"""What detectors are tried on: agents at work in a world, one kind of which may err."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.agents.suspecting import seen_in_log
from peer.detectors.seen import Seen
from protocol.ids import StepId
from sims.detection.injection import Injection, injected
from sims.scenarios.payments.agents import Auditor, Compliance, Intake, RiskScorer, Settle, Team
from sims.scenarios.payments.data import load
from sims.world import World

AT_ONCE = 50
"""Inputs that are handed in together."""
PAUSE_S = 0.05


@dataclass(frozen=True)
class Played:
    """One run: what detectors see of it, and the truth."""

    seen: tuple[Seen, ...]
    """The steps of the agents that are looked at, in the order in which they ran."""
    wrong: frozenset[StepId]
    times: dict[StepId, float]
    """When each step ran, in seconds."""


class Scenario(Protocol):
    """Agents at work, of which some may err."""

    name: str
    features: Sequence[str]
    """What steps report, for detectors to look at."""
    faults: dict[str, Injection]
    """By kind, the fault as it is put in; each run gives it a seed of its own."""

    def play(self, seed: int, fault: Injection) -> Played:
        """Run it, with a fault in it or with one of kind `none`."""
        ...


class _Books(Agent):
    """Takes what compliance lets pass, and does nothing with it: the books have nothing to tell of a scorer."""

    @handles(Settle)
    async def settle(self, message: Settle, ctx: Context) -> None:
        self.state["settled"] = self.state.get("settled", 0) + 1


@dataclass
class Payments:
    """The bank of the demo, whose scorers report how sure they are, and how large a payment is beside its limit."""

    payments: int = 1200
    scorers: int = 3
    name: str = "payments"
    features: Sequence[str] = ("ratio", "size", "confidence")

    def __post_init__(self) -> None:
        """Put the faults in the middle of what one scorer handles."""
        each = self.payments // self.scorers
        first, last = each * 2 // 5, each * 4 // 5
        self.faults = {
            "threshold": Injection("threshold", "slack", first=first, last=last, size=10.0),
            "drift": Injection("drift", "cents", first=first, last=last, size=4.0),
            "hallucination": Injection("hallucination", "cents", size=100.0, rate=0.02),
        }

    def play(self, seed: int, fault: Injection) -> Played:
        """Run the payments of a seed through the bank."""
        team = Team(self.scorers, 1, 1)
        parts = [team.risk, team.compliance, team.ledgers]
        faulty = injected(RiskScorer, fault)
        scorers = [f"risk-{number}" for number in range(1, self.scorers + 1)]
        with World(seed, hosts=2, checking="end") as world:
            world.spawn("intake", Intake, team=parts)
            world.spawn("auditor", Auditor)
            world.spawn("compliance-1", Compliance, team=parts)
            world.spawn("ledger-1", _Books)
            for name in scorers:
                world.spawn(name, faulty if name == scorers[0] else RiskScorer, team=parts)
            hand_in(world, "intake", load(self.payments, seed))
            return played(world, scorers, faulty.struck)


def hand_in(world: World, agent: str, messages: Sequence[Any]) -> None:
    """Hand inputs to an agent, some at once and then some more, and wait until nothing is under way."""
    for at in range(0, len(messages), AT_ONCE):
        world.submit(agent, *messages[at : at + AT_ONCE], at=world.now + PAUSE_S * at / AT_ONCE)
    world.settle()


def played(world: World, agents: Sequence[str], struck: Sequence[StepId]) -> Played:
    """Return what detectors see of agents of a world, and which of their steps were wrong."""
    records = sorted((record for agent in agents for record in world.steps(agent)), key=lambda each: each.time_us)
    times = {record.step: record.time_us / 1e6 for record in records}
    return Played(tuple(map(seen_in_log, records)), frozenset(struck), times)
