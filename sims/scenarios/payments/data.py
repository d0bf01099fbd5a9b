"""Real payments: purchases of CDNOW's customers (see data/README.md), in the order of their dates."""

import csv
import gzip
from dataclasses import dataclass
from importlib.resources import files
from random import Random

ROWS = 69_659
"""Rows in the file."""


@dataclass(frozen=True)
class Payment:
    """One purchase to be settled; the first message of each."""

    number: int
    """From 1, in the order of a run."""
    customer: int
    date: str
    quantity: int
    cents: int
    """May be 0: real data is dirty."""


def load(count: int, seed: int) -> list[Payment]:
    """Return the payments of customers chosen by a seed, all of a customer's before the next one's, by date.

    Args:
        count: how many; at most `ROWS`.
        seed: chooses the customers.

    Raises: ValueError, if there are not so many.
    """
    if not 1 <= count <= ROWS:
        raise ValueError(f"{count} payments: the file has {ROWS}, and at least 1 is needed")
    by_customer: dict[int, list[tuple[str, int, int, int]]] = {}
    with gzip.open(files(__package__) / "data" / "cdnow_purchases.csv.gz", "rt", encoding="utf-8") as lines:  # type: ignore[call-overload]
        for row in csv.DictReader(lines):
            customer = int(row["customer"])
            cents = round(float(row["amount_usd"]) * 100)
            by_customer.setdefault(customer, []).append((row["date"], customer, int(row["quantity"]), cents))
    customers = sorted(by_customer)
    Random(seed).shuffle(customers)
    chosen: list[tuple[str, int, int, int]] = []
    for customer in customers:
        if len(chosen) >= count:
            break
        chosen.extend(by_customer[customer])
    chosen = sorted(chosen[:count], key=lambda row: row[0])
    return [Payment(number, row[1], row[0], row[2], row[3]) for number, row in enumerate(chosen, 1)]
