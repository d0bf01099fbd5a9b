"""The bank's agents: intake -> risk -> compliance -> ledger, and an auditor who hears of every payment's end.

What an audit has found right when the books were closed is sent out to other banks, by a tool that nobody can undo:
once the ledger's step is settled by a checkpoint, and where it is much, once the treasurer agrees. So what a fault has
posted, and an audit notices, is undone before any of it has left.
"""

from dataclasses import dataclass
from math import log10

from peer import Agent, Approval, Context, Result, Saga, SagaFailed, handles
from sims.scenarios.payments.accounts import post_entry, send_out
from sims.scenarios.payments.data import Payment
from sims.scenarios.payments.fault import Fault

FLOOR_CENTS = 7_500
"""A payment up to $75 is never held by risk."""
MEANS = 3
"""Above that, one of more than three times what the customer has paid on average is."""
MONTH_LIMIT_CENTS = 12_500
"""What compliance lets one customer pay in a month."""
SECURED = 90
"""Percent of a settled payment that is secured at once, and no exposure any more."""
MUCH_CENTS = 6_000
"""What is more is sent out only if the treasurer agrees."""
TREASURER = "treasurer"
OVERDRAFT_CENTS = 10_000
"""What a savings account may owe."""


@dataclass(frozen=True)
class Scored:
    """What a scorer saw, and thought: enough to check it by."""

    limit_cents: int
    mean_cents: int
    step: str
    """The scorer's step, so that others can name it."""


@dataclass(frozen=True)
class Cleared:
    """Risk lets a payment pass."""

    payment: Payment
    scored: Scored


@dataclass(frozen=True)
class Settle:
    """Compliance lets a payment pass."""

    payment: Payment
    scored: Scored


@dataclass(frozen=True)
class Settled:
    """A payment is in the books."""

    payment: Payment
    scored: Scored


@dataclass(frozen=True)
class SendOut:
    """Payments that an audit has found right: their money leaves the bank."""

    payments: list[tuple[int, int, int]]
    """Of each its number, customer and cents."""


@dataclass(frozen=True)
class Held:
    """A payment waits for a person; by `risk` or by `compliance`."""

    payment: Payment
    scored: Scored
    by: str


@dataclass(frozen=True)
class NothingToSettle:
    """A payment of amount 0: noted, not posted."""

    payment: Payment


@dataclass(frozen=True)
class Move:
    """Money that one customer saves for another: out of one account, into the other, or neither."""

    number: int
    payer: int
    payee: int
    cents: int
    to: str
    """The payee's ledger."""
    is_closed: bool
    """The payee's account is closed, as their ledger will find."""


@dataclass(frozen=True)
class Deposit:
    """The second half of a transfer."""

    saga: Saga
    move: Move


@dataclass(frozen=True)
class Deposited:
    """Both halves are posted."""

    move: Move


@dataclass(frozen=True)
class AuditDue:
    """The auditor's round is due."""

    round: int
    is_last: bool = False
    """Nothing is handed in any more: whatever is wrong by now is undone, whoever else looks for that."""
    is_complete: bool = False
    """All that was handed in has ended: nothing that is right by now hangs on what the auditor has not heard of."""


IN_SPACE_MAX = 24
"""Compliance agents, and ledgers, at most: each of these has what all of those have put into the space they share."""


@dataclass(frozen=True)
class Team:
    """How many of each kind there are."""

    risk: int
    compliance: int
    ledgers: int

    @classmethod
    def of(cls, agents: int) -> "Team":
        """Share out a number of agents, intake and auditor among them: a third of each kind, and of a large number
        all others are scorers.

        Raises: ValueError, if they are fewer than 5.
        """
        if agents < 5:
            raise ValueError(f"{agents} agents: the bank needs at least 5")
        risk = (agents - 2 + 2) // 3
        compliance = min((agents - 2 - risk + 1) // 2, IN_SPACE_MAX)
        ledgers = min(agents - 2 - risk - compliance, IN_SPACE_MAX)
        return cls(agents - 2 - compliance - ledgers, compliance, ledgers)

    def risk_of(self, customer: int) -> str:
        """Return the scorer of a customer."""
        return f"risk-{customer % self.risk + 1}"

    def compliance_of(self, customer: int) -> str:
        """Return who keeps a customer's limits."""
        return f"compliance-{customer // 7 % self.compliance + 1}"

    def ledger_of(self, customer: int) -> str:
        """Return who keeps a customer's account."""
        return f"ledger-{customer // 3 % self.ledgers + 1}"


def saga_name(number: int) -> str:
    """Return the name of a transfer's saga."""
    return f"transfer {number}"


def legs_of(move: Move) -> tuple[tuple[int, str, int], tuple[int, str, int]]:
    """Return what a transfer posts: under which number, which no payment has, to which account, and cents."""
    payer, payee = f"savings-{move.payer}", f"savings-{move.payee}"
    return (-2 * move.number, payer, -move.cents), (-2 * move.number - 1, payee, move.cents)


def policy(mean_cents: int) -> int:
    """Return the most that passes risk for a customer whose payments have this mean."""
    return max(FLOOR_CENTS, MEANS * mean_cents)


class Intake(Agent):
    """Takes payments in, and sorts out those that move no money."""

    def __init__(self, team: list[int]) -> None:
        self.team = Team(*team)

    @handles(Payment)
    async def payment(self, message: Payment, ctx: Context) -> None:
        if message.cents <= 0:
            ctx.send("auditor", NothingToSettle(message))
        else:
            ctx.send(self.team.risk_of(message.customer), message)


class RiskScorer(Agent):
    """Holds payments that are unlike what a customer has paid before."""

    def __init__(self, team: list[int], fault: dict[str, object] | None = None) -> None:
        self.team = Team(*team)
        self.fault = None if fault is None else Fault(**fault)  # type: ignore[arg-type]
        self.slack = 1.0
        """By what its threshold is multiplied; another value is a fault."""

    @handles(Payment)
    async def score(self, message: Payment, ctx: Context) -> None:
        key = ("paid", message.customer)
        count, total = self.state.get(key, (0, 0))
        mean = total // count if count else 0
        limit = round(policy(mean) * self.slack)
        if self.fault is not None and ctx.attempt == 1 and self.fault.strikes(message.number):
            # What comes back from a rollback is scored with the reference threshold: the scorer is repaired.
            limit = self.fault.corrupted(limit)
        scored = Scored(limit, mean, str(ctx.step))
        sure = min(0.99, abs(message.cents - limit) / limit)
        ctx.report(
            confidence=sure, model="threshold", score=message.cents / limit,
            size=log10(message.cents), ratio=log10(message.cents / limit),
        )  # fmt: skip
        if message.cents > limit:
            self.state["held", message.number] = message.cents
            ctx.send("auditor", Held(message, scored, "risk"))
            return
        self.state[key] = (count + 1, total + message.cents)
        ctx.send(self.team.compliance_of(message.customer), Cleared(message, scored))


class Compliance(Agent):
    """Keeps each customer under a limit a month."""

    spaces = ("exposure",)

    def __init__(self, team: list[int]) -> None:
        self.team = Team(*team)

    @handles(Cleared)
    async def check(self, message: Cleared, ctx: Context) -> None:
        payment = message.payment
        key = ("month", payment.customer, payment.date[:7])
        paid = self.state.get(key, 0)
        if paid + payment.cents > MONTH_LIMIT_CENTS:
            self.state["held", payment.number] = payment.cents
            ctx.send("auditor", Held(payment, message.scored, "compliance"))
            return
        self.state[key] = paid + payment.cents
        ctx.space("exposure").counter(payment.customer).add(payment.cents)
        ctx.send(self.team.ledger_of(payment.customer), Settle(payment, message.scored))


class Ledger(Agent):
    """Posts payments to accounts, and sends money out."""

    spaces = ("exposure",)
    approvals = (Approval(TREASURER, tool=send_out, when=lambda wanted: wanted.args[2] > MUCH_CENTS),)

    def __init__(self, books: str) -> None:
        self.books = books

    @handles(Settle)
    async def settle(self, message: Settle, ctx: Context) -> None:
        payment = message.payment
        await self._post(ctx, payment.number, f"customer-{payment.customer}", payment.cents)
        ctx.space("exposure").counter(payment.customer).add(-payment.cents * SECURED // 100)
        ctx.send("auditor", Settled(payment, message.scored))

    @handles(SendOut)
    async def send_out(self, message: SendOut, ctx: Context) -> None:
        for number, customer, cents in message.payments:
            ctx.request(send_out, self.books, f"customer-{customer}", cents, number, then=self.sent)

    async def sent(self, result: Result, ctx: Context) -> None:
        """Note what has left, or why not: the treasurer has not agreed."""
        self.state["sent", result.args[3]] = result.value or result.error

    @handles(Move)
    async def move(self, message: Move, ctx: Context) -> None:
        """Begin a saga: it is committed when both halves are posted, and the payer does not owe too much."""
        async with ctx.saga(saga_name(message.number), failed=self.not_moved, checks=(self.owes_little,)) as saga:
            await self._post(ctx, *legs_of(message)[0])
            ctx.send(message.to, Deposit(saga.ref, message))

    @handles(Deposit)
    async def deposit(self, message: Deposit, ctx: Context) -> None:
        async with ctx.saga(message.saga):
            if message.move.is_closed:
                raise ValueError(f"the account of customer {message.move.payee} is closed")
            await self._post(ctx, *legs_of(message.move)[1])
            ctx.send(message.saga.agent, Deposited(message.move))

    @handles(Deposited)
    async def deposited(self, message: Deposited, ctx: Context) -> None:
        _, account, _ = legs_of(message.move)[0]
        self.state["checked"] = self.state["balance", account]
        await ctx.saga(saga_name(message.move.number)).commit()

    def owes_little(self, ctx: Context) -> bool | str:
        """Check a transfer before it is committed."""
        cents = self.state["checked"]
        return cents >= -OVERDRAFT_CENTS or f"the payer would owe {-cents} cents"

    async def not_moved(self, failed: SagaFailed, ctx: Context) -> None:
        """Note that a transfer was called off; all that it had posted is reversed."""
        self.state["not moved", failed.message.number] = failed.why

    async def _post(self, ctx: Context, number: int, account: str, cents: int) -> None:
        balance = self.state.get(("balance", account), 0)
        await ctx.call(post_entry, self.books, account, cents, number)
        self.state["balance", account] = balance + cents


class Auditor(Agent):
    """Hears how every payment ended, and checks the scorers by what they say that they saw."""

    spaces = ("exposure",)

    def __init__(self, team: list[int] | None = None) -> None:
        self.team = None if team is None else Team(*team)
        """Whose ledgers send money out; None: none is sent."""

    @handles(Settled)
    async def settled(self, message: Settled, ctx: Context) -> None:
        self._note(message.payment, message.scored, held=False)
        self.state["end", message.payment.number] = "settled"
        if self.team is not None:
            # A key for each: so the next audit hangs on all of them, and none of them on another.
            self.state["to send", message.payment.number] = (message.payment.customer, message.payment.cents)

    @handles(Held)
    async def held(self, message: Held, ctx: Context) -> None:
        self._note(message.payment, message.scored, held=message.by == "risk")
        self.state["end", message.payment.number] = f"held by {message.by}"

    @handles(NothingToSettle)
    async def nothing(self, message: NothingToSettle, ctx: Context) -> None:
        self.state["end", message.payment.number] = "nothing to settle"

    def _note(self, payment: Payment, scored: Scored, held: bool) -> bool:
        """Note a step that was against the policy; tell whether it was."""
        is_wrong = held != (payment.cents > policy(scored.mean_cents))
        if is_wrong:
            self.state["wrong"] = [*self.state.get("wrong", []), [scored.step, payment.customer]]
        return is_wrong

    @handles(AuditDue)
    async def audit(self, message: AuditDue, ctx: Context) -> None:
        """Have every step undone that has scored against the policy; what hangs on it goes with it.

        Where all is right and complete, what was posted is sent out. Where it is not complete, a payment that is right
        may hang on one that is not and has been slow to end: if it were sent out, nobody could undo that one any more.
        """
        wrong = self.state.get("wrong", [])
        if not wrong:
            # Run again it would see what came after it, and not yet again what was wrong of that: the next one sends.
            if message.is_complete and ctx.attempt == 1:
                self._send_out(ctx)
            return
        exposure = {customer: ctx.space("exposure").counter(customer).value for _, customer in wrong}
        ctx.rollback(
            *dict.fromkeys(step for step, _ in wrong),
            inputs="retry",
            reason=f"{len(wrong)} payments were scored against the policy",
            evidence={"floor": FLOOR_CENTS, "exposure": exposure},
        )

    def _send_out(self, ctx: Context) -> None:
        if self.team is None:
            return
        by_ledger: dict[str, list[tuple[int, int, int]]] = {}
        for key in [key for key in self.state if key[0] == "to send"]:
            customer, cents = self.state.pop(key)
            by_ledger.setdefault(self.team.ledger_of(customer), []).append((key[1], customer, cents))
        for ledger, payments in sorted(by_ledger.items()):
            ctx.send(ledger, SendOut(payments))
