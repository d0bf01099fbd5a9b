"""What goes wrong: one scorer's threshold is corrupted for a stretch of payments, as a bad configuration push would."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sims.scenarios.payments.data import Payment

KINDS = {
    "lax": "the threshold is raised a hundredfold: payments pass that should be held",
    "strict": "the threshold drops to a tenth: payments are held that should pass",
    "none": "nothing goes wrong",
}


@dataclass(frozen=True)
class Fault:
    """A corrupted threshold, and the payments during which it is."""

    kind: str
    first: int
    last: int

    def strikes(self, payment: int) -> bool:
        """Tell whether a payment falls into the stretch."""
        return self.first <= payment <= self.last

    def corrupted(self, limit_cents: int) -> int:
        """Return the threshold as the faulty scorer has it."""
        return limit_cents * 100 if self.kind == "lax" else limit_cents // 10


def draw(kind: str, seed: int, payments: Sequence[Payment], scorers: int) -> tuple[int, Fault] | None:
    """Choose, by a seed, which scorer goes wrong and when; None for `none`.

    The stretch lies in the middle of the run. It is long enough to catch several wrong steps of `lax`, which strikes
    rarely, and short for `strict`, which strikes often.
    """
    if kind == "none":
        return None
    rng = Random(f"fault/{seed}")
    share = 0.5 if kind == "lax" else 0.05
    length = max(1, int(len(payments) * share))
    first = rng.randint(len(payments) // 5, max(len(payments) // 5, int(len(payments) * 0.8) - length)) + 1
    return rng.randrange(scorers) + 1, Fault(kind, first, min(first + length, len(payments)))
