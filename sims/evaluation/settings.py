"""What policies are tried on: agents at work in a world, one kind of which may err, and which a watcher may watch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.agents.request import Result
from peer.agents.tool import Call, Happened, NotHappened, tool
from protocol.ids import StepId
from sims.detection.injection import Injection, injected
from sims.scenarios.payments.agents import Auditor, Compliance, Intake, RiskScorer, Settle, Settled, Team
from sims.scenarios.payments.data import load
from sims.virtual.tools import outside, post
from sims.world import World


@dataclass(frozen=True)
class Staged:
    """What has been put into a world, and is at work once time passes."""

    looked_at: Sequence[str]
    """The agents whose steps a watcher is shown."""
    struck: Sequence[StepId]
    """The steps that the fault has struck: it grows as they run."""
    until_s: float
    """When the last input is handed in, in virtual seconds."""


class Setting(Protocol):
    """Agents at work, of which some may err."""

    name: str
    features: Sequence[str]
    """What steps report, for detectors to look at; the first is the one that charts look at."""
    faults: dict[str, Injection]
    """By kind, the fault as it is put in; each run gives it a seed of its own."""

    def stage(self, world: World, seed: int, fault: Injection, watched_by: str) -> Staged:
        """Put agents into a world, and their inputs on its schedule.

        Args:
            world: with hosts, and nobody on them but the watcher and its checker.
            seed: of the inputs.
            fault: or one of kind `none`.
            watched_by: the watcher's name, for the classes that are watched; empty: nobody watches.
        """
        ...


def _is_sent(call: Call) -> Happened | NotHappened:
    seen = outside().posted.get(call.intent)
    return Happened(seen.calls) if seen is not None else NotHappened()


@tool(kind="irreversible", check=_is_sent, name="sims.evaluation:send_out")
def send_out(payment: int, cents: int, *, intent: str) -> int:
    """Send a payment's money away: nobody can call it back."""
    return outside().post(intent, payment, cents)


class Books(Agent):
    """Posts what compliance lets pass, which can be undone, and has it sent out, which can't, once it is settled."""

    @handles(Settle)
    async def settle(self, message: Settle, ctx: Context) -> None:
        """Post a payment, and request that its money leaves."""
        payment = message.payment
        key = ("balance", payment.customer)
        await ctx.call(post, payment.number, payment.cents)
        self.state[key] = self.state.get(key, 0) + payment.cents
        ctx.request(send_out, payment.number, payment.cents, then=self.sent)
        ctx.send("auditor", Settled(payment, message.scored))

    async def sent(self, result: Result, ctx: Context) -> None:
        """Note what has left."""
        self.state["sent", result.args[0]] = result.value


@dataclass
class Payments:
    """The bank of the demo at a walking pace; a payment's money leaves at the checkpoint that settles it."""

    payments: int = 400
    scorers: int = 2
    pause_s: float = 0.02
    """Between one payment and the next."""
    name: str = "payments"
    features: Sequence[str] = ("ratio", "size", "confidence")

    def __post_init__(self) -> None:
        """Put the faults in the middle of what one scorer handles."""
        each = self.payments // self.scorers
        first, last = each * 2 // 5, each * 3 // 5
        self.faults = {
            "threshold": Injection("threshold", "slack", first=first, last=last, size=10.0),
            "drift": Injection("drift", "cents", first=first, last=last, size=6.0),
            "hallucination": Injection("hallucination", "cents", size=100.0, rate=0.03),
        }

    def stage(self, world: World, seed: int, fault: Injection, watched_by: str) -> Staged:
        """Put the bank into a world."""
        team = Team(self.scorers, 1, 1)
        parts = [team.risk, team.compliance, team.ledgers]
        watched: Any = type("WatchedScorer", (RiskScorer,), {"watched_by": watched_by} if watched_by else {})
        faulty = injected(watched, fault)
        scorers = [f"risk-{number}" for number in range(1, self.scorers + 1)]
        world.spawn("intake", Intake, team=parts)
        world.spawn("auditor", Auditor)
        world.spawn("compliance-1", Compliance, team=parts)
        world.spawn("ledger-1", Books)
        for name in scorers:
            world.spawn(name, faulty if name == scorers[0] else watched, team=parts)
        for number, payment in enumerate(load(self.payments, seed)):
            world.submit("intake", payment, at=self.pause_s * (number + 1))
        return Staged(scorers, faulty.struck, self.pause_s * self.payments)
