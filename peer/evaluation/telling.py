"""The measures of one run as a page for people."""

from rich.console import Console
from rich.table import Table

from peer.evaluation.measures import NEED_TRUTH, Measures

UNKNOWN, NONE = "unknown", "–"
"""Nobody knows, since nobody has said which steps were wrong; there was nothing to be measured."""

PAGE: dict[str, dict[str, str]] = {
    "the run": {
        "run_s": "its time, s", "agents": "agents", "steps": "steps ever made", "rollbacks": "rollbacks, committed",
        "refused": "rollbacks, refused", "undecided": "rollbacks, undecided", "restores": "restores",
    },
    "uptime of agents": {
        "uptime": "neither frozen nor paused, mean", "uptime_worst": "the same, of the worst agent",
        "uptime_least": "mean, with gaps between lives as down", "down_s": "frozen or paused, agent-seconds",
    },
    "time to": {
        "detect_s": "detect: first wrong step to first true word, s", "decide_s": "decide: median, s",
        "decide_max_s": "decide: longest, s", "recover_s": "recover: median, s", "recover_max_s": "recover: longest, s",
    },
    "work": {
        "work_kept": "steps that stand, of all", "rollbacks_kept": "kept by rollbacks, of what stood",
        "restores_would_keep": "the last checkpoint would have kept", "over_restore": "the one over the other",
        "unhandled": "inputs that nobody handled in the end", "innocent": "innocent steps undone",
    },
    "wrong steps": {
        "wrong": "wrong steps", "missed": "missed: never named, and stand", "standing": "stand in the end",
    },
    "the world outside": {
        "effects_undone": "effects undone", "damage": "damage: effects of wrong steps that stay",
        "damage_final": "of these, nobody can undo", "let_go": "of these, requests let go",
    },
    "people": {
        "questions": "questions", "unanswered": "of these, unanswered", "human_minutes": "minutes asked for",
        "waiting_s": "waited for answers, s",
    },
}  # fmt: skip
"""Headings, and under each the measures with what people call them."""
SHARES = ("uptime", "uptime_worst", "uptime_least", "work_kept", "rollbacks_kept", "restores_would_keep")


def shown(name: str, value: float | None, knows_truth: bool) -> str:
    """Return a measure as people read it."""
    if value is None:
        return UNKNOWN if name in NEED_TRUTH and not knows_truth else NONE
    if name in SHARES:
        return f"{100 * value:.2f} %"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.1f}"


def page(found: Measures, worth: float | None, utility: str, console: Console) -> None:
    """Print the measures of a run.

    Args:
        found: the measures.
        worth: what the utility says; None: it can't be said.
        utility: which one.
        console: where to.
    """
    knows = found.wrong is not None
    table = Table("", "measure", "")
    table.columns[2].justify = "right"
    for heading, names in PAGE.items():
        for at, (name, what) in enumerate(names.items()):
            table.add_row(heading if at == 0 else "", what, shown(name, getattr(found, name), knows))
        table.add_section()
    table.add_row("utility", "see below", UNKNOWN if worth is None else f"{worth:,.1f}")
    console.print(table, markup=False, highlight=False)
    console.print(f"Utility: {utility}", markup=False, highlight=False)
    if not knows:
        console.print("Nobody has said which steps were wrong (--truth FILE): what hangs on that is unknown, not 0.")
