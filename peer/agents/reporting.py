"""What a handler says of steps: how sure it is of its own, that it doubts one, that one is to be undone."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from peer import errors
from peer.agents.proposing import rollback_draft
from peer.agents.question import checked_then
from peer.agents.suspecting import suspected, watchers_of
from peer.agents.tracked import Tracked
from peer.values.fields import NUMBERS_MAX, number, text
from protocol.ids import AgentId, StepId
from protocol.step import OutputDraft, RollbackDraft


class Reporting:
    """The part of a `Context` that speaks of steps."""

    agent: AgentId
    run: Tracked
    owner: type
    outputs: list[OutputDraft]
    rollbacks: list[RollbackDraft]
    confidence: float | None
    scores: dict[str, float]
    model: str

    def report(self, confidence: float | None = None, *, model: str | None = None, **scores: float) -> None:
        """Say how sure this step is, and what else its log should hold as numbers. Nothing hangs on them.

        Args:
            confidence: as a rule from 0 to 1; the last call of a step counts.
            model: which model, and of what version, has made this step what it is.
            scores: any numbers by name, such as `anomaly=3.2`.

        Raises: CallerError, for what is no finite number, no name, or too many scores.
        """
        self.run.check_lives("report")
        sure = None if confidence is None else number("confidence", confidence)
        named = self.model if model is None else text("model", model)
        found = {text("the name of a score", name): number(f"score {name!a}", score) for name, score in scores.items()}
        if len(self.scores | found) > NUMBERS_MAX:
            raise errors.CallerError(f"more than {NUMBERS_MAX} scores in one step. Nothing was reported. Send them.")
        self.confidence, self.model = sure, named
        self.scores.update(found)

    def suspect(self, step: StepId | str, score: float = 1.0, why: str = "", *, to: str | None = None) -> None:
        """Tell whoever watches that a step of any agent seems wrong; what comes of it, that one's policy decides.

        Args:
            step: the step, as `StepId` or as text such as `risk-2/1/88`.
            score: how wrong, as detectors say it: from 1 on it is called wrong.
            why: for people.
            to: the watcher; None: those of this agent's class (`watched_by`).

        Raises: CallerError, for what is no step, number or text, or if nobody watches this agent.
        """
        self.run.check_may("suspect a step")
        watchers = (text("to", to, is_empty_ok=False),) if to is not None else watchers_of(self.owner)
        if not watchers:
            raise errors.CallerError(
                f"nobody watches {self.owner.__name__}: name a watcher by `to=`, or as `watched_by` of the class."
                " Nothing was said."
            )
        said = suspected(step, score, why, f"agent/{self.agent}")
        self.outputs.extend(OutputDraft(watcher, said, None) for watcher in watchers)

    def rollback(
        self,
        *steps: StepId | str,
        inputs: str = "retry",
        reason: str = "",
        evidence: Any = None,
        amend: Mapping[StepId | str, Any] | None = None,
        then: str | Callable[..., Any] | None = None,
    ) -> None:
        """Propose to undo steps and all that followed from them, at whichever agents.

        Args:
            steps: the wrong steps (the roots), as `StepId`s or texts such as `risk-2/1/88`.
            inputs: what becomes of their inputs: `discard` (dead letters), `retry` (handled again), or `amend`.
            reason: for people.
            evidence: any value; a retried handler finds it in `ctx.evidence`.
            amend: corrected messages by root, for `amend`.
            then: a method `(self, ended, ctx)` that is told how it has ended, by a `RolledBack`. That is an input of
                its own, which hangs on nothing: it stands though this step is undone by the rollback.
        """
        self.run.check_may("propose a rollback")
        draft = rollback_draft(steps, inputs, reason, evidence, amend or {})
        named = "" if then is None else checked_then(self.owner, then)
        self.rollbacks.append(replace(draft, then=named))
