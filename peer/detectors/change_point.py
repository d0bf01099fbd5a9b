"""Since when a row of values has another mean: where a change crept in before it was noticed."""

from collections.abc import Sequence


def change_point(values: Sequence[float]) -> int:
    """Return where the second of two parts begins, so that values are as near as can be to the mean of their part.

    It is the most likely place of one change of the mean of normal values. For fewer than two values it is 0.

    Source: Hinkley 1970, section 2; Hawkins, Qiu and Kang 2003, equation 4.
    """
    # Around the first: means of huge numbers with small differences would lose these.
    around = [value - values[0] for value in values]
    total, before, best, found = sum(around), 0.0, -1.0, 0
    for at in range(1, len(around)):
        before += around[at - 1]
        gap = before / at - (total - before) / (len(around) - at)
        gain = gap * gap * at * (len(around) - at)
        if gain > best:
            best, found = gain, at
    return found
