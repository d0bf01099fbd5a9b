"""The tables of a comparison, and the page that they stand on."""

from pathlib import Path

from peer.errors import CallerError
from peer.evaluation.telling import NONE, SHARES
from sims.evaluation.comparing import Comparison
from sims.evaluation.contenders import Checking
from sims.evaluation.intervals import Interval
from sims.evaluation.playing import CHECKPOINT_S, REACTION_S, RESTORES_MAX

BEGIN, END = "<!-- what follows is written by `ebbtide evaluate` -->", "<!-- until here -->"
ROWS = {
    "utility": "utility",
    "wrong": "wrong steps",
    "standing": "wrong steps that stand",
    "missed": "missed",
    "innocent": "innocent steps undone",
    "damage": "damage",
    "damage_final": "of it, for good",
    "effects_undone": "effects undone",
    "unhandled": "inputs unhandled",
    "work_kept": "steps that stand, %",
    "over_restore": "kept, over a restore",
    "uptime": "uptime, %",
    "uptime_worst": "uptime of the worst, %",
    "detect_s": "time to detect, ms",
    "decide_s": "time to decide, ms",
    "recover_s": "time to recover, ms",
    "rollbacks": "rollbacks",
    "refused": "rollbacks refused",
    "restores": "restores",
    "human_minutes": "minutes of people",
}
"""Measures of the table, and what people call them there."""
DIFFERENCES = ("utility", "standing", "damage", "innocent", "unhandled", "human_minutes")
SCALES: dict[str, float] = dict.fromkeys(SHARES, 100.0)
SCALES |= dict.fromkeys(("detect_s", "decide_s", "recover_s"), 1000.0)


def _cell(found: Interval | None, name: str, runs: int, is_difference: bool = False) -> str:
    if found is None:
        return NONE
    scale = SCALES.get(name, 1.0)
    sign = "+" if is_difference else ""
    value, half = found.mean * scale, found.half
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    shown = f"{value:{sign},.{digits}f}".replace("-", "−")
    shown += "" if half is None else f" ± {half * scale:,.{digits}f}"
    # Where it is known of some runs only, that is to be seen: the others have nothing to be measured.
    return shown + (f" ({found.runs})" if found.runs < runs else "")


def table(found: Comparison) -> str:
    """Return the comparison as Markdown: for each kind of fault the means, and the differences to the first."""
    parts: list[str] = []
    for kind in found.kinds:
        parts += [f"**{kind}**\n", *_means(found, kind), ""]
        if len(found.contenders) > 1:
            parts += [
                f"{kind}: differences to `{found.contenders[0]}`, of the same seeds\n",
                *_differences(found, kind),
                "",
            ]
    return "\n".join(parts).rstrip() + "\n"


def _means(found: Comparison, kind: str) -> list[str]:
    lines = ["| | " + " | ".join(f"`{name}`" for name in found.contenders) + " |"]
    lines.append("| --- |" + " ---: |" * len(found.contenders))
    for name, what in ROWS.items():
        cells = [_cell(found.of(kind, each, name), name, len(found.seeds)) for each in found.contenders]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return lines


def _differences(found: Comparison, kind: str) -> list[str]:
    lines = ["| | " + " | ".join(ROWS[name] for name in DIFFERENCES) + " |"]
    lines.append("| --- |" + " ---: |" * len(DIFFERENCES))
    for each in found.contenders[1:]:
        cells = [_cell(found.difference(kind, each, name), name, len(found.seeds), True) for name in DIFFERENCES]
        lines.append(f"| `{each}` | {' | '.join(cells)} |")
    return lines


def conditions(found: Comparison, checking: Checking, minutes: float) -> str:
    """Return under what conditions it was measured, in a few sentences."""
    return (
        f"{found.setting}, seeds {min(found.seeds)} to {max(found.seeds)}; means, ± half of a 95 % confidence interval"
        " over seeds (Student's t); in brackets of how many runs, where a measure is not known of all. A checkpoint"
        f" every {CHECKPOINT_S:g} s; another agent looks again in {checking.delay_s:g} s and errs in"
        f" {checking.error:.0%} of steps; the operator goes back {REACTION_S:g} s after an alarm, {RESTORES_MAX} times"
        f" at most, and takes {minutes:g} minutes for it. Detectors:"
        f" {', '.join(f'`{each}`' for each in found.detectors)}. Utility: `{found.utility}`."
    )


def check_page(page: Path) -> None:
    """Check that a page has the marks, before minutes are spent.

    Raises: CallerError, if it is not there, or has no such marks.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise CallerError(f"{page} can't be read: {error.strerror}. Nothing was run.") from error
    if BEGIN not in text or END not in text.split(BEGIN, 1)[1]:
        raise CallerError(
            f"{page} has no lines {BEGIN!r} and {END!r}, between which the table is put. Add them. Nothing was run."
        )


def write_page(found: Comparison, page: Path, command: str, said: str) -> None:
    """Put the tables between the marks of a page.

    Args:
        found: the comparison.
        page: which `check_page` has found right.
        command: by which it was made.
        said: under what conditions.
    """
    before, rest = page.read_text(encoding="utf-8").split(BEGIN, 1)
    block = f"{BEGIN}\n\n`{command}`: {said}\n\n{table(found)}\n{END}"
    page.write_text(before + block + rest.split(END, 1)[1], encoding="utf-8")
