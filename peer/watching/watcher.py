"""An agent that watches others: its detectors look at each of their steps, and its policy decides what comes of it.

It is an agent like any other. What it has seen hangs on the steps that it has seen: if one is undone, it was never
there, neither in a mean nor in a sum. What it decides stands in its log, and can be rolled back itself. What it has
learnt from comes as inputs from outside the cone, how a rollback has ended and what people say, and stays.
"""

from random import Random
from typing import Any, ClassVar

from msgspec.structs import replace

from peer import errors
from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.agents.countering import compensating
from peer.agents.question import Answer
from peer.agents.request import Result
from peer.agents.rolled_back import RolledBack
from peer.detectors.port import Detector
from peer.detectors.seen import Finding, Seen
from peer.detectors.suspicion import STEPS_MAX, LookAgain, Suspicion, Verdict
from peer.watching.case import COMPENSATE, CONFIRM, ESCALATE, IGNORE, REVISE, UNDO, VERBS, Case, Foresight
from peer.watching.chances import chance_of
from peer.watching.doubted import CASE
from peer.watching.limits import Labelled, Learned
from peer.watching.policy import LeastCost, Policy
from peer.watching.tools import FORESEE, HOLD, LET_GO, foresight
from peer.watching.window import Windows
from protocol.ids import StepId
from protocol.step import OutputDraft

AUDIT = "audit"
"""A step below the limit is looked at all the same, by chance: only so it comes out what the limit misses."""
NAMED_MAX = 8
"""Of steps in a reason."""
UNDECIDED = (CONFIRM, ESCALATE, UNDO, REVISE)
"""After these it is not over yet."""
OPEN, OVER = "open", "over"
RIGHT, WRONG = "right", "wrong"


class Watcher(Agent):
    """Watches the agents whose classes name it as `watched_by`. A cluster may have any number of them.

    Users make a class of it that says with what:

        class Guard(Watcher):
            detectors = (Confidence(below=0.4), Ewma("amount"))
            checker = "auditor"
    """

    detectors: ClassVar[tuple[Detector, ...]] = ()
    """What looks at each step."""
    policy: ClassVar[Policy] = LeastCost()
    """Decides what comes of a suspicion."""
    limit: ClassVar[Learned | float] = 1.0
    """From which score on a suspicion counts, in units of the detector's own limit; or how that is learnt."""
    checker: ClassVar[str] = ""
    """An agent that handles `LookAgain`, and answers True or why the step is wrong; empty: there is none."""
    check_s: ClassVar[float] = 30.0
    """For how many seconds its answer is waited for; then a person is asked, or the steps are undone."""
    people: ClassVar[str | tuple[str, ...] | None] = None
    """Who is asked: persons' names or roles; an empty tuple: anybody who may use the cluster; None: nobody."""
    people_s: ClassVar[float | None] = None
    """For how many seconds; then the steps are right. None: however long it takes."""

    def __init__(self) -> None:
        self._windows = Windows(self.detectors)

    # -- noticing --------------------------------------------------------------------------------------------------

    @handles(Seen)
    async def see(self, message: Seen, ctx: Context) -> None:
        """A step of an agent that is watched."""
        found = self._windows.see(self.state, message)
        alarms = [(each, finding) for each, finding in found if finding.score >= self._limit(each.name)]
        if alarms:
            # The one that is surest in its own units: detectors that look at one thing say so together.
            detector, finding = max(alarms, key=lambda pair: pair[1].score / self._limit(pair[0].name))
            await self._decide(self._suspicion(message, detector, finding), message.revised, ctx)
        elif found and isinstance(self.limit, Learned) and self.checker:
            detector, finding = max(found, key=lambda pair: pair[1].score / self._limit(pair[0].name))
            audit = self.limit.audit(finding.score, self._limit(detector.name))
            # The same if this step has to run again.
            if Random(f"{ctx.agent}/{message.step}").random() < audit:
                self._ask(AUDIT, self._suspicion(message, detector, finding), audit, ctx)

    def _suspicion(self, seen: Seen, detector: Detector, finding: Finding) -> Suspicion:
        # Where a change has crept in, every step since then was made by what has changed.
        steps = (seen.step,) if finding.since is None else self._windows.since(finding.since)[-STEPS_MAX:]
        return Suspicion(steps, finding.score, finding.evidence, detector.name, detector.version)

    @handles(Suspicion)
    async def suspected(self, message: Suspicion, ctx: Context) -> None:
        """Somebody else doubts steps: an agent, a person, a system outside."""
        if message.steps and message.score >= self._limit(message.detector):
            await self._decide(message, False, ctx)

    async def _decide(self, found: Suspicion, revised: bool, ctx: Context) -> None:
        agent, first = found.steps[0].agent, str(found.steps[0])
        if self.state.get(("doubt", agent)) is not None:
            # What is noticed meanwhile may follow from the doubted step, or from what it has done to the statistics. If
            # that is undone, so is this, and the steps are looked at again; if not, its turn comes.
            self.state["later", agent] = [*self.state.get(("later", agent), []), [_kept(found), revised]]
            return
        try:
            seen, intents = foresight(await ctx.call(FORESEE, [str(step) for step in found.steps]))
        except (errors.ToolFailed, errors.EffectInDoubt, errors.StepUnknown) as error:
            # What had to wait for its turn may be final by then: a checkpoint has dropped it from its agent's log.
            if len(found.steps) > 1:
                for half in _halves(found):
                    await self._decide(half, revised, ctx)
                return
            self._note(found, OVER, IGNORE, f"nobody can tell what undoing it would undo: {error}")
            return
        if seen.steps == 0:
            self._note(found, OVER, IGNORE, "it is undone already")
            return
        case = self._case(found, revised, seen)
        ruling = self.policy.rule(case)
        ctx.report(model=found.detector, score=found.score, chance=case.chance, limit=case.limit)
        if ruling.holds and ruling.verb in UNDECIDED:
            await ctx.call(HOLD, agent, _holder(ctx, first), ruling.why)
        match ruling.verb:
            case "confirm":
                self._ask(CONFIRM, found, 1.0, ctx, ruling.why)
            case "escalate":
                self._ask_people(found, 1.0, ruling.why, ctx)
            case "undo" | "revise":
                self._undo(ruling.verb, found, 1.0, "", ruling.why, ctx)
            case "compensate":
                said = compensating(intents, f"{found.detector}: {ruling.why}", ctx.agent)
                ctx.outputs.append(OutputDraft(agent, said, None))
                await self._over(found, COMPENSATE, ruling.why, ctx)
            case "ignore":
                await self._over(found, IGNORE, ruling.why, ctx)
            case other:
                raise errors.CallerError(f"{self.policy!r} rules {other!r}: it is one of {', '.join(VERBS)}.")

    def _case(self, found: Suspicion, revised: bool, seen: Foresight) -> Case:
        return Case(
            found, self.chance(found.detector, found.score), self._limit(found.detector), seen, revised,
            bool(self.checker), self.people is not None,
        )  # fmt: skip

    async def _over(self, found: Suspicion, what: str, why: str, ctx: Context) -> None:
        """A case is decided, and nothing of it is undone: what was noticed meanwhile has its turn."""
        step = found.steps[0]
        self._note(found, OVER, what, why)
        doubted, holder = self.state.get(("doubt", step.agent), ["", ""])
        if doubted != str(step):
            return  # what doubted it is undone, and its hold with it; or the other half is to come
        await ctx.call(LET_GO, step.agent, holder, "it is decided")
        del self.state["doubt", step.agent]
        later = self.state.pop(("later", step.agent), [])
        for joined, revised in _joined([(_restored(kept), revised) for kept, revised in later]):
            await self._decide(joined, revised, ctx)

    # -- confirming ------------------------------------------------------------------------------------------------

    def _ask(self, verb: str, found: Suspicion, propensity: float, ctx: Context, why: str = "") -> None:
        if verb == CONFIRM:
            self._doubt(found, CONFIRM, why, ctx)
        self.state["open", str(found.steps[0])] = [propensity, verb]
        ctx.ask(self.checker, LookAgain(found.steps[0], found), then=self.checked, timeout=self.check_s)

    async def checked(self, answer: Answer, ctx: Context) -> None:
        """Another agent has looked again, or has not answered."""
        check: LookAgain = answer.asked
        found, late = check.suspicion, f"{self.checker} has not answered"
        opened = self.state.pop(("open", str(check.step)), None)
        if opened is None:
            return
        propensity, verb = opened
        if answer.value is not None:
            wrong, why = _wrong(found, answer.value)
            await self._found(found, wrong, propensity, answer.agent, why, ctx)
        elif verb == AUDIT:
            return
        elif self.people is not None:
            self._ask_people(found, propensity, late, ctx)
        else:
            self._undo(REVISE, found, propensity, "", late, ctx)

    def _ask_people(self, found: Suspicion, propensity: float, why: str, ctx: Context) -> None:
        step = found.steps[0]
        self._doubt(found, ESCALATE, why, ctx)
        self.state["asked", str(step)] = [_kept(found), propensity]
        # A deadline without a word: as things stand, nothing is undone.
        timed = {} if self.people_s is None else {"deadline": self.people_s, "default": RIGHT}
        ctx.ask_person(
            f"is {step} wrong?", to=self.people or (), options=(WRONG, RIGHT), about=[str(step), _shown(found), why],
            then=self.answered, **timed,
        )  # fmt: skip

    async def answered(self, result: Result, ctx: Context) -> None:
        """A person has looked."""
        step = result.kwargs["about"][0]
        kept = self.state.pop(("asked", step), None)
        if kept is not None:
            found, propensity = _restored(kept[0]), kept[1]
            by = result.by or "nobody, in time"
            wrong = found.steps if result.value == WRONG else ()
            await self._found(found, wrong, propensity, by, result.note, ctx)

    async def _found(
        self, found: Suspicion, wrong: tuple[StepId, ...], propensity: float, by: str, why: str, ctx: Context
    ) -> None:
        if wrong:
            if wrong[0] != found.steps[0]:
                self._note(found, OVER, RIGHT, f"by {by}; wrong: {', '.join(map(str, wrong[:NAMED_MAX]))}")
            self._undo(REVISE, replace(found, steps=wrong), propensity, by, why, ctx)
            return
        self._learn(found.detector, Labelled(found.score, False, propensity))
        await self._over(found, RIGHT, f"by {by}", ctx)

    # -- undoing ---------------------------------------------------------------------------------------------------

    def _undo(
        self, verb: str, found: Suspicion, propensity: float, by: str, why: str, ctx: Context, learns: bool = True
    ) -> None:
        said = f"{_shown(found)}{f'; confirmed by {by}' if by else ''}{f': {why}' if why else ''}"
        self._doubt(found, verb, said, ctx)
        evidence = {
            "detector": found.detector, "version": found.version, "score": found.score, "found": dict(found.evidence),
            "by": by, "why": why, "propensity": propensity, "verb": verb, "learns": learns,
        }  # fmt: skip
        inputs = "discard" if verb == UNDO else "retry"
        ctx.rollback(*found.steps, inputs=inputs, reason=said, evidence=evidence, then=self.decided)

    async def decided(self, ended: RolledBack, ctx: Context) -> None:
        """A rollback is over. This hangs on nothing that was undone, so what is learnt here stays."""
        told: dict[str, Any] = ended.evidence
        found = Suspicion(ended.roots, told["score"], told["found"], told["detector"], told["version"])
        if told["by"] and told["learns"]:
            self._learn(found.detector, Labelled(found.score, True, told["propensity"]))
        if ended.committed:
            by = f"confirmed by {told['by']}" if told["by"] else ""
            await self._over(found, f"{ended.undone} steps undone", by, ctx)
            return
        why = "; ".join(f"{agent}: {each}" for agent, each in ended.rejects)
        if len(found.steps) > 1:
            # What can't be undone of one of them need not keep the others.
            for half in _halves(found):
                self._undo(told["verb"], half, told["propensity"], told["by"], told["why"], ctx, learns=False)
            return
        if self.people is not None and not told["by"]:
            self._ask_people(found, told["propensity"], f"not undone, since {why}", ctx)
        else:
            await self._over(found, "refused", why, ctx)

    # -- learning --------------------------------------------------------------------------------------------------

    @handles(Verdict)
    async def verdict(self, message: Verdict, ctx: Context) -> None:
        """A person says what was true of a step, whatever was decided: an alarm was false, or one was missed."""
        case = self.state.observe((CASE, str(message.step)))
        known = case is not None
        detector, score = (case[2], case[3]) if known else (f"person/{message.by}", 0.0)
        word = WRONG if message.wrong else RIGHT
        self.state[CASE, str(message.step)] = [OVER, f"{word}, says {message.by}", detector, score, message.why]
        if known:
            self._learn(detector, Labelled(score, message.wrong))

    def chance(self, detector: str, score: float) -> float:
        """Return the chance that a step of such a score is wrong, by what came of earlier ones."""
        # What was decided by it is not undone when what was learnt is: nothing hangs on it.
        known = self.state.observe(("known", detector), [])
        return chance_of(score, [(each[0], each[1], 1 / each[2]) for each in known])

    def _limit(self, detector: str) -> float:
        first = self.limit.first if isinstance(self.limit, Learned) else self.limit
        return self.state.observe(("limit", detector), first)

    def _learn(self, detector: str, step: Labelled) -> None:
        kept = self.limit.keep if isinstance(self.limit, Learned) else Learned().keep
        known = [*self.state.get(("known", detector), []), [step.score, step.wrong, step.propensity]][-kept:]
        self.state["known", detector] = known
        if isinstance(self.limit, Learned):
            before = self._limit(detector)
            after = self.limit.next(before, [Labelled(*each) for each in known])
            if after != before:
                self.state["limit", detector] = after

    def _doubt(self, found: Suspicion, what: str, why: str, ctx: Context) -> None:
        agent, first = found.steps[0].agent, str(found.steps[0])
        self._note(found, OPEN, what, why)
        # Whatever becomes of the case, also if only later steps are wrong: under one name its requests are held.
        _, holder = self.state.get(("doubt", agent), ["", _holder(ctx, first)])
        self.state["doubt", agent] = [first, holder]

    def _note(self, found: Suspicion, state: str, what: str, why: str) -> None:
        self.state[CASE, str(found.steps[0])] = [state, what, found.detector, found.score, why]


def _halves(found: Suspicion) -> tuple[Suspicion, Suspicion]:
    middle = len(found.steps) // 2
    return replace(found, steps=found.steps[:middle]), replace(found, steps=found.steps[middle:])


def _joined(found: list[tuple[Suspicion, bool]]) -> list[tuple[Suspicion, bool]]:
    """Return what was noticed meanwhile, by whichever detector, as one suspicion or a few: one look is enough."""
    if not found:
        return []
    top, revised = max(found, key=lambda pair: pair[0].score)
    steps = sorted({step for each, _ in found for step in each.steps})
    chunks = [tuple(steps[at : at + STEPS_MAX]) for at in range(0, len(steps), STEPS_MAX)]
    return [(replace(top, steps=chunk), revised) for chunk in chunks]


def _wrong(found: Suspicion, said: Any) -> tuple[tuple[StepId, ...], str]:
    """Return which steps an answer calls wrong, and why."""
    if said is True:
        return (), ""
    if isinstance(said, list | tuple):
        named = set(map(str, said))
        steps = tuple(step for step in found.steps if str(step) in named)
        return steps, f"{len(steps)} of {len(found.steps)}"
    return found.steps, str(said)


def _shown(found: Suspicion) -> str:
    more = "".join(f", {name} {value}" for name, value in sorted(found.evidence.items()))
    return f"{found.detector} says {found.score:.3g}{more}"


def _holder(ctx: Context, step: str) -> str:
    return f"{ctx.agent}/{step}"


def _kept(found: Suspicion) -> list[Any]:
    return [[str(step) for step in found.steps], found.score, dict(found.evidence), found.detector, found.version]


def _restored(kept: list[Any]) -> Suspicion:
    steps, *rest = kept
    return Suspicion(tuple(map(StepId.parse, steps)), *rest)
