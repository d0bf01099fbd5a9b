"""The world outside of the fault matrix: what tools have done to it, in order, and where one of them is struck.

It is the judge's only source on effects: nobody asks the agents' logs. Orders have numbers of the scenario, so that
two calls for one order are two, whatever they are called inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from peer.agents.tool import Call, Happened, NotHappened, Unknown, tool
from sims.virtual.tools import outside

NAME = "matrix"
FOREVER_S = 1e6
TOOL_TIMEOUT_S = 5.0
CRASH, RAISE, HANG, REFUSE, DENY = "crash", "raise", "hang", "refuse", "deny"
"""What may happen at a moment of a tool: its host dies; it raises; it hangs; it says that nothing has happened
(before), or that it does not know (a check)."""


@dataclass(frozen=True)
class Strike:
    """Something happens to the n-th call, undo or check, before or after it has taken effect."""

    verb: str
    when: str
    how: str
    nth: int = 1


@dataclass(frozen=True)
class Entry:
    """One thing that was done: `pay`, `refund`, `post`, `ship`, `unship`."""

    verb: str
    order: int
    amount: int
    intent: str


@dataclass
class Ledger:
    """What was done, in order.

    Args:
        strikes: what happens to calls.
        crash: ends the host whose tools are struck.
    """

    strikes: tuple[Strike, ...]
    crash: Callable[[], None]
    entries: list[Entry] = field(default_factory=list[Entry])
    struck: int = 0
    doubted: set[int] = field(default_factory=set[int])
    """Orders of which an agent was told that nobody knows."""
    counts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    async def moment(self, verb: str, when: str) -> None:
        """Let happen what is to happen here.

        Raises: ConnectionError, NotHappened.
        """
        count = self.counts[verb, when] = self.counts.get((verb, when), 0) + 1
        for strike in self.strikes:
            if (strike.verb, strike.when, strike.nth) == (verb, when, count):
                self.struck += 1
                await self._strike(strike.how)

    async def _strike(self, how: str) -> None:
        if how == REFUSE:
            raise NotHappened("refused")
        if how == RAISE:
            raise ConnectionError("the tool's process is gone")
        if how == CRASH:
            self.crash()
        await asyncio.sleep(FOREVER_S)

    async def do(self, verb: str, order: int, amount: int, intent: str) -> int:
        """Do something anew, whatever was done under this intent before; return the amount."""
        await self.moment(verb, "before")
        self.entries.append(Entry(verb, order, amount, intent))
        await self.moment(verb, "after")
        return amount

    async def undo(self, verb: str, done: str, call: Call) -> None:
        """Take back what stands under an intent, if anything does."""
        await self.moment(verb, "before")
        order, amount = call.args
        if self.stands(call.intent, done, verb):
            self.entries.append(Entry(verb, order, amount, call.intent))
        await self.moment(verb, "after")

    async def look(self, done: str, undone: str, call: Call) -> Happened | NotHappened | Unknown:
        """Tell whether something stands under an intent."""
        try:
            await self.moment("check", "before")
        except NotHappened:
            return Unknown()
        return Happened(call.args[1]) if self.stands(call.intent, done, undone) else NotHappened()

    def stands(self, intent: str, done: str, undone: str) -> bool:
        """Tell whether something stands under an intent."""
        verbs = [entry.verb for entry in self.entries if entry.intent == intent]
        return verbs.count(done) > verbs.count(undone)

    def standing(self, done: str, undone: str) -> tuple[dict[int, list[int]], set[int]]:
        """Return what stands, as amounts by order, and the orders of which two stood at any time."""
        found: dict[int, list[Entry]] = {}
        twice: set[int] = set()
        for entry in self.entries:
            some = found.setdefault(entry.order, [])
            if entry.verb == done:
                some.append(entry)
                if len(some) > 1:
                    twice.add(entry.order)
            elif entry.verb == undone:
                some.remove(next(each for each in some if each.intent == entry.intent))
        return {order: [each.amount for each in some] for order, some in found.items() if some}, twice


def ledger() -> Ledger:
    """Return the ledger of the world that runs."""
    found = outside().ports[NAME]
    assert isinstance(found, Ledger)
    return found


async def refund(call: Call) -> None:
    """Take a payment back."""
    await ledger().undo("refund", "pay", call)


async def was_paid(call: Call) -> Happened | NotHappened | Unknown:
    """Tell whether it was paid."""
    return await ledger().look("pay", "refund", call)


@tool(undo=refund, check=was_paid, timeout=TOOL_TIMEOUT_S, name="matrix:pay")
async def pay(order: int, amount: int, *, intent: str) -> int:
    """Pay, at somebody who can be asked."""
    return await ledger().do("pay", order, amount, intent)


@tool(undo=refund, timeout=TOOL_TIMEOUT_S, name="matrix:pay_unasked")
async def pay_unasked(order: int, amount: int, *, intent: str) -> int:
    """Pay, at somebody who can't be asked."""
    return await ledger().do("pay", order, amount, intent)


async def was_posted(call: Call) -> Happened | NotHappened | Unknown:
    """Tell whether it was posted."""
    return await ledger().look("post", "", call)


@tool(kind="irreversible", check=was_posted, timeout=TOOL_TIMEOUT_S, name="matrix:post")
async def post(order: int, amount: int, *, intent: str) -> int:
    """Post a letter, at somebody who can be asked."""
    return await ledger().do("post", order, amount, intent)


@tool(kind="irreversible", timeout=TOOL_TIMEOUT_S, name="matrix:post_unasked")
async def post_unasked(order: int, amount: int, *, intent: str) -> int:
    """Post a letter, at somebody who can't be asked."""
    return await ledger().do("post", order, amount, intent)


async def unship(call: Call) -> None:
    """Have goods brought back."""
    await ledger().undo("unship", "ship", call)


async def was_shipped(call: Call) -> Happened | NotHappened | Unknown:
    """Tell whether goods were shipped; never struck."""
    return Happened(call.args[1]) if ledger().stands(call.intent, "ship", "unship") else NotHappened()


@tool(undo=unship, check=was_shipped, name="matrix:ship")
async def ship(order: int, amount: int, *, intent: str) -> int:
    """Ship goods: what another agent does because of a payment."""
    return await ledger().do("ship", order, amount, intent)


TOOLS = {
    ("pay", True): pay, ("pay", False): pay_unasked, ("post", True): post, ("post", False): post_unasked,
}  # fmt: skip
