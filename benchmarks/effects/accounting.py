"""The oracle: what the ledger's file says, against what should have been. It asks no system how it thinks it did.

For orders that is the plan. For agents that talk it is the graph of who was caused by whom, drawn from their states:
each entry names the run that made it and the run that caused it, and a run's name is never used again.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.effects.chatter import OUTSIDE, Entry
from benchmarks.effects.orders import Trial

Entries = Iterable[dict[str, Any]]


def standing(entries: Entries) -> Counter[str]:
    """Return how many payments of each order stand: paid, and not given back."""
    found: Counter[str] = Counter()
    for entry in entries:
        found[entry["order"]] += 1 if "paid" in entry else -1
    return found


def twice_at_once(entries: Entries) -> int:
    """Return for how many orders two payments stood at some time, whatever became of them."""
    stands: Counter[str] = Counter()
    found: set[str] = set()
    for entry in entries:
        stands[entry["order"]] += 1 if "paid" in entry else -1
        if stands[entry["order"]] > 1:
            found.add(entry["order"])
    return len(found)


def volume(entries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return how much was paid and given back, in all."""
    return {
        "paid": sum("paid" in entry for entry in entries),
        "refunded": sum("refunded" in entry for entry in entries),
    }


def judge_orders(trials: Iterable[Trial], entries: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Count what is wrong with the payments of orders."""
    stands = standing(entries)
    found: Counter[str] = Counter(duplicates=0, uncompensated=0, lost=0)
    for trial in trials:
        surplus = stands.pop(trial.order, 0) - trial.expected
        # A surplus of an order that was withdrawn is not a second payment, but the first one that nobody took back.
        found["duplicates" if trial.expected else "uncompensated"] += max(0, surplus)
        found["lost"] += max(0, -surplus)
    found["uncompensated"] += sum(stands.values())
    return {**found, "twice_at_once": twice_at_once(entries), **volume(entries)}


def rooted(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return, by run, the entries that follow from the outside by a chain of runs that all exist."""
    caused: dict[str, list[Entry]] = {}
    for entry in entries:
        caused.setdefault(entry.by, []).append(entry)
    found: dict[str, Entry] = {}
    waiting = deque(caused.get(OUTSIDE, []))
    while waiting:
        entry = waiting.popleft()
        if entry.run not in found:
            found[entry.run] = entry
            waiting.extend(caused.get(entry.run, []))
    return found


def cone(entries: Sequence[Entry], root: str) -> set[str]:
    """Return the runs that may go with a wrong one: later ones of its agent, and all that followed from any of them."""
    found: set[str] = set()
    waiting = deque(entry for entry in entries if entry.run == root)
    while waiting:
        entry = waiting.popleft()
        if entry.run in found:
            continue
        found.add(entry.run)
        waiting.extend(
            other for other in entries if other.by == entry.run or (other.agent == entry.agent and other.at > entry.at)
        )
    return found


def judge_chatter(
    opened: Iterable[str], before: Sequence[Entry], after: Sequence[Entry], root: str | None, ledger: Entries
) -> dict[str, int]:
    """Count what is wrong with one trial.

    Args:
        opened: messages from outside, which must have been handled.
        before: all agents' states when the wrong step was found.
        after: and at the end.
        root: the wrong run; None if there was none.
        ledger: entries of this trial.
    """
    follows = rooted(after)
    handled = Counter(entry.word for entry in after)
    due = [*opened, *(word for entry in follows.values() for word in entry.sent)]
    stands = standing(ledger)
    wanted = {entry.order for entry in follows.values() if entry.order}
    gone = {entry.run for entry in before} - {entry.run for entry in after}
    allowed = set() if root is None else cone(before, root)
    return {
        "orphan_messages": sum(entry.run not in follows for entry in after),
        "orphan_payments": sum(count for order, count in stands.items() if order not in wanted),
        "duplicates": sum(max(0, stands[order] - 1) for order in wanted),
        "lost_payments": sum(stands[order] < 1 for order in wanted),
        "lost_messages": sum(handled[word] == 0 for word in due),
        "handled_twice": sum(count - 1 for count in handled.values()),
        "needless": len(gone - allowed),
        "still_there": int(root is not None and root not in gone),
        "steps": len(after),
    }
