"""What must hold, judged from outside: what was acknowledged, the world's files, and what the agents say of themselves.

It shares nothing with the runtime. Every transfer that was acknowledged stands in the world exactly once on each side,
unless it was undone: then not at all. The agents' states say the same, and debits equal credits.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster.reliability.teller_app import UNDONE, ledgers_of

SIDES = ("debit", "credit")


class Handed(NamedTuple):
    """A transfer that was handed in."""

    key: str
    teller: str
    amount: int
    began: float
    acked: float
    """0: it was never acknowledged."""
    why: str = ""


class Posting(NamedTuple):
    """A posting in the world."""

    ledger: str
    key: str
    side: str
    amount: int
    at: float
    undone: bool


def handed_in(place: Path) -> list[Handed]:
    """Return the transfers that were handed in, as far as they came to an end."""
    file = place / "acks.jsonl"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [Handed(**json.loads(line)) for line in lines]


def posted(world: Path) -> list[Posting]:
    """Return what stands in the world, or has stood there."""
    names = {each.name for each in world.iterdir()} if world.exists() else set()
    found: list[Posting] = []
    for name in sorted(names):
        if name.startswith(".draft-") or name.endswith(UNDONE):
            continue
        file = world / name
        ledger, key, side, amount = file.read_text().split()
        found.append(Posting(ledger, key, side, int(amount), file.stat().st_mtime, f"{name}{UNDONE}" in names))
    return found


def judge(
    handed: Sequence[Handed],
    postings: Iterable[Posting],
    states: Mapping[str, Sequence[Sequence[Any]]],
    undone: frozenset[str],
) -> list[str]:
    """Return what does not hold; nothing, if all does.

    Args:
        handed: what was handed in.
        postings: what is in the world.
        states: by agent, its entries: side (or `sent`), key, amount.
        undone: the keys of transfers that were rolled back.
    """
    amiss = [f"{each.key} was never acknowledged: {each.why}" for each in handed if not each.acked]
    wanted = _wanted(each for each in handed if each.acked and each.key not in undone)
    allowed = wanted | _wanted(each for each in handed if not each.acked and each.key not in undone)
    standing = Counter((each.ledger, each.side, each.key, each.amount) for each in postings if not each.undone)
    amiss += _compared("the world", standing, wanted, allowed)
    entries = Counter((agent, side, key, amount) for agent, rows in states.items() for side, key, amount in rows)
    amiss += _compared("the agents' states", entries, *(_with_tellers(each, handed) for each in (wanted, allowed)))
    sums = {side: sum(count * entry[3] for entry, count in standing.items() if entry[1] == side) for side in SIDES}
    if sums["debit"] != sums["credit"]:
        amiss.append(f"debits are {sums['debit']}, credits {sums['credit']}")
    return amiss


Line = tuple[str, str, str, int]


def _wanted(handed: Iterable[Handed]) -> set[Line]:
    return {
        (ledger, side, each.key, each.amount)
        for each in handed
        for ledger, side in zip(ledgers_of(each.teller), SIDES, strict=True)
    }


def _with_tellers(lines: set[Line], handed: Sequence[Handed]) -> set[Line]:
    keys = {line[2] for line in lines}
    return lines | {(each.teller, "sent", each.key, each.amount) for each in handed if each.key in keys}


def _compared(where: str, found: Counter[Line], wanted: set[Line], allowed: set[Line]) -> list[str]:
    missing = sorted(wanted - set(found))
    strange = sorted(set(found) - allowed)
    double = sorted(line for line, count in found.items() if count > 1)
    named = {"lacks": missing, "has, and should not": strange, "has twice": double}
    return [f"{where} {what} {len(lines)}, as {' '.join(map(str, lines[0]))}" for what, lines in named.items() if lines]


def cone_of(teller: str, steps: Sequence[str]) -> str:
    """Return what is wrong with a cone: it is to have one step at the teller, and one at each of its two ledgers."""
    found = sorted(step.partition("/")[0] for step in steps)
    wanted = sorted((teller, *ledgers_of(teller)))
    return "" if found == wanted else f"its cone is of {', '.join(found)}, and not of {', '.join(wanted)}"
