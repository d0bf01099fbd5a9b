"""Petri nets: places that hold tokens, and transitions that take some and put others.

Source: Murata 1989, Petri nets: properties, analysis and applications, Proceedings of the IEEE 77(4), section II.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from peer.errors import CallerError

N = TypeVar("N", int, float)

Marking = tuple[int, ...]
"""Tokens by place, in the order of a net's places."""


@dataclass(frozen=True)
class Transition:
    """Something that may happen: it takes tokens from places, and puts tokens on others.

    Args:
        name: distinct within its net.
        takes: how many tokens from which place; without as many there it can't happen.
        puts: how many tokens on which place.
        effect: what it does to the world, as tools declare it: `compensable`, `irreversible`, ...; empty: nothing.
    """

    name: str
    takes: Mapping[str, int] = field(default_factory=dict[str, int])
    puts: Mapping[str, int] = field(default_factory=dict[str, int])
    effect: str = ""


class Net:
    """Places, transitions, and the marking from which it begins.

    Args:
        transitions: what may happen.
        marking: tokens at the start, by place; a place that is not named has none.
        places: all of them, in the order in which they are shown; left out: in the order in which they are named.

    Raises: CallerError, naming the transition or place that can't be.
    """

    def __init__(
        self, transitions: Iterable[Transition], marking: Mapping[str, int], places: Iterable[str] | None = None
    ) -> None:
        self.transitions = tuple(transitions)
        named = [place for each in self.transitions for place in (*each.takes, *each.puts)]
        self.places: tuple[str, ...] = (*dict.fromkeys([*marking, *named] if places is None else places),)
        self._at = {place: number for number, place in enumerate(self.places)}
        self._check(marking)
        self.initial: Marking = tuple(marking.get(place, 0) for place in self.places)
        self._takes = [self._counted(each.takes) for each in self.transitions]
        self._change = [self._changes(each) for each in self.transitions]
        self._free = [number for number, takes in enumerate(self._takes) if not takes]
        self._by_place: list[list[int]] = [[] for _ in self.places]
        for number, takes in enumerate(self._takes):
            for at, _ in takes:
                self._by_place[at].append(number)

    def _check(self, marking: Mapping[str, int]) -> None:
        names = [each.name for each in self.transitions]
        double = next((name for name in names if names.count(name) > 1), None) if len({*names}) < len(names) else None
        if double is not None:
            raise CallerError(f"two transitions are called {double!r}. No net was made. Give each a name of its own.")
        for place, tokens in marking.items():
            self._check_arc("the marking", place, tokens, 0)
        for each in self.transitions:
            for place, weight in (*each.takes.items(), *each.puts.items()):
                self._check_arc(f"transition {each.name!r}", place, weight, 1)

    def _check_arc(self, what: str, place: str, number: object, least: int) -> None:
        if place not in self._at:
            raise CallerError(f"{what} names {place!r}, and there is no such place. No net was made. Add it to places.")
        if type(number) is not int or number < least:
            raise CallerError(f"{what} has {number!r} at {place!r}: an int from {least} on. No net was made.")

    def _counted(self, arcs: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
        return tuple((self._at[place], weight) for place, weight in arcs.items())

    def _changes(self, each: Transition) -> tuple[tuple[int, int], ...]:
        change: dict[int, int] = {}
        for place, weight in each.puts.items():
            change[self._at[place]] = weight
        for place, weight in each.takes.items():
            change[self._at[place]] = change.get(self._at[place], 0) - weight
        return tuple((at, number) for at, number in change.items() if number)

    def enabled(self, marking: Marking) -> list[Transition]:
        """Return the transitions that can happen at a marking, in the net's order."""
        return [self.transitions[number] for number in self.enabled_at(marking)]

    def enabled_at(self, marking: Iterable[float]) -> list[int]:
        """Return the numbers of the transitions that can happen; a marking may hold more than any number here."""
        tokens = (*marking,)
        # Of large nets few places hold anything: only what takes from these, or from none, can happen.
        near = {*self._free}.union(*(self._by_place[at] for at, number in enumerate(tokens) if number))
        return [number for number in sorted(near) if all(tokens[at] >= weight for at, weight in self._takes[number])]

    def fire(self, marking: Marking, name: str) -> Marking:
        """Return the marking after a transition has happened.

        Raises: CallerError, if there is none of that name, or it can't happen at the marking.
        """
        number = next((at for at, each in enumerate(self.transitions) if each.name == name), None)
        if number is None:
            raise CallerError(f"there is no transition {name!r}: only {', '.join(t.name for t in self.transitions)}.")
        if number not in self.enabled_at(marking):
            raise CallerError(
                f"transition {name!r} can't happen at {self.shown(marking)}: it takes more than is there."
            )
        return self.after(marking, number)

    def after(self, marking: tuple[N, ...], number: int) -> tuple[N, ...]:
        """Return the marking after the transition of a number, which is enabled there."""
        tokens = list(marking)
        for at, change in self._change[number]:
            tokens[at] += change
        return tuple(tokens)

    def incidence(self) -> list[list[int]]:
        """Return the incidence matrix: a row a place, a column a transition, what that changes there."""
        rows = [[0] * len(self.transitions) for _ in self.places]
        for column, changes in enumerate(self._change):
            for at, change in changes:
                rows[at][column] = change
        return rows

    def shown(self, marking: Iterable[float]) -> dict[str, float]:
        """Return the places of a marking that hold tokens, and how many."""
        return {place: tokens for place, tokens in zip(self.places, marking, strict=True) if tokens}

    def marking_of(self, tokens: Mapping[str, int]) -> Marking:
        """Return a marking by its places. Raises: CallerError, for a place that is not there."""
        for place, number in tokens.items():
            self._check_arc("the marking", place, number, 0)
        return tuple(tokens.get(place, 0) for place in self.places)
