"""What a proposer tries next where agents do not agree to go back: strategies, in order, each a proposal of its own."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from peer import errors
from peer.agents.failures import clean
from peer.agents.past import as_step
from peer.cluster.outcome import Attempt, Compensation, Outcome, Plan
from protocol.ids import AgentId, StepId

STRATEGIES_MAX = 16
"""Of one rollback: whoever is refused so often is not to be agreed with."""
PREVIEWS_MAX = 64
"""Roots whose cones `narrower` looks at, one by one; of more it looks at their agents alone."""
WHY_CHARS_MAX = 500
"""Of the rejects that the next proposal's reason tells."""


@dataclass(frozen=True)
class RollbackRequest:
    """A rollback as it is wanted: see `Cluster.rollback`. A strategy changes it by `dataclasses.replace`."""

    steps: tuple[StepId | str, ...]
    inputs: str = "retry"
    reason: str = ""
    evidence: Any = None
    amend: Mapping[StepId | str, Any] | None = None


class Previews(Protocol):
    """What strategies may ask of the cluster."""

    async def preview(self, *steps: StepId | str) -> Plan:
        """Return what a rollback of these steps would undo, and at which agents."""
        ...

    async def compensate(self, *steps: StepId | str, reason: str) -> Compensation:
        """Counter what these steps, and all that followed from them, have done to the world; they stand."""
        ...


@dataclass(frozen=True)
class Refused:
    """What a strategy is given: a rollback that was not agreed to."""

    request: RollbackRequest
    """What was proposed last."""
    outcome: Outcome
    attempts: tuple[Attempt, ...]
    """All so far, the first proposal included."""
    cluster: Previews

    @property
    def rejects(self) -> dict[AgentId, str]:
        """Who has not agreed to the last proposal, and why."""
        return dict(self.outcome.rejects)


Next = RollbackRequest | Compensation | None
Strategy = Callable[[Refused], Next | Awaitable[Next]]
"""Returns what to propose next, None if it has nothing to propose, or what it has countered; plain or async."""
Propose = Callable[[RollbackRequest], Awaitable[Outcome]]


def amend_with(make: Callable[[Refused], Any]) -> Strategy:
    """Propose the same steps once more, with corrected inputs that are true now.

    Args:
        make: is given the refusal, and returns corrected messages by root, or None if there are none; plain or async.
    """

    async def strategy(refused: Refused) -> Next:
        amend = await _awaited(make(refused))
        if amend is None:
            return None
        if not isinstance(amend, Mapping):
            raise errors.CallerError(f"amend_with got {amend!r}: it is corrected messages by root, or None.")
        return replace(refused.request, inputs="amend", amend=amend)

    return _named(strategy, "amend_with", make)


async def narrower(refused: Refused) -> Next:
    """Propose a smaller cone: without those steps that would undo something at an agent that has rejected.

    It has nothing to propose if no step is left, or if leaving out any is of no help. Each step's own cone is looked
    at, as `preview` tells it; of more than 64 steps it is only looked whose they are.

    Raises: as `Cluster.preview`.
    """
    request, unwilling = refused.request, refused.rejects.keys()
    left = [step for step in request.steps if as_step(step).agent not in unwilling]
    if len(left) <= PREVIEWS_MAX:
        left = [step for step in left if unwilling.isdisjoint((await refused.cluster.preview(step)).agents)]
    if not left or len(left) == len(request.steps):
        return None
    kept = {as_step(step) for step in left}
    amend = {root: message for root, message in (request.amend or {}).items() if as_step(root) in kept}
    return replace(request, steps=tuple(left), amend=amend or None)


async def forward(refused: Refused) -> Next:
    """Counter what the steps have done to the world, where nobody goes back: see `Cluster.compensate`. The steps stand.

    Raises: as `Cluster.compensate`.
    """
    request = refused.request
    whys = clean(_whys(refused.outcome.rejects), WHY_CHARS_MAX)
    reason = f"{request.reason} [instead of {refused.outcome.proposal}, rejected by {whys}]".strip()
    return await refused.cluster.compensate(*request.steps, reason=reason)


def ask_person(callback: Callable[[Refused], Any]) -> Strategy:
    """Let somebody decide.

    Args:
        callback: shows the refusal to whoever decides, and returns what to propose; True: the same once more, since
            whatever was in the way is settled; None or False: nothing. Plain or async; it takes as long as it takes.
    """

    async def strategy(refused: Refused) -> Next:
        said = await _awaited(callback(refused))
        if said is None or said is False:
            return None
        if said is not True and not isinstance(said, RollbackRequest):
            raise errors.CallerError(
                f"ask_person got {said!r}: it is a RollbackRequest, True for the same once more, or None."
            )
        return refused.request if said is True else said

    return _named(strategy, "ask_person", callback)


def checked_strategies(given: Any) -> tuple[Strategy, ...]:
    """Return strategies as they were given: one, or several in order.

    Raises: CallerError, naming what is none, or how many are too many.
    """
    found: tuple[Any, ...] = tuple(given) if isinstance(given, Sequence) else (given,)
    for each in found:
        if not callable(each):
            raise errors.CallerError(
                f"if_rejected: {each!r} is no strategy. Nothing was proposed. Give narrower, amend_with(...),"
                " ask_person(...), or a function that takes what was refused."
            )
    if len(found) > STRATEGIES_MAX:
        raise errors.CallerError(
            f"if_rejected: {len(found)} strategies, more than {STRATEGIES_MAX}. Nothing was proposed. Leave some out."
        )
    return found


async def replanned(
    request: RollbackRequest, strategies: tuple[Strategy, ...], propose: Propose, cluster: Previews
) -> Outcome:
    """Propose a rollback, and what strategies make of it, each once, until one is agreed to; return the last outcome.

    Raises: what proposing and strategies raise, with a note that says what was proposed before.
    """
    outcome = await propose(request)
    attempts = [_attempt("", request, outcome)]
    for strategy in strategies:
        if outcome.committed:
            break
        try:
            wanted = await _awaited(strategy(Refused(request, outcome, tuple(attempts), cluster)))
            if wanted is None:
                attempts.append(Attempt(name_of(strategy)))
                continue
            if isinstance(wanted, Compensation):
                attempts.append(Attempt(name_of(strategy), steps=_steps(request)))
                return replace(outcome, attempts=tuple(attempts), compensation=wanted)
            if not isinstance(wanted, RollbackRequest):
                raise errors.CallerError(
                    f"{name_of(strategy)} returned {wanted!r}: it is a RollbackRequest, or None. Nothing was proposed."
                )
            told = _reason(wanted.reason, len(attempts) + 1, name_of(strategy), outcome)
            request, outcome = wanted, await propose(replace(wanted, reason=told))
        except Exception as error:
            before = "; ".join(f"{each.proposal}: {_whys(each.rejects)}" for each in attempts if each.proposal)
            error.add_note(f"It came of if_rejected, by {name_of(strategy)}. What was rejected before: {before}.")
            raise
        attempts.append(_attempt(name_of(strategy), request, outcome))
    return replace(outcome, attempts=tuple(attempts))


def name_of(strategy: Strategy) -> str:
    """Return what people know a strategy by."""
    return str(getattr(strategy, "__name__", type(strategy).__name__))


def _named(strategy: Any, name: str, function: Any) -> Strategy:
    inner = getattr(function, "__name__", "")
    strategy.__name__ = f"{name}({inner})" if inner and inner != "<lambda>" else name
    return strategy


def _attempt(by: str, request: RollbackRequest, outcome: Outcome) -> Attempt:
    return Attempt(by, outcome.proposal, _steps(request), request.inputs, outcome.committed, outcome.rejects)


def _steps(request: RollbackRequest) -> tuple[StepId, ...]:
    return tuple(sorted({as_step(step) for step in request.steps}))


def _reason(reason: str, number: int, by: str, outcome: Outcome) -> str:
    """Say in a proposal's reason, which stands in the log, what it follows."""
    whys = clean(_whys(outcome.rejects), WHY_CHARS_MAX)
    return f"{reason} [attempt {number}, by {by}, after {outcome.proposal} was rejected by {whys}]".strip()


def _whys(rejects: tuple[tuple[AgentId, str], ...]) -> str:
    return "; ".join(f"{agent}: {why}" for agent, why in rejects)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
