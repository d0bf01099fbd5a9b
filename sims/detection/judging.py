"""How well a detector notices what is wrong, on a run of which the truth is known.

It is judged as it would be used: whatever it calls wrong is undone and run again, rightly, and it sees that in place of
what it saw. So a fault that stays is to be noticed again and again, and what was undone does not count for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev
from typing import Any

from peer.detectors import HalfSpaceTrees
from peer.detectors.port import Watch
from peer.detectors.seen import Finding, Seen
from peer.watching.limits import Learned
from peer.watching.window import KEPT
from protocol.ids import StepId
from sims.detection.scenarios import Played

COSTS = Learned()
"""What a miss, a false alarm and any alarm cost: as the learner reckons."""


@dataclass(frozen=True)
class Judged:
    """What has come of one detector on one run."""

    steps: int
    wrong: int
    caught: int
    """Of the wrong ones."""
    vain: int
    """Right steps that were undone."""
    alarms: int
    false_alarms: int
    """With nothing wrong among what they have named."""
    episodes: int
    """Stretches of wrong steps of one agent, with none between them that is right."""
    noticed: int
    """Of these."""
    delays: tuple[int, ...]
    """Of each that was noticed, the agent's steps from its first wrong one to the alarm."""
    delays_s: tuple[float, ...]

    @property
    def cost(self) -> float:
        """What it has cost: wrong steps that stay, right ones that are undone, and that somebody looks."""
        missed = self.wrong - self.caught
        return COSTS.miss * missed + COSTS.vain * self.vain + COSTS.alarm * self.alarms


Words = dict[StepId, Finding | None]
"""What a detector says of each step of a run."""


def words(detector: Any, played: Played) -> Words | None:
    """Return what a detector says of each step, if that hangs on no other step; None: it does."""
    # That of half-space trees hangs on so many steps that the few which are undone make no odds.
    if not (getattr(detector, "memoryless", False) or isinstance(detector, HalfSpaceTrees)):
        return None
    watch = detector.begin()
    return {step.step: watch.see(step) for step in played.seen}


def judge(
    detector: Any, played: Played, limit: float = 1.0, clean: Played | None = None, known: Words | None = None
) -> Judged:
    """Run a detector over a run.

    Args:
        detector: trained, if it has to be.
        played: the run.
        limit: from which score on it is an alarm.
        clean: the same run without its fault; None: what is undone comes back as it was.
        known: `words` of both, where they are looked at for several limits.
    """
    known = words(detector, played) if known is None else known
    right = _counterparts(played, clean)
    suspected: set[StepId] = set()
    alarms: list[tuple[Seen, list[StepId]]] = []
    of: dict[str, list[Seen]] = {}
    for step in played.seen:
        of.setdefault(step.agent, []).append(step)
    for steps in of.values():
        alarms += _one(detector, steps, limit, right) if known is None else _each(steps, limit, known)
    for _, named in alarms:
        suspected.update(named)
    found = [_noticed(steps, episode, alarms, played) for steps in of.values() for episode in _episodes(steps, played)]
    return Judged(
        steps=len(played.seen),
        wrong=len(played.wrong),
        caught=len(suspected & played.wrong),
        vain=len(suspected - played.wrong),
        alarms=len(alarms),
        false_alarms=sum(played.wrong.isdisjoint(named) for _, named in alarms),
        episodes=len(found),
        noticed=sum(each is not None for each in found),
        delays=tuple(each[0] for each in found if each is not None),
        delays_s=tuple(each[1] for each in found if each is not None),
    )


def _each(steps: Sequence[Seen], limit: float, known: Words) -> list[tuple[Seen, list[StepId]]]:
    found = ((step, known[step.step]) for step in steps)
    return [(step, [step.step]) for step, word in found if word is not None and word.score >= limit]


def _one(
    detector: Any, steps: Sequence[Seen], limit: float, right: dict[StepId, Seen]
) -> list[tuple[Seen, list[StepId]]]:
    watch: Watch = detector.begin()
    window: list[Seen] = []
    alarms: list[tuple[Seen, list[StepId]]] = []
    for step in steps:
        found = watch.see(step)
        window.append(step)
        if found is None or found.score < limit:
            continue
        named = _named(found, step, window)
        alarms.append((step, named))
        gone = set(named)
        window = [right.get(each.step, each) if each.step in gone else each for each in window][-KEPT:]
        watch = detector.begin()
        for each in window:
            watch.see(each)
    return alarms


def _named(found: Finding, step: Seen, window: Sequence[Seen]) -> list[StepId]:
    if found.since is None:
        return [step.step]
    return [each.step for each in window if each.step >= found.since]


def _counterparts(played: Played, clean: Played | None) -> dict[StepId, Seen]:
    """Return how each wrong step looks when it is run again, rightly: as in the run without a fault."""
    if clean is None or len(clean.seen) != len(played.seen):
        return {}
    at: dict[StepId, Seen] = {each.step: each for each in clean.seen}
    return {step: at[step] for step in played.wrong if step in at}


def _episodes(steps: Sequence[Seen], played: Played) -> list[tuple[int, int]]:
    episodes: list[tuple[int, int]] = []
    for at, step in enumerate(steps):
        if step.step in played.wrong:
            if episodes and episodes[-1][1] == at - 1:
                episodes[-1] = episodes[-1][0], at
            else:
                episodes.append((at, at))
    return episodes


def _noticed(
    steps: Sequence[Seen], episode: tuple[int, int], alarms: Sequence[tuple[Seen, list[StepId]]], played: Played
) -> tuple[int, float] | None:
    first, last = episode
    inside = {step.step for step in steps[first : last + 1]}
    at = {step.step: number for number, step in enumerate(steps)}
    for step, named in alarms:
        if step.step in at and not inside.isdisjoint(named):
            return max(0, at[step.step] - first), played.times[step.step] - played.times[steps[first].step]
    return None


@dataclass(frozen=True)
class Row:
    """One detector on one kind of fault, over several seeds."""

    detector: str
    kind: str
    limit: float
    wrong: int
    precision: float | None
    """Of the steps that it has named, those that were wrong; None: it has named none."""
    recall: float
    recall_error: float
    """The standard error over seeds."""
    noticed: float
    """The share of episodes."""
    delay: float | None
    """The median, in the agent's steps."""
    delay_s: float | None
    false_per_1000: float
    """Alarms with nothing wrong, per 1,000 steps."""
    cost_per_1000: float


def row(detector: str, kind: str, limit: float, found: Sequence[Judged]) -> Row:
    """Put runs of several seeds together."""
    named = sum(each.caught + each.vain for each in found)
    steps = sum(each.steps for each in found)
    recalls = [each.caught / each.wrong for each in found if each.wrong]
    delays = [delay for each in found for delay in each.delays]
    delays_s = [delay for each in found for delay in each.delays_s]
    return Row(
        detector=detector,
        kind=kind,
        limit=limit,
        wrong=sum(each.wrong for each in found),
        precision=sum(each.caught for each in found) / named if named else None,
        recall=mean(recalls) if recalls else 0.0,
        recall_error=stdev(recalls) / len(recalls) ** 0.5 if len(recalls) > 1 else 0.0,
        noticed=sum(each.noticed for each in found) / max(1, sum(each.episodes for each in found)),
        delay=median(delays) if delays else None,
        delay_s=median(delays_s) if delays_s else None,
        false_per_1000=1000 * sum(each.false_alarms for each in found) / max(1, steps),
        cost_per_1000=1000 * sum(each.cost for each in found) / max(1, steps),
    )
