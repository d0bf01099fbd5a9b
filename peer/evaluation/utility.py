"""What a run is worth to whoever runs it: any function of its measures, or a weighted sum of what was lost."""

from collections.abc import Callable

from msgspec import Struct

from peer.errors import CallerError
from peer.evaluation.measures import Measures

Utility = Callable[[Measures], float | None]
"""Returns how much a run is worth, in whatever unit; more is better. None: it can't be said."""


class Linear(Struct, frozen=True):
    """Minus what was lost, each with its weight: 0 is the best that there can be.

    The unit is one right step that has to be made once more, as in `peer.watching.Costs`. It is unknown where the truth
    is.
    """

    standing: float = 100.0
    """Of each wrong step that stands in the end."""
    damage_final: float = 100.0
    """Of each effect of wrong steps that nobody can undo."""
    damage: float = 20.0
    """Of each other effect of wrong steps that was not undone."""
    unhandled: float = 20.0
    """Of each input that nobody has handled in the end."""
    innocent: float = 1.0
    """Of each right step that was undone."""
    human_minutes: float = 10.0
    """Of each minute that a person is asked for."""
    down_s: float = 0.1
    """Of each second in which an agent was frozen or paused."""

    def __call__(self, found: Measures) -> float | None:
        """Return the sum; None, if any of it is unknown."""
        counts = (found.standing, found.damage_final, found.damage, found.innocent)
        if any(each is None for each in counts):
            return None
        standing, final, damage, innocent = (each or 0 for each in counts)
        lost = (
            self.standing * standing
            + self.damage_final * final
            + self.damage * (damage - final)
            + self.unhandled * found.unhandled
            + self.innocent * innocent
            + self.human_minutes * found.human_minutes
            + self.down_s * found.down_s
        )
        return -lost if lost else 0.0


def worth(utility: Utility, found: Measures) -> float | None:
    """Return what a utility says of a run.

    Raises: CallerError, if it raises anything, or returns what is no number.
    """
    name = getattr(utility, "__qualname__", type(utility).__qualname__)
    try:
        value = utility(found)
    except Exception as error:
        raise CallerError(
            f"the utility {name} has failed: {error!r}. Measures that are unknown are None: it has to reckon with that."
        ) from error
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CallerError(f"the utility {name} has returned {value!r}. It has to return a number, or None: unknown.")
    return float(value)
