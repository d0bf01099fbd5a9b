"""An agent that passes parcels on around a ring, and pays for each at its end: in hosts of either release."""

import os
from pathlib import Path

from ebbtide import Agent, Call, Context, Happened, NotHappened, handles, tool

RING = {"a": "b", "b": "c", "c": "a"}
HOPS = 2


def unpay(call: Call) -> None:
    """Undo `pay`: the books are lines in a file, which outlives hosts as a bank would."""
    with Path(os.environ["BOOKS"]).open("a") as books:
        books.write(f"-{call.args[0]}\n")


def is_paid(call: Call) -> object:
    """Look into the books: a host may be killed in the midst of a payment."""
    lines = Path(os.environ["BOOKS"]).read_text().splitlines()
    balance = lines.count(f"+{call.args[0]}") - lines.count(f"-{call.args[0]}")
    return Happened(None) if balance > 0 else NotHappened()


@tool(undo=unpay, check=is_paid)
def pay(parcel: int, *, intent: str) -> None:
    """Pay for a parcel."""
    with Path(os.environ["BOOKS"]).open("a") as books:
        books.write(f"+{parcel}\n")


class Station(Agent):
    """Counts each parcel."""

    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        """Take a parcel: ten times its number, and how often it was passed on."""
        parcel, hops = divmod(message, 10)
        self.state[f"parcel {parcel}"] = self.state.get(f"parcel {parcel}", 0) + 1
        if hops < HOPS:
            ctx.send(RING[self.name], message + 1)
        else:
            await ctx.call(pay, parcel)
