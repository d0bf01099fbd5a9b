"""Run lengths of the control charts: steps until an alarm, on average, while nothing is wrong and after a shift.

A run begins with a fresh chart; shifts are in standard deviations, at both sides, from the first step on. Values are
taken as independent and normal. The averages of EWMA and CUSUM solve an integral equation (Fredholm's, of the second
kind), here by Gauss-Legendre quadrature: Nystrom's method.
"""

from collections.abc import Callable
from math import erfc, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from peer.detectors.settings import number, positive
from peer.errors import ConfigInvalid

NODES_MIN, NODES_MAX = 40, 600
NODES_PER_WIDTH = 12
"""Nodes for each standard deviation of the kernel that the interval is long: errors are below 1e-6 by then."""
LIMIT_MAX = 64.0
"""In standard deviations. No chart has a use for more."""
PRECISION = 1e-10
RUN_MAX = 1e11


def shewhart_arl(limit: float, shift: float = 0.0) -> float:
    """Return the average run length of Shewhart's chart: one over the chance of an alarm.

    Raises: ConfigInvalid.
    Source: Montgomery, section 6.2.6.
    """
    limit, shift = positive("limit", limit), number("shift", shift)
    chance = _above(limit - shift) + _above(limit + shift)
    return 1 / chance if chance else inf


def ewma_arl(lambda_: float, limit: float, shift: float = 0.0) -> float:
    """Return the average run length of an EWMA chart that begins at the mean.

    Args:
        lambda_: the newest value's weight.
        limit: in standard deviations of the average, as it is after many steps.

    Raises: ConfigInvalid.
    Source: Crowder 1987, equation 2; tables: Lucas and Saccucci 1990.
    """
    lambda_, limit = positive("lambda_", lambda_, 1.0), positive("limit", limit, LIMIT_MAX)
    shift = number("shift", shift)
    bound = limit * sqrt(lambda_ / (2 - lambda_))
    at, weight = _nodes(-bound, bound, lambda_)
    step = (at[None, :] - (1 - lambda_) * at[:, None]) / lambda_ - shift
    runs = _solved(np.eye(len(at)) - weight[None, :] * _density(step) / lambda_)
    return _run(float(1 + np.sum(weight * _density(at / lambda_ - shift) / lambda_ * runs)))


def cusum_arl(k: float, h: float, shift: float = 0.0) -> float:
    """Return the average run length of a CUSUM of both sides that begins at zero.

    Args:
        k: the allowance.
        h: the limit.

    Raises: ConfigInvalid.
    Source: Page 1954 and Goel and Wu 1971 (one side); Kemp 1961 (both: rates of alarms add up); tables: Montgomery,
    table 9.3, and Hawkins and Olwell 1998.
    """
    k, h, shift = number("k", k, 0.0), positive("h", h, LIMIT_MAX), number("shift", shift)
    rate = 1 / one_sided_cusum_arl(k, h, shift) + 1 / one_sided_cusum_arl(k, h, -shift)
    return 1 / rate if rate else inf


def one_sided_cusum_arl(k: float, h: float, shift: float = 0.0) -> float:
    """Return the average run length of a CUSUM of values above the mean alone.

    Raises: ConfigInvalid.
    Source: Page 1954; Goel and Wu 1971.
    """
    k, h, shift = number("k", k, 0.0), positive("h", h, LIMIT_MAX), number("shift", shift)
    at, weight = _nodes(0.0, h, 1.0)
    # The sum falls to zero with a chance of its own: one more unknown, the last, beside those between.
    size = len(at)
    matrix = np.eye(size + 1)
    starts = np.append(at, 0.0)
    matrix[:, :size] -= weight[None, :] * _density(at[None, :] + k - starts[:, None] - shift)
    matrix[:, size] -= [1 - _above(k - start - shift) for start in starts]
    return _run(float(_solved(matrix)[size]))


def limit_for(arl: Callable[[float], float], arl0: float) -> float:
    """Return the limit with which a chart gives an alarm in so many normal steps.

    Args:
        arl: the average run length by limit, rising.
        arl0: more than 1.

    Raises: ConfigInvalid, also if no limit up to `LIMIT_MAX` has it.
    """
    arl0 = number("arl0", arl0)
    low, high = 1e-6, 1.0
    if arl0 <= 1 or arl(low) > arl0:
        raise ConfigInvalid(f"arl0={arl0:g}: more than {max(1.0, arl(low)):g} steps. Nothing was computed.")
    while arl(high) < arl0:
        low, high = high, high * 1.25
        if high > LIMIT_MAX:
            raise ConfigInvalid(f"arl0={arl0:g}: no limit up to {LIMIT_MAX:g} has it. Nothing was computed.")
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        low, high = (middle, high) if arl(middle) < arl0 else (low, middle)
    return (low + high) / 2


def shewhart_limit(arl0: float) -> float:
    """Return the limit of Shewhart's chart for an alarm in so many normal steps. Raises: ConfigInvalid."""
    return limit_for(shewhart_arl, arl0)


def ewma_limit(arl0: float, lambda_: float = 0.1) -> float:
    """Return the limit of an EWMA chart for an alarm in so many normal steps. Raises: ConfigInvalid."""
    return limit_for(lambda limit: ewma_arl(lambda_, limit), arl0)


def cusum_limit(arl0: float, k: float = 0.5) -> float:
    """Return the `h` of a CUSUM for an alarm in so many normal steps. Raises: ConfigInvalid."""
    return limit_for(lambda h: cusum_arl(k, h), arl0)


def _above(value: float) -> float:
    """Return the chance that a standard normal value is above this one."""
    return 0.5 * erfc(value / sqrt(2))


def _density(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-0.5 * values * values) / sqrt(2 * np.pi)


def _nodes(low: float, high: float, width: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places and weights of a sum that stands for an integral.

    Args:
        width: how narrow the kernel is, as a standard deviation.
    """
    count = min(max(NODES_MIN, int(NODES_PER_WIDTH * (high - low) / width)), NODES_MAX)
    at, weight = np.polynomial.legendre.leggauss(count)
    half = (high - low) / 2
    return low + half * (at + 1), half * weight


def _run(steps: float) -> float:
    # Alarms so rare are lost in rounding: the equations are next to singular.
    return steps if 0 < steps < RUN_MAX else inf


def _solved(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.solve(matrix, np.ones(len(matrix))), dtype=np.float64)
