"""Agreement: of several judges of one step, or of several samples of one answer. Handlers report what they say."""

from collections.abc import Callable, Sequence
from math import log
from operator import eq
from typing import Any, ClassVar, TypeVar

from msgspec import Struct

from peer.detectors.rules import Threshold
from peer.detectors.seen import Finding, Seen
from peer.detectors.settings import number, settle, texts, version_of, whole
from peer.errors import CallerError

Sample = TypeVar("Sample")

SEMANTIC_ENTROPY = "semantic_entropy"
"""Under this name a handler reports it."""
SAMPLES_MAX = 1000
"""Each is compared with one of every meaning found before."""


class Agreement(Struct, frozen=True):
    """A step that `k` judges at least call wrong is wrong.

    Handlers report what each judge says: `ctx.report(**{"judge.a": 0.9, "judge.b": 0.2})`. A judge that is not heard of
    counts for neither side; a step on which no judge was heard is not judged.

    Args:
        judges: the names of the scores.
        k: how many have to call the step wrong. 1: any; all of them: only if they are unanimous.
        below: a judge whose score is below this calls the step wrong.

    Raises: ConfigInvalid.
    """

    memoryless: ClassVar[bool] = True

    judges: Sequence[str]
    k: int
    below: float = 0.5

    def __post_init__(self) -> None:
        settle(self, judges=texts("judges", self.judges), below=number("below", self.below))
        whole("k", self.k, 1, len(self.judges))

    @property
    def name(self) -> str:
        """`agreement(judges)`."""
        return f"agreement({','.join(self.judges)})"

    @property
    def version(self) -> str:
        """Changes with the settings."""
        return version_of(self)

    def begin(self) -> "Agreement":
        """Return itself: what it says of a step hangs on that step alone."""
        return self

    def see(self, step: Seen) -> Finding | None:
        """Count the judges that call the step wrong; the score is their number by `k`."""
        heard = {judge: value for judge in self.judges if (value := step.value(judge)) is not None}
        if not heard:
            return None
        wrong = sum(value < self.below for value in heard.values())
        return Finding(wrong / self.k, {**heard, "wrong": wrong, "k": self.k, "heard": len(heard)})


def meanings(samples: Sequence[Sample], same: Callable[[Sample, Sample], Any] = eq) -> list[int]:
    """Return for each sample which meaning it has, numbered as they are met: each joins the first that is the same.

    Args:
        same: tells whether two samples mean the same, either way round: for texts, whether each entails the other.

    Raises: CallerError, if there are too many; what `same` raises.
    Source: Farquhar et al. 2024, Methods, "Semantic clustering by bidirectional entailment".
    """
    if len(samples) > SAMPLES_MAX:
        raise CallerError(f"{len(samples)} samples: at most {SAMPLES_MAX}. Nothing was computed.")
    firsts: list[Sample] = []
    found: list[int] = []
    for sample in samples:
        at = next((at for at, first in enumerate(firsts) if same(first, sample)), len(firsts))
        if at == len(firsts):
            firsts.append(sample)
        found.append(at)
    return found


def semantic_entropy(samples: Sequence[Sample], same: Callable[[Sample, Sample], Any] = eq) -> float:
    """Return how much samples of one answer differ in meaning: 0 if all mean the same, log(n) if no two do; in nats.

    A handler samples a model's answer several times and reports what comes out:
    `ctx.report(semantic_entropy=semantic_entropy(answers, same=entails_both_ways))`. Labels of meaning will do, too.

    Args:
        samples: two at least; 5 to 10 are usual.
        same: as of `meanings`.

    Raises: CallerError, if there are fewer than two, or too many; what `same` raises.
    Source: Farquhar et al. 2024 (Nature 630), equation 5: the discrete form, with shares of samples as probabilities.
    """
    if len(samples) < 2:
        raise CallerError(f"{len(samples)} samples: their spread is told by two at least. Nothing was computed.")
    found = meanings(samples, same)
    shares = [found.count(at) / len(found) for at in range(max(found) + 1)]
    return sum(share * log(1 / share) for share in shares)


def SemanticEntropy(above: float, feature: str = SEMANTIC_ENTROPY) -> Threshold:
    """Return a detector of steps whose samples differed in meaning by more than so many nats.

    Raises: ConfigInvalid.
    """
    return Threshold(feature, above=number("above", above, 0.0))
