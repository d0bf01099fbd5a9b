"""What if? A branch of the bank in the middle of the run: one payment is another one there, and nothing leaves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peer import Attached, Cluster, StepId
from peer.cluster.branching import Difference
from sims.scenarios.payments import accounts
from sims.scenarios.payments.accounts import post_entry, send_out
from sims.scenarios.payments.checks import Check
from sims.scenarios.payments.data import Payment


@dataclass(frozen=True)
class Tried:
    """What came of a branch."""

    payment: Payment
    differences: list[Difference]
    calls: int
    """Calls of tools in the branch: each was answered in its tool's place."""
    is_quiet: bool
    """Whether the bank's entries stand as they did before it."""

    @property
    def less_cents(self) -> int:
        """By how much the payment is less there."""
        return self.payment.cents - self.payment.cents // 2

    def told(self) -> str:
        """Return what there is to say of it."""
        was, is_ = self.payment.cents / 100, self.payment.cents // 2 / 100
        return f"payment {self.payment.number} of ${is_:,.2f}, not ${was:,.2f}: nothing left it"


async def try_another(
    cluster: Cluster | Attached, handled: Sequence[tuple[Payment, StepId | None]], books: Path
) -> Tried | None:
    """In a branch, have the last settled of some payments be one of half as much, and compare; None if none is settled.

    Args:
        cluster: the bank, with nothing under way.
        handled: payments that no audit has followed, and by which of intake's steps each was handled.
        books: those of the bank.
    """
    state = await cluster.state("auditor")
    found = [(payment, step) for payment, step in handled if step and state.get(("end", payment.number)) == "settled"]
    if not found:
        return None
    payment, step = found[-1]
    assert step is not None
    before = accounts.entries(books)
    async with cluster.branch(
        step, amend=replace(payment, cents=payment.cents // 2), reason="what if it had been half as much?",
        tools={post_entry: _posted, send_out: _posted},
    ) as branch:  # fmt: skip
        await branch.quiet()
        differences = await branch.compare()
        calls = len(branch.calls)
    return Tried(payment, differences, calls, before == accounts.entries(books))


def _posted(*_: Any, **__: Any) -> str:
    return "posted in a branch"


def judge_branch(tried: Tried, payments: Sequence[Payment]) -> Check:
    """Check that the branch differs by that payment, and by what follows from it, and that nothing has left it."""
    customer = tried.payment.customer
    own = {customer, f"customer-{customer}", *(each.number for each in payments if each.customer == customer)}
    # Both go on with what was audited before: the bank sends it out, and in the branch nothing leaves.
    found = [each for each in tried.differences if each.key[0] != "sent"]
    strays = [each for each in found if not own & set(each.key)]
    balances = [each.there - each.here for each in found if each.key == ("balance", f"customer-{customer}")]
    ends = [each for each in found if each.key[0] == "end"]  # with another mean, later payments may end otherwise
    name = "a branch with another decision differs in what follows from it, and nothing leaves it"
    if strays or not tried.is_quiet or not tried.calls or not (ends or balances == [tried.less_cents]):
        return Check(name, False, f"{balances}, not {tried.less_cents}; astray: {strays[:3]}; {tried}")
    agents = {each.agent for each in found}
    detail = f"{len(found)} values of {len(agents)} agents differ; calls answered in their tools' place: {tried.calls}"
    return Check(name, True, detail)
