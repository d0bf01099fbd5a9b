"""How often inputs were tried in vain in this life of an agent, and when each is tried again (ST-6, ST-8)."""

from protocol.ids import Lineage
from protocol.limits import Limits
from protocol.step import StepDraft

_WAITS = " waits"
"""Counts apart what was none of the input's fault; no policy's rule is called that."""
_DOUBLINGS_MAX = 20


class Failures:
    """The failures of one agent's inputs, by input and by the rule of the policy that each fell under."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._counts: dict[Lineage, dict[str, int]] = {}

    def of(self, lineage: Lineage) -> dict[str, int]:
        """Return how often an input has failed, by rule: whoever runs it again decides by that."""
        return dict(self._counts.get(lineage, {}))

    def again_us(self, lineage: Lineage, draft: StepDraft) -> int | None:
        """Count one more failure; return how long the input waits until it is tried again, None if it is given up."""
        rule = _WAITS if draft.waits else draft.rule
        counts = self._counts.setdefault(lineage, {})
        failures = counts[rule] = counts.get(rule, 0) + 1
        limits = self._limits
        # Under a rule it is the policy that gives up, and says so.
        is_last = not draft.rule and failures >= limits.failures_max
        if draft.poison or (is_last and not draft.waits):
            return None
        if draft.again_us is not None and not draft.waits:
            return draft.again_us
        # ST-8: one that waits for what it can't bring about is tried for ever, no more often than messages are resent.
        return min(limits.failure_wait_us << min(failures - 1, _DOUBLINGS_MAX), limits.resend_us_max)

    def forget(self, lineage: Lineage) -> None:
        """An input was handled, or is given up: it has all its tries, if it comes again."""
        self._counts.pop(lineage, None)
