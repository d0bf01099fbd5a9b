"""How far what agents say of their own confidence can be believed, by what became of the steps of a run.

A step that stands was right, as far as anybody knows; one that was the root of a committed rollback was wrong. What was
undone because it followed from another, or by a restore, tells of no confidence, and is left out. Where an alarm was
overturned, the step was right, and the one that was undone to reinstate it is left out.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from msgspec import Struct

from peer.agents.suspecting import seen_in_log
from peer.audit.reader import read_trail
from peer.audit.trail import Trail, type_of
from peer.detectors.calibration import Bin, Pair, expected_calibration_error, reliability
from peer.detectors.suspicion import Verdict
from peer.errors import CallerError, EbbtideError
from peer.values import payload
from protocol.ids import AgentId, StepId
from sims.plotting import pyplot

PAIRS_MIN = 20
"""Of fewer steps a table says nothing."""
SUFFIXES = (".svg", ".png", ".pdf")


class Reliability(Struct, frozen=True):
    """What a run tells of how sure its agents were."""

    feature: str
    pairs: tuple[Pair, ...]
    """How sure a step was, and whether it was right; in the order in which they ran."""
    left_out: int
    """Steps that said how sure they were, and were undone for another's fault, or by a restore."""
    silent: int
    """Steps that said nothing."""
    bins: tuple[Bin, ...]
    error: float
    """The expected calibration error: how far confidence is from the share that was right, on average over steps."""
    gaps: int = 0
    """Places in the logs that can't be read: what they tell is missing here."""


def reliability_of(
    folder: Path, agents: Collection[AgentId] = (), handled: str = "", feature: str = "confidence", bins: int = 10
) -> Reliability:
    """Return how far reported confidences of a run can be believed.

    Args:
        folder: a host's folder, or that of all hosts.
        agents: whose; empty: everybody's.
        handled: only steps that handled a message of a class of this name; empty: any.
        feature: where confidence is reported, from 0 to 1.
        bins: of equal width.

    Raises: CallerError, if too few steps report it, or one no number from 0 to 1; and as `read_trail`.
    """
    trail = read_trail(folder)
    wrong, right, again = _verdicts(trail)
    pairs: list[Pair] = []
    left_out = silent = 0
    for step in trail.steps.values():
        seen = seen_in_log(step.record)
        if (agents and seen.agent not in agents) or (handled and seen.handled != handled):
            continue
        value = seen.value(feature)
        if value is None:
            silent += 1
        elif step.id in right or (step.undone is None and step.id not in again):
            pairs.append((value, True))
        elif step.id in wrong:
            pairs.append((value, False))
        else:
            left_out += 1
    if len(pairs) < PAIRS_MIN:
        of = f" of {', '.join(agents)}" if agents else ""
        raise CallerError(
            f"{len(pairs)} of {len(pairs) + left_out + silent} steps{of} in {folder} report {feature!r} and stand, or"
            f" were undone for themselves; a table needs {PAIRS_MIN}. Nothing was written. Handlers report it:"
            f" {'ctx.report(0.9)' if feature == 'confidence' else f'ctx.report({feature}=0.9)'}."
        )
    found = reliability(pairs, bins)
    return Reliability(
        *(feature, tuple(pairs), left_out, silent), tuple(found), expected_calibration_error(found), len(trail.gaps)
    )


def _verdicts(trail: Trail) -> tuple[set[StepId], set[StepId], set[StepId]]:
    """Return the steps that were undone for themselves, those that were right after all, and those in their place."""
    wrong: set[StepId] = set()
    right: set[StepId] = set()
    again: set[StepId] = set()
    for rollback in trail.rollbacks.values():
        if rollback.decision != "commit":
            continue
        overturned = _overturned(rollback.proposal.evidence)
        if overturned is None:
            wrong.update(rollback.proposal.roots)
        else:
            right.add(overturned)
            again.update(rollback.proposal.roots)
    for step in trail.steps.values():
        said = _said(step.record.input.payload) if step.undone is None else None
        if said is not None:
            (wrong if said.wrong else right).add(said.step)
    return wrong - right - again, right, again


def _said(data: bytes) -> Verdict | None:
    """Return what a watcher was told of a step by people, if that is what a message says."""
    if type_of(data) != Verdict.__name__:
        return None
    try:
        found = payload.decode_message(data, {Verdict.__name__: Verdict})
    except EbbtideError:
        return None
    return found if isinstance(found, Verdict) else None


def _overturned(evidence: bytes) -> StepId | None:
    """Return the step that was right, if a rollback was there to reinstate it: see `Cluster.overturn`."""
    try:
        told: Any = payload.decode(evidence) if evidence else None
        return StepId.parse(told["right"]) if isinstance(told, dict) and set(told) == {"right", "why", "by"} else None
    except (EbbtideError, ValueError, AttributeError):
        return None


def plot(found: Reliability, path: Path) -> None:
    """Draw a reliability diagram: how often steps were right by how sure they were. Raises: CallerError."""
    if path.suffix not in SUFFIXES:
        raise CallerError(f"--plot {path}: it draws files that end in {', '.join(SUFFIXES)}. Nothing was written.")
    plots = pyplot()
    plots.rcParams["svg.hashsalt"] = found.feature
    plots.rcParams["svg.fonttype"] = "none"
    figure, (above, below) = plots.subplots(
        2, 1, figsize=(5, 6), sharex=True, gridspec_kw={"height_ratios": (3, 1)}
    )  # fmt: skip
    sure = [one.confidence for one in found.bins]
    right = [one.right for one in found.bins]
    spread = [[one.right - one.least for one in found.bins], [one.most - one.right for one in found.bins]]
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as sure as right")
    above.errorbar(sure, right, yerr=spread, marker="o", capsize=3, label="steps, with 95 % intervals")
    above.set(ylabel="share that was right", xlim=(0, 1), ylim=(0, 1.02))
    above.set_title(f"{found.feature}: expected calibration error {found.error:.3f}")
    above.legend(fontsize=8)
    below.bar([one.low for one in found.bins], [one.count for one in found.bins],
              width=[one.high - one.low for one in found.bins], align="edge", edgecolor="white")  # fmt: skip
    below.set(xlabel=found.feature, ylabel="steps")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plots.close(figure)
