"""Chance, as machines take it: handed in, so that a seed decides it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Chance(Protocol):
    """Chance, handed in: a seeded `random.Random` fits."""

    def choice(self, seq: Sequence[T], /) -> T:
        """Return one of them."""
        ...

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """Return `k` different ones."""
        ...
