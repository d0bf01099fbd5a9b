"""Reckons all measures of one run from its trail: a pure function."""

from collections.abc import Collection

from peer.audit.trail import Trail
from peer.errors import CallerError
from peer.evaluation.ends import decide_s, recover_s, runs_of
from peer.evaluation.harm import effects_undone, harm
from peer.evaluation.measures import Measures
from peer.evaluation.people import MINUTES, asked
from peer.evaluation.uptime import uptime, window_of
from peer.evaluation.work import kept, unhandled
from protocol.ids import StepId


def evaluated(trail: Trail, wrong: Collection[StepId] | None = None, minutes: float = MINUTES) -> Measures:
    """Return the measures of a run.

    Args:
        trail: what its logs tell.
        wrong: the steps that were wrong; None: nobody knows, and what hangs on that is unknown.
        minutes: how many a person takes for a question, or to go back to a checkpoint.

    Raises: CallerError, for a wrong step that the trail does not tell of, or minutes below 0.
    """
    if not minutes >= 0:
        raise CallerError(f"minutes={minutes}: a person takes 0 minutes or more. Nothing was reckoned.")
    unknown = [] if wrong is None else [step for step in wrong if step not in trail.steps]
    if unknown:
        raise CallerError(
            f"{min(unknown)} is said to be wrong, and is no step of {trail.folder}. Nothing was reckoned."
        )
    window, runs, work = window_of(trail), runs_of(trail), kept(trail)
    up, decide, recover, people = uptime(trail, window), decide_s(trail), recover_s(trail, runs), asked(trail, window)
    done = None if wrong is None else harm(trail, wrong)
    decisions = [rollback.decision for rollback in trail.rollbacks.values()]
    stand = sum(step.undone is None for step in trail.steps.values())
    return Measures(
        run_s=(window.last_us - window.first_us) / 1e6,
        agents=len(trail.logs),
        steps=len(trail.steps),
        rollbacks=decisions.count("commit"),
        refused=decisions.count("abort"),
        undecided=decisions.count("undecided"),
        restores=len(trail.restores),
        uptime=up.mean,
        uptime_worst=up.worst,
        uptime_least=up.least,
        down_s=up.down_us / 1e6,
        detect_s=None if done is None else done.detect_s,
        decide_s=decide.median,
        decide_max_s=decide.most,
        recover_s=recover.median,
        recover_max_s=recover.most,
        work_kept=_share(stand, len(trail.steps)),
        rollbacks_kept=_share(work.rollbacks, work.stood),
        restores_would_keep=_share(work.restores, work.stood),
        over_restore=_share(work.rollbacks, work.restores),
        unhandled=unhandled(trail, runs),
        wrong=None if wrong is None else len(wrong),
        missed=None if done is None else done.missed,
        standing=None if done is None else done.standing,
        innocent=None if done is None else done.innocent,
        effects_undone=effects_undone(trail),
        damage=None if done is None else done.damage,
        damage_final=None if done is None else done.final,
        let_go=None if done is None else done.let_go,
        questions=people.questions,
        unanswered=people.unanswered,
        human_minutes=minutes * (people.questions + len(trail.restores)),
        waiting_s=people.waiting_us / 1e6,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
