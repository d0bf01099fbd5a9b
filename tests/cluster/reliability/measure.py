"""How long a fault was felt, and by whom: from when transfers were acknowledged and postings made."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.cluster.reliability.oracle import Handed, Posting

GRACE_S = 0.3
"""What is served so soon after a fault may have been on its way before."""


class Strike(NamedTuple):
    """A fault, or a part of it."""

    at: float
    agents: frozenset[str]
    """Whom it hits."""


class Measured(NamedTuple):
    """What was seen; None where there is nothing to say."""

    recovery_s: float | None
    """From a strike until the last agent that it hit has served again: the longest of all strikes."""
    during: float | None
    """Others' acknowledged transfers a second, from the first strike until all had served again and the fault was over,
    by those before."""
    after: float | None
    """The same, from there to the end."""
    pause_s: float
    """The longest time in which one of the others had nothing acknowledged, from the first strike on."""
    acknowledged: int


def served(handed: Iterable[Handed], postings: Iterable[Posting]) -> dict[str, list[float]]:
    """Return by agent when it has served somebody: a teller by an acknowledgement, a ledger by a posting."""
    found: dict[str, list[float]] = {}
    for each in handed:
        if each.acked:
            found.setdefault(each.teller, []).append(each.acked)
    for each in postings:
        found.setdefault(each.ledger, []).append(each.at)
    return {agent: sorted(times) for agent, times in found.items()}


def back_at(strike: Strike, times: dict[str, list[float]]) -> float | None:
    """Return when all whom a strike hit had served again; None: not yet."""
    firsts = [
        next((at for at in times.get(agent, ()) if at > strike.at + GRACE_S), None) for agent in sorted(strike.agents)
    ]
    return None if None in firsts else max((first for first in firsts if first is not None), default=strike.at)


def measured(
    handed: Sequence[Handed], postings: Sequence[Posting], strikes: Sequence[Strike], begin: float, over: float,
    end: float,
) -> Measured:  # fmt: skip
    """Return what was seen.

    Args:
        handed: what was handed in.
        postings: what is in the world.
        strikes: the faults.
        begin: from when on all was well, and under load.
        over: when the last fault was over, as a cut is that is healed.
        end: when the load ended.
    """
    times = served(handed, postings)
    count = sum(each.acked > 0 for each in handed)
    if not strikes:
        return Measured(None, None, None, 0.0, count)
    first = min(strike.at for strike in strikes)
    backs = [back_at(strike, times) for strike in strikes]
    hit = frozenset(agent for strike in strikes for agent in strike.agents)
    tellers = {each.teller for each in handed if each.began < first}
    # Where all are hit there are no others, and it is all of whom the figures tell.
    others = sorted(tellers - hit or tellers)
    acks = [at for agent in others for at in times.get(agent, ())]
    before = _rate(acks, begin, first)
    pause_s = max((_longest_gap(times.get(agent, []), first, end) for agent in others), default=0.0)
    known = [back for back in backs if back is not None]
    if len(known) < len(backs):
        return Measured(None, _ratio(_rate(acks, first, end), before), None, pause_s, count)
    recovery_s = max(back - strike.at for back, strike in zip(known, strikes, strict=True))
    last = max(*known, over, first + 1.0)
    during, after = _rate(acks, first, last), _rate(acks, last, end)
    return Measured(recovery_s, _ratio(during, before), _ratio(after, before), pause_s, count)


def _rate(times: Iterable[float], begin: float, end: float) -> float | None:
    return sum(begin <= at < end for at in times) / (end - begin) if end - begin > 0.5 else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _longest_gap(times: Sequence[float], begin: float, end: float) -> float:
    marks = [begin, *(at for at in times if begin <= at <= end), end]
    return max(later - earlier for earlier, later in pairwise(marks))
