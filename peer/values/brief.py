"""How values are shown to people, whatever they are: showing one never fails."""

from collections.abc import Callable
from reprlib import Repr

ERROR_CHARS_MAX = 200


class Brief(Repr):
    """Shows values in some thirty characters each."""

    def repr_int(self, x: int, level: int) -> str:
        """Show a number; Python writes none of more than some thousand digits."""
        try:
            return super().repr_int(x, level)
        except ValueError:
            return f"<int of {x.bit_length():,} bits>"


brief = Brief().repr
"""Return how a value is shown."""

_ERRORS = Brief()
_ERRORS.maxother = ERROR_CHARS_MAX
why = _ERRORS.repr
"""Return how an error of a library is shown, which may hold what it was about."""


def shown(value: object, written: Callable[[object], str] = repr) -> str:
    """Return the whole of how a value is written; in brief, where it can't be: its class may fail."""
    try:
        return written(value)
    except Exception:  # noqa: BLE001  # whatever a class of users raises
        return brief(value)
