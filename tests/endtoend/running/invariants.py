"""What has to hold of the corner shop, and what does not: for `ebbtide check`."""

from typing import Any

from peer.watching import Invariant


def paid(states: dict[str, dict[Any, Any]]) -> bool | str:
    spent, charged = states["buyer"].get("spent", 0), states["cashier"].get("paid", 0)
    return charged <= spent + 2 or f"{charged} was charged for {spent}"


PAID = Invariant("paid", paid, ("buyer", "cashier"))
WRONG = [PAID, Invariant("wrong", lambda states: "nobody has paid 100", ("cashier",))]
