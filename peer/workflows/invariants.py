"""Place invariants of a Petri net: weights of places under which no transition changes the sum of tokens.

Farkas' algorithm, in exact integers, which finds the minimal ones that are nowhere negative. Source: Martínez and Silva
1982, A simple and fast algorithm to obtain all invariants of a generalised Petri net, Informatik-Fachberichte 52;
minimal supports as in Colom and Silva 1991, Convex geometry and semiflows in P/T nets, LNCS 483.
"""

from math import gcd
from typing import NamedTuple

from peer.errors import CallerError
from peer.workflows.net import Marking, Net

ROWS_MAX = 5_000
"""Of the matrix on the way: their number can grow with two to the places, and each pair of them is looked at."""


class _Row(NamedTuple):
    """What is left to cancel, by transition, and the weights that have led there, by place."""

    left: tuple[int, ...]
    weights: tuple[int, ...]
    support: frozenset[int]


def place_invariants(net: Net, rows_max: int = ROWS_MAX) -> list[dict[str, int]]:
    """Return the minimal semi-positive place invariants, each as weights by place, in the order of their places.

    Every invariant that is nowhere negative is a sum of multiples of these. Each has no common divisor, and no other
    one's places lie within its own.

    Args:
        net: any net; its marking does not matter.
        rows_max: rows of the matrix on the way at most.

    Raises: CallerError, if it takes more rows.
    """
    places = range(len(net.places))
    rows = [
        _Row(tuple(left), tuple(int(at == place) for place in places), frozenset([at]))
        for at, left in enumerate(net.incidence())
    ]
    for column in range(len(net.transitions)):
        rows = _without(rows, column, rows_max)
    found = sorted(rows, key=lambda row: sorted(row.support))
    return [{net.places[at]: row.weights[at] for at in places if row.weights[at]} for row in found]


def _without(rows: list[_Row], column: int, rows_max: int) -> list[_Row]:
    """Cancel a transition: keep the rows that it leaves alone, and add up each that it raises with each it lowers."""
    kept = [row for row in rows if row.left[column] == 0]
    raised = [row for row in rows if row.left[column] > 0]
    lowered = [row for row in rows if row.left[column] < 0]
    for up in raised:
        for down in lowered:
            kept.append(_sum(up, -down.left[column], down, up.left[column]))
        if len(kept) > rows_max:
            kept = _minimal(kept)
        if len(kept) > rows_max:
            raise CallerError(
                f"the place invariants need more than {rows_max} rows on the way. None are told. Give rows_max=, or"
                " take a part of the net."
            )
    return _minimal(kept)


def _sum(one: _Row, times: int, other: _Row, other_times: int) -> _Row:
    left = [times * a + other_times * b for a, b in zip(one.left, other.left, strict=True)]
    weights = [times * a + other_times * b for a, b in zip(one.weights, other.weights, strict=True)]
    divisor = gcd(*left, *weights) or 1
    return _Row(
        tuple(value // divisor for value in left),
        tuple(value // divisor for value in weights),
        one.support | other.support,
    )


def _minimal(rows: list[_Row]) -> list[_Row]:
    """Leave out each row whose places hold all those of another: it is a sum of smaller ones, or comes twice."""
    found: list[_Row] = []
    for row in sorted(rows, key=lambda row: len(row.support)):
        if not any(other.support <= row.support for other in found):
            found.append(row)
    return found


def total(net: Net, invariant: dict[str, int], marking: Marking) -> int:
    """Return the weighted sum of a marking's tokens: the same at every marking that can be reached."""
    return sum(invariant.get(place, 0) * tokens for place, tokens in zip(net.places, marking, strict=True))
