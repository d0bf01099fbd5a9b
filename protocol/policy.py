"""What may say how long to wait between checkpoints: handed in, asked once a period, told what came of it (CP-9)."""

from typing import Protocol

from msgspec import Struct


class Observation(Struct, frozen=True):
    """What a policy may decide by, in microseconds and counts."""

    now_us: int
    cost_us: int
    """How long the last cut of this host took to be durable, and placed; 0: there was none."""
    failures: int
    """Restores, and losses of logs, of which this host has heard in this life."""
    lived_us: int
    """How long that life is."""


class Period(Struct, frozen=True):
    """What came of one period: it ends with a commit, or with a restore. All in microseconds."""

    wanted_us: int
    """The interval that this host's policy had chosen; 0: another host was to begin."""
    span_us: int
    """How long the period was."""
    cost_us: int
    """What its checkpoint has cost; 0 if a restore came first."""
    lost_us: int
    """How much time's work a restore has undone: since the cut that it went back to; 0 if none came."""


class CheckpointPolicy(Protocol):
    """Says how long to wait, and learns from what that has cost. One for each life of a host; it must not raise.

    It may use floats and chance of its own: what it says is an input of the protocol, and bounded by
    `INTERVAL_US_MIN`; whatever it says, checkpoints are consistent.
    """

    def interval_us(self, seen: Observation) -> int:
        """Return how long after a commit the next checkpoint begins, in microseconds; 0: only when asked."""
        ...

    def learn(self, period: Period) -> None:
        """A period is over."""
        ...


class PolicyMaker(Protocol):
    """A policy as a value: what it is made from, for each life of each host."""

    def begin(self, seed: int) -> CheckpointPolicy:
        """Return a policy that has learnt nothing yet; its chance comes from the seed."""
        ...
