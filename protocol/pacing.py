"""When to begin the next checkpoint (CP-9): fixed, by how much was written, or by what a checkpoint costs.

Source: Young 1974; Daly 2006 (the first-order optimum, which is what measured costs are exact enough for).
"""

from math import isqrt

from protocol.limits import CheckpointLimits

INTERVAL_US_MIN = 50_000
"""However cheap a checkpoint is, the next begins no sooner."""


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
