"""The measures of one run: what a utility is given, what is printed, and what worlds are compared by.

None is never zero: it says that a measure is unknown, since the truth is, or that there was nothing to be measured.
"""

from msgspec import Struct


class Measures(Struct, frozen=True):
    """What one run comes to. Times are in seconds of the run's own clock (docs/evaluation.md)."""

    # -- the run ---------------------------------------------------------------------------------------------------
    run_s: float
    """From the first thing that its logs date to the last."""
    agents: int
    steps: int
    """All that were ever made durable, undone ones too."""
    rollbacks: int
    """That were committed."""
    refused: int
    """Rollbacks that were not agreed to."""
    undecided: int
    """Rollbacks of which no log says how they ended."""
    restores: int

    # -- uptime ----------------------------------------------------------------------------------------------------
    uptime: float | None
    """The mean over agents of the share of the run in which none of its steps was frozen, and it was not paused."""
    uptime_worst: float | None
    """That of the agent to which it was least."""
    uptime_least: float | None
    """The mean, if an agent was down from the last step of each life to the first of the next: a lower bound."""
    down_s: float
    """Seconds of agents that were frozen or paused, all together."""

    # -- times of rollbacks ----------------------------------------------------------------------------------------
    detect_s: float | None
    """From the first wrong step of the run to the first suspicion or proposal that names a wrong one."""
    decide_s: float | None
    """From a proposal to its last elector's decision: the median of rollbacks."""
    decide_max_s: float | None
    recover_s: float | None
    """From that decision until all that ran again has run, and all that was to be undone is: the median of those that
    were committed."""
    recover_max_s: float | None

    # -- work ------------------------------------------------------------------------------------------------------
    work_kept: float | None
    """Steps that stand, over all steps."""
    rollbacks_kept: float | None
    """Of the steps that stood when a rollback was decided, the share that it left alone: of all rollbacks together."""
    restores_would_keep: float | None
    """The share that going back to the last committed checkpoint before its roots would have left."""
    over_restore: float | None
    """The one over the other; None, too, where no checkpoint would have left anything."""
    unhandled: int
    """Inputs whose steps were undone, that nothing has handled since, and whose senders still mean them."""

    # -- wrong and innocent ----------------------------------------------------------------------------------------
    wrong: int | None
    """Steps that were wrong, by the truth that was given."""
    missed: int | None
    """Of these, those that stand and that no suspicion and no proposal has named."""
    standing: int | None
    """Of these, those that stand, named or not."""
    innocent: int | None
    """Undone steps that hang on no wrong one."""

    # -- the world outside -----------------------------------------------------------------------------------------
    effects_undone: int
    """Calls of tools that were done, and were undone."""
    damage: int | None
    """Calls of tools in the cones of wrong steps that have an effect to the end, and no right step behind them."""
    damage_final: int | None
    """Of these, those of tools that nobody can undo."""
    let_go: int | None
    """Of these, those that were requested, and let go."""

    # -- people ----------------------------------------------------------------------------------------------------
    questions: int
    """Put to persons: questions, and requests that they had to agree to."""
    unanswered: int
    """Of these."""
    human_minutes: float
    """That is asked of persons: each question, and each restore, counts so many minutes."""
    waiting_s: float
    """Seconds from questions to their answers, or to the end of the run, all together."""


NEED_TRUTH = ("detect_s", "wrong", "missed", "standing", "innocent", "damage", "damage_final", "let_go")
"""Measures that are unknown where nobody says which steps were wrong."""
