"""Chance from a seed: one stream for each purpose, so that taking one away leaves the draws of the others alone."""

from random import Random

from msgspec import Struct


class SeededRandomness:
    """Implements `ports.Randomness` from a seed and a purpose."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._rng = stream(seed, purpose)

    def seed(self) -> int:
        """Return the next 64 bits."""
        return self._rng.getrandbits(64)


def stream(seed: int, purpose: str) -> Random:
    """Return the stream of chance for one purpose: the same in every process, whatever PYTHONHASHSEED is."""
    return Random(f"{seed}/{purpose}")


class _Spread(Struct, frozen=True, tag=True):
    """A distribution of waiting times, in microseconds."""


class Constant(_Spread, frozen=True):
    """Always the same."""

    us: int

    def draw(self, rng: Random) -> int:
        """Return it."""
        return self.us


class Uniform(_Spread, frozen=True):
    """Anything from `least_us` to `most_us`, alike."""

    least_us: int
    most_us: int

    def draw(self, rng: Random) -> int:
        """Return one."""
        return rng.randint(self.least_us, self.most_us)


class Exponential(_Spread, frozen=True):
    """Memoryless, after a least time: queues of random arrivals."""

    mean_us: int
    least_us: int = 0

    def draw(self, rng: Random) -> int:
        """Return one."""
        return self.least_us + int(rng.expovariate(1.0) * self.mean_us)


class LogNormal(_Spread, frozen=True):
    """What networks in a data centre look like: most near the median, some far above."""

    median_us: int
    sigma: float = 0.5

    def draw(self, rng: Random) -> int:
        """Return one."""
        return int(self.median_us * rng.lognormvariate(0.0, self.sigma))


class Pareto(_Spread, frozen=True):
    """A heavy tail: rare ones are longer than all others together. `shape` above 1; nearer to 1 is heavier."""

    least_us: int
    shape: float = 1.5
    most_us: int = 60_000_000
    """No answer takes a day."""

    def draw(self, rng: Random) -> int:
        """Return one."""
        return min(self.most_us, int(self.least_us * rng.paretovariate(self.shape)))


AnySpread = Constant | Uniform | Exponential | LogNormal | Pareto
