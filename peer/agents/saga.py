"""Sagas: work over several agents and any time that is finished as a whole, or undone as a whole.

What begins a saga is a step, and what belongs to it is that step's cone: whatever followed from it, at whichever agent.
So nobody keeps a list, and a saga that fails is a rollback of its first step, whose input is handled again as what has
become of it. Its effects are undone in the reverse of the order in which they followed from each other (EF-6). What is
known of a saga is a key of its agent's state that handlers do not see, so it is as durable and undoable as the rest.
Source: sagas, Garcia-Molina and Salem 1987; checks before the end as in SagaLLM, Chang and Geng 2025.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from peer import errors
from peer.agents.envelope import MARK, SAGA_FAIL, SAGA_FAILED, SAGA_LATE, SAGA_STUCK, content, sealed
from peer.agents.every import checked_seconds
from peer.agents.failures import is_ours, told
from peer.agents.question import checked_then
from peer.agents.tracked import Tracked
from peer.values import payload
from peer.values.fields import TEXT_CHARS_MAX, text
from peer.values.key_text import OWN_MARK, decode_key, encode_key
from protocol.ids import StepId
from protocol.proposal import Amendment
from protocol.step import Input, OutputDraft, RollbackDraft

OPEN, COMMITTED, FAILED, STUCK = "open", "committed", "failed", "stuck"
STUCK_S = 5.0
"""After which a saga that failed and still stands is said to be stuck: its rollback was rejected."""
CHECKS_MAX = 100
LATE = "its time is over"


@dataclass(frozen=True)
class Saga:
    """Names a saga: put it into messages, so that whoever gets them can join it, or have it fail."""

    agent: str
    """Who has begun it, and ends it."""
    name: str
    root: str
    """The step that has begun it, as text."""


@dataclass(frozen=True)
class SagaFailed:
    """What a saga's `failed` method is told."""

    name: str
    message: Any
    """What the step that began the saga had handled."""
    why: str
    by: str
    """Who has said so: an agent, or `ext:` and who from outside."""
    undone: bool = True
    """All that belonged to it is undone, or being undone. False: it could not be, and stands: somebody has refused, as
    a rule since something was let go that nobody can undo."""


class Check(NamedTuple):
    """What came of one check before a saga is committed."""

    name: str
    holds: bool
    text: str


class Kept(NamedTuple):
    """What an agent remembers of a saga that it has begun."""

    status: str
    root: str
    parent: str = ""
    failed: str = ""
    checks: Sequence[str] = ()
    message: bytes = b""
    why: str = ""
    by: str = ""
    evidence: Sequence[Sequence[Any]] = ()

    def stored(self) -> bytes:
        """Return it as state has it."""
        return payload.encode(list(self))


def kept_of(data: bytes) -> Kept:
    """Return what is remembered of a saga."""
    found: Any = payload.decode(data)
    return Kept(*found)


class Doing(Protocol):
    """What a saga needs of the step that is run: see `peer.agents.context.Context`."""

    agent: str
    step: StepId
    input: Input
    run: Tracked
    owner: type
    outputs: list[OutputDraft]
    rollbacks: list[RollbackDraft]
    backwards: bool

    def set_timer(self, seconds: float, data: bytes, key: str | None) -> None:
        """Set a timer."""
        ...

    def unset_timer(self, key: str) -> None:
        """Call a timer off."""
        ...


def state_key(name: str) -> str:
    """Return the text of the key under which a saga is kept."""
    return encode_key((f"{OWN_MARK}saga", name))


_KEYS = state_key("").rpartition('""')[0]
"""Begins the texts of such keys."""


def _timer_key(name: str) -> str:
    return f"{MARK}saga/{name}"


class SagaScope:
    """A saga in a step's hands: `async with ctx.saga(...) as saga`, or without a block.

    What raises inside the block ends the saga, and is not raised on: it is undone, also what this step has done.

    Args:
        doing: the step.
        saga: which.
        agent: the agent whose step it is.
    """

    def __init__(self, doing: Doing, saga: Saga, agent: Any = None) -> None:
        self._doing = doing
        self._agent = agent
        self.ref = saga
        """Put this into messages."""

    @property
    def name(self) -> str:
        """Its name, at the agent that has begun it."""
        return self.ref.name

    @property
    def is_own(self) -> bool:
        """Whether this agent has begun it."""
        return self.ref.agent == self._doing.agent

    async def __aenter__(self) -> Self:
        """Go on with it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """End it if the block has raised. What has to be tried again later is raised on, and what ends the run."""
        if not isinstance(error, Exception) or is_ours(error) or isinstance(error, errors.Unready):
            return False
        self.fail(told(error))
        return True

    def fail(self, why: str, *, by: str = "") -> None:
        """Have the saga fail: all that belongs to it is undone once this step is durable, this step too if it does.

        Its agent then handles the message that began it once more, by the saga's `failed` method. A saga that is over,
        or fails already, is left as it is.

        Args:
            why: for people, and for `failed`.
            by: who says so; this agent if left out.
        """
        reason = text("why", why, TEXT_CHARS_MAX)
        self._doing.run.check_may(f"have saga {self.name} fail")
        who = by or self._doing.agent
        if not self.is_own:
            said = sealed(SAGA_FAIL, [self.name, self.ref.root, reason, who])
            self._doing.outputs.append(OutputDraft(self.ref.agent, said))
            return
        kept = self._kept()
        root = StepId.parse(kept.root)
        fails = any(root in draft.roots for draft in self._doing.rollbacks)
        if kept.status not in (OPEN, STUCK) or fails:
            return
        again = sealed(SAGA_FAILED, [self.name, kept.failed, kept.message, reason, who, kept.parent])
        shown = f"saga {self.name} of {self._doing.agent} failed: {reason}"
        self._doing.rollbacks.append(
            RollbackDraft((root,), "amend", shown, payload.encode(shown), (Amendment(root, again),))
        )
        # This step hangs on the saga's first one, so it is undone with it, and the timer too, which comes if it stands.
        self._doing.set_timer(STUCK_S, sealed(SAGA_STUCK, [self.name, reason, who]), _timer_key(self.name))

    async def commit(self) -> bool:
        """End the saga well, if its checks hold; else it fails.

        Returns: whether it is committed. What each check has said stands in the log with this step.

        Raises: CallerError, if another agent has begun it, it is over, or one within it is not.
        """
        self._doing.run.check_may(f"commit saga {self.name}")
        if not self.is_own:
            raise errors.CallerError(
                f"saga {self.name} was begun by {self.ref.agent}, which alone commits it. Nothing changed. Tell it so."
            )
        kept = self._kept()
        if kept.status != OPEN:
            raise errors.CallerError(f"saga {self.name} is {kept.status} already. Nothing changed.")
        inner = self._open_within()
        if inner:
            raise errors.CallerError(
                f"saga {self.name} has others within that are open: {', '.join(inner)}. Nothing changed."
            )
        found = [await self._look(name) for name in kept.checks]
        evidence = [list(check) for check in found]
        why = "; ".join(f"{check.name}: {check.text}" for check in found if not check.holds)
        if why:
            self._doing.run.write(state_key(self.name), kept._replace(evidence=evidence).stored())
            self.fail(why)
            return False
        self._doing.run.write(state_key(self.name), kept._replace(status=COMMITTED, evidence=evidence).stored())
        self._doing.unset_timer(_timer_key(self.name))
        return True

    async def _look(self, name: str) -> Check:
        method = getattr(self._agent, name, None)
        if method is None:
            return Check(name, False, f"{type(self._agent).__name__} has no such method any more")
        try:
            answer = method(self._doing)
            answer = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            if is_ours(error) or isinstance(error, errors.Unready):
                raise
            return Check(name, False, f"failed: {told(error)}")
        return Check(name, answer is True, "" if answer is True else str(answer or "does not hold")[:TEXT_CHARS_MAX])

    def _kept(self) -> Kept:
        data = self._doing.run.read(state_key(self.name))
        if data is None:
            raise errors.CallerError(f"{self._doing.agent} has begun no saga {self.name!r}. Nothing changed.")
        return kept_of(data)

    def _open_within(self) -> list[str]:
        run, found = self._doing.run, list[str]()
        for key, data in ({key: data for key, data, _ in run.versions.read_all()} | run.writes).items():
            # Looked at without hanging on it; what is within this one is read for good.
            if data is None or not is_kept(key) or kept_of(data).parent != self.name:
                continue
            inner = run.read(key)
            if inner is not None and kept_of(inner).status == OPEN:
                found.append(name_of(key))
        return found


def is_kept(key: str) -> bool:
    """Tell whether a key is one under which a saga is kept."""
    return key.startswith(_KEYS)


def failing(name: str, why: str, by: str) -> bytes:
    """Return the message that has an agent's saga fail."""
    return sealed(SAGA_FAIL, [name, "", why, by])


def name_of(key: str) -> str:
    """Return the name of the saga that is kept under a key."""
    found: Any = decode_key(key)
    return found[1]


def saga_of(
    doing: Doing, agent: Any, saga: Any, failed: Any, checks: Sequence[Any], deadline: float | None, within: Any
) -> SagaScope:
    """Return a saga that a step begins, goes on with, or joins; see `Context.saga`.

    Raises: CallerError.
    """
    if isinstance(saga, Saga):
        return SagaScope(doing, saga, agent)
    name = text("name of a saga", saga, is_empty_ok=False)
    doing.run.check_may(f"begin saga {name}")
    data = doing.run.read(state_key(name))
    found = None if data is None else kept_of(data)
    if found is not None and found.status in (OPEN, STUCK):
        return SagaScope(doing, Saga(doing.agent, name, found.root), agent)
    parent = ""
    if within is not None:
        outer = within.ref if isinstance(within, SagaScope) else within
        if not isinstance(outer, Saga) or outer.agent != doing.agent:
            raise errors.CallerError(f"within={within!r}: it is a saga that this agent has begun. Nothing was begun.")
        parent = outer.name
        data = doing.run.read(state_key(parent))  # so that this one hangs on the other's first step
        if data is None or kept_of(data).status != OPEN:
            raise errors.CallerError(f"saga {parent} is not open. Nothing was begun.")
    then = "" if failed is None else checked_then(doing.owner, failed)
    if len(checks) > CHECKS_MAX:
        raise errors.CallerError(f"{len(checks)} checks; the limit is {CHECKS_MAX}. Nothing was begun.")
    names = [_check_name(doing.owner, check) for check in checks]
    kept = Kept(OPEN, str(doing.step), parent, then, names, doing.input.payload)
    doing.run.write(state_key(name), kept.stored())
    if deadline is not None:
        doing.set_timer(checked_seconds("deadline", deadline), sealed(SAGA_LATE, name), _timer_key(name))
    return SagaScope(doing, Saga(doing.agent, name, str(doing.step)), agent)


def _check_name(owner: type, check: Callable[..., Any] | str) -> str:
    name = check if isinstance(check, str) else getattr(check, "__name__", "")
    if not name or not callable(getattr(owner, name, None)):
        raise errors.CallerError(
            f"check {check!r}: {owner.__name__} has no such method, by which a later life of the agent could find it."
            " Nothing was begun."
        )
    return name


# -- what comes to the agent that has begun it ---------------------------------------------------------------------


def had_failed(doing: Doing, types: dict[str, type], body: Any) -> tuple[str, SagaFailed]:
    """The first step's input is handled again, as what has become of the saga; return its method, and what for."""
    name, method, message, why, by, parent = body
    doing.backwards = True
    kept = Kept(FAILED, str(doing.step), parent, method, (), b"", why, by)
    doing.run.write(state_key(name), kept.stored())
    return method, SagaFailed(name, content(message, types), why, by)


def has_failed_elsewhere(doing: Doing, agent: Any, name: str, root: str, why: str, by: str) -> str:
    """Somebody says that a saga has failed; return why nobody heeds that, or nothing."""
    data = doing.run.read(state_key(name))
    kept = None if data is None else kept_of(data)
    if kept is None or kept.status not in (OPEN, STUCK) or (root and kept.root != root):
        state = "not known" if kept is None else kept.status
        return f"saga {name} is {state} here, and {by} says that it has failed: {why}"
    SagaScope(doing, Saga(doing.agent, name, kept.root), agent).fail(why, by=by)
    return ""


def is_stuck(doing: Doing, types: dict[str, type], name: str, why: str, by: str) -> tuple[str, SagaFailed] | None:
    """A saga that has failed still stands; return its method and what that is told, if it has one."""
    data = doing.run.read(state_key(name))
    kept = None if data is None else kept_of(data)
    if kept is None or kept.status != OPEN:
        return None
    doing.run.write(state_key(name), kept._replace(status=STUCK, why=why, by=by).stored())
    return kept.failed, SagaFailed(name, content(kept.message, types), why, by, undone=False)
