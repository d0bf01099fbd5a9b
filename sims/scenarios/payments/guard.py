"""The bank with a guard: detectors look at the scorers' steps, and the auditor is asked before anything is undone.

The guard sees what scorers report, and no threshold. A change of that is noticed by a chart of sums, and the auditor
looks at each step since then: it names those that are against the policy, or says that all are right. Then the alarm
was false: nothing is undone, and the guard's limit rises.
"""

from typing import Any

from peer import Context, handles
from peer.detectors import Bounds, Cusum, LookAgain
from peer.watching import ConfirmFirst, Learned, Watcher, doubted
from sims.scenarios.payments.agents import AuditDue, Auditor, RiskScorer, Scored
from sims.scenarios.payments.checks import Check, Log
from sims.scenarios.payments.data import Payment

GUARD = "guard"
RATIO_MEAN, RATIO_SD = -0.516, 0.312
"""Of what scorers report in runs without a fault (seeds 1001 to 1003, 5,987 steps)."""
LOOKS, LOOK_S = 40, 0.1
"""How often the auditor looks whether it has heard how steps ended, and how soon again."""


class WatchedScorer(RiskScorer):
    """A scorer that is watched."""

    watched_by = GUARD


class Guard(Watcher):
    """Watches the scorers."""

    detectors = (
        Cusum("ratio", h=6.0, mean=RATIO_MEAN, sd=RATIO_SD),
        Bounds("ratio", RATIO_MEAN - 4 * RATIO_SD, RATIO_MEAN + 4 * RATIO_SD),
    )
    policy = ConfirmFirst()
    checker = "auditor"
    # The auditor is asked before anything is undone: a false alarm costs no more than that.
    limit = Learned(explore=0.0, patience=8, vain=0.0)


class AskedAuditor(Auditor):
    """An auditor that answers the guard, and has steps undone itself only in the end."""

    def _note(self, payment: Payment, scored: Scored, held: bool) -> bool:
        is_wrong = super()._note(payment, scored, held)
        self.state["heard", scored.step] = is_wrong
        return is_wrong

    @handles(AuditDue)
    async def audit(self, message: AuditDue, ctx: Context) -> None:
        """Send out what is right, and leave what is wrong to the guard, but for what it has missed in the end."""
        if message.is_last or not self.state.get("wrong"):
            await super().audit(message, ctx)

    @handles(LookAgain)
    async def look_again(self, message: LookAgain, ctx: Context) -> None:
        """Say which of some steps are wrong, once it has heard how all of them ended."""
        self._answer([str(step) for step in message.suspicion.steps], str(ctx.question), 1, ctx)

    @handles(tuple)
    async def look_once_more(self, message: tuple[Any, ...], ctx: Context) -> None:
        """Some had not ended yet."""
        steps, question, looks = message
        self._answer(list(steps), question, looks, ctx)

    def _answer(self, steps: list[str], question: str, looks: int, ctx: Context) -> None:
        heard = {step: self.state.get(("heard", step)) for step in steps}
        if None in heard.values() and looks < LOOKS:
            ctx.after(LOOK_S, (steps, question, looks + 1))
            return
        wrong = [step for step, is_wrong in heard.items() if is_wrong]
        ctx.reply(wrong or True, to=question)


def judge_guard(log: Log, state: dict[Any, Any]) -> Check:
    """Nothing was undone by an alarm that nobody had confirmed, and what was found right stands."""
    cases = doubted(state)
    open_ = [case.step for case in cases if case.state == "open"]
    right = {case.step for case in cases if case.what == "right"}
    own = [each for each in log.audited if each["id"].startswith(GUARD)]
    bare = [each["id"] for each in own if "confirmed by" not in each["reason"]]
    undone = sorted(right & {root for each in own for root in each["roots"]})
    passed = not (open_ or bare or undone)
    wrong = f"open: {open_[:3]}; not confirmed: {bare[:3]}; undone all the same: {undone[:3]}"
    detail = told(state) if passed else wrong
    return Check("detectors undo nothing that was not confirmed", passed, detail)


def told(state: dict[Any, Any]) -> str:
    """Say how many alarms there were, and what came of them."""
    cases = doubted(state)
    confirmed = sum(case.was_undone for case in cases)
    overturned = sum(case.what == "right" for case in cases)
    limits = ", ".join(f"{key[1]} {value:.2f}" for key, value in sorted(state.items(), key=str) if key[0] == "limit")
    return f"{confirmed} alarms confirmed, {overturned} overturned" + (f"; limits by now: {limits}" if limits else "")
