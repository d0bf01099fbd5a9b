"""When to begin the next checkpoint (CP-9): fixed, by how much was written, or as a policy says that is handed in.

Source: Young 1974; Daly 2006 (the first-order optimum, which is what measured costs are exact enough for).
"""

from collections.abc import Sequence
from math import isqrt

from protocol.chance import Chance
from protocol.ids import HostId
from protocol.limits import CheckpointLimits
from protocol.policy import Observation, Period

INTERVAL_US_MIN = 50_000
"""However cheap a checkpoint is, the next begins no sooner."""
STAND_IN = 4
"""How many times as long as the last period those wait who are not to begin: whoever is, may be dead."""
SEEDS = 1 << 62
"""Seeds of policies are drawn from so many."""


def young_daly_us(cost_us: int, failure_us: int) -> int:
    """Return the interval that wastes least: the root of twice the cost times the mean time between failures.

    Args:
        cost_us: what one checkpoint costs, in microseconds.
        failure_us: mean time between failures of the whole system, in microseconds.
    """
    return isqrt(2 * cost_us * failure_us)


def interval_us(limits: CheckpointLimits, cost_us: int) -> int:
    """Return how long after a commit the next checkpoint begins; 0: only when asked, or when enough was written."""
    if limits.failure_us and cost_us:
        return max(INTERVAL_US_MIN, young_daly_us(cost_us, limits.failure_us))
    return limits.interval_us


def is_due(limits: CheckpointLimits, records: int, size: int) -> bool:
    """Tell whether enough was written on a host since its last cut."""
    by_records = 0 < limits.interval_records <= records
    return by_records or 0 < limits.interval_bytes <= size


class Pace:
    """One host's waits between checkpoints, and what it tells its policy of them.

    With a policy, the first member of the view waits as its policy says; the others longer, and stand in for it. So
    one policy at a time is tried out, by the periods that it has chosen, and nothing stops with its host.
    """

    def __init__(self, host: HostId, limits: CheckpointLimits, chance: Chance) -> None:
        self._host = host
        self._limits = limits
        self._policy = limits.policy.begin(chance.choice(range(SEEDS))) if limits.policy is not None else None
        self._cuts: dict[int, int] = {}
        """By epoch, when this host made its cut."""
        self._life_us: int | None = None
        self._since_us = 0
        self._wanted_us = 0
        self._span_us = 0
        self._failures = 0
        self._begun: int | None = None

    def wait_us(self, view: Sequence[HostId], cost_us: int, now_us: int) -> int:
        """Return how long to wait from now, at the beginning of a period; 0: until somebody asks.

        Args:
            view: the members, in order; empty if none are known.
            cost_us: how long the last cut took to be durable, and placed.
            now_us: the time.
        """
        if self._policy is None:
            return interval_us(self._limits, cost_us)
        if self._life_us is None:
            self._life_us = self._since_us = now_us
        self._wanted_us = 0
        if view and view[0] != self._host and self._span_us:
            return STAND_IN * self._span_us
        seen = Observation(now_us, cost_us, self._failures, now_us - self._life_us)
        wanted_us = int(self._policy.interval_us(seen))
        if wanted_us <= 0:
            return 0
        self._wanted_us = max(INTERVAL_US_MIN, wanted_us)
        return self._wanted_us

    def cut(self, epoch: int, now_us: int) -> None:
        """This host makes the cut of an epoch."""
        if self._policy is not None:
            self._cuts[epoch] = now_us
            for old in sorted(self._cuts)[: -self._limits.epochs_kept - 1]:
                del self._cuts[old]

    def committed(self, begun: int, cost_us: int, now_us: int) -> None:
        """A period has ended with a commit, that names so many beginnings after losses."""
        # A lost log is one failure, however many agents have begun anew; earlier lives' failures are not counted.
        self._failures += self._begun is not None and begun > self._begun
        self._begun = begun
        self._over(cost_us, 0, now_us)

    def restored(self, epoch: int, now_us: int) -> None:
        """A period has ended with a restore."""
        self._failures += 1
        self._over(0, now_us - self._cuts.get(epoch, self._since_us), now_us)

    def _over(self, cost_us: int, lost_us: int, now_us: int) -> None:
        if self._policy is None or self._life_us is None:
            return
        span_us = max(1, now_us - self._since_us)
        self._policy.learn(Period(self._wanted_us, span_us, cost_us, lost_us))
        self._since_us, self._span_us = now_us, span_us
