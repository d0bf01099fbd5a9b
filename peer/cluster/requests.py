"""Requests that wait to be let go, or for people, as people look at them, and say what becomes of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import time_ns
from typing import Any

from peer import errors
from peer.agents.approval import PERSON_TOOL
from peer.agents.oversight import looks_like_rollback
from peer.agents.tool import decode_args
from peer.cluster.effects import somebody
from peer.host import questions
from peer.host.people import pause_act, tier_act
from peer.host.questions import Pause, RequestAnswer, Say, SetTier
from peer.people.person import Act, Person
from peer.values import payload
from peer.values.brief import brief, shown
from peer.values.texts import NAME_CHARS_MAX, REASON_CHARS_MAX, asked_name, check_text
from protocol.ids import AgentId, Lineage, StepId

Ask = Callable[[AgentId, str, bytes], Awaitable[bytes]]
_NOTHING = "Nothing changed."


@dataclass(frozen=True)
class PendingRequest:
    """What an agent has requested, and nobody has called or answered: its step is not settled, or people are asked."""

    name: Lineage
    agent: AgentId
    step: StepId
    """The step that has requested it: undone, it is forgotten."""
    tool: str
    """`person`: a question to people."""
    kind: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    since_us: int
    """When its step ran, in microseconds since 1970."""
    until_us: int | None
    """When it is given up if it was not let go, or when its default counts; None: never."""
    question: str
    """What people are asked; empty where nobody is."""
    asks: tuple[str, ...]
    """Persons or roles whose word is awaited, or will be later; with `question`, empty: anybody's."""
    approved: str | None
    """Who agrees already; it waits for its step to be settled."""
    _ask: Ask = field(repr=False, compare=False)
    stages: tuple[tuple[str, int], ...] = ()
    """Who is asked, each with how many microseconds after the step from which on."""
    group: str = ""
    """The group that it is let go with, or not at all; empty: none."""
    undo: str = ""
    """Of a tool: what undoing it would mean (`undone by refund, at a cost of 2 %`; `can't be undone`)."""

    @property
    def waits_for_people(self) -> bool:
        """Whether people are asked, and nobody has said anything yet."""
        return bool(self.question) and self.approved is None

    async def release(self, note: str, *, by: str | None = None, as_: Person | None = None) -> None:
        """Let it go now, though its step is not settled, and whoever was to be asked; see `Cluster.release`."""
        await say(self._ask, "release", self.agent, self.name, note, by, as_, step=str(self.step))

    async def approve(self, note: str = "", *, by: str | None = None, as_: Person | None = None) -> None:
        """Agree that it is let go; see `Cluster.approve`."""
        await say(self._ask, "approve", self.agent, self.name, note, by, as_, step=str(self.step), value=self._part())

    async def reject(self, note: str = "", *, by: str | None = None, as_: Person | None = None) -> None:
        """Have it not called; see `Cluster.reject`."""
        await say(self._ask, "reject", self.agent, self.name, note, by, as_, step=str(self.step), value=self._part())

    async def answer(
        self, value: Any, note: str = "", *, by: str | None = None, as_: Person | None = None
    ) -> None:  # fmt: skip
        """Answer a question; see `Cluster.answer`."""
        await say(self._ask, "answer", self.agent, self.name, note, by, as_, step=str(self.step), value=value)

    def _part(self) -> Any:
        """Return how many steps a rollback undoes, as whoever says a word of it was told (RB-13); else None."""
        return self.kwargs.get("steps") if looks_like_rollback(self.name) else None


def pending(agent: AgentId, found: RequestAnswer, ask: Ask) -> PendingRequest:
    """Return a request as people look at it."""
    args, kwargs = decode_args(found.args)
    hold, until_us = found.hold, found.until_us
    question, asks = "", tuple[str, ...]()
    if hold is not None:
        given = "" if found.tool == PERSON_TOOL.name else found.tool + shown(args)
        question, asks = hold.question or given, tuple(name for name, _ in hold.stages)
        until_us = until_us or (found.since_us + hold.default_us if hold.default else 0)
    return PendingRequest(
        found.name, agent, found.step, found.tool, found.kind, args, kwargs, found.since_us, until_us or None, question,
        asks, found.approved, ask, () if hold is None else hold.stages,
        "" if found.group is None else found.group.id, found.undo,
    )  # fmt: skip


def unseen(agent: AgentId, name: Lineage, ask: Ask) -> PendingRequest:
    """Return a request of which nothing is known but its name: it does not wait."""
    check_text("request", name, NAME_CHARS_MAX, _NOTHING)
    return PendingRequest(name, agent, StepId(agent, 0, 0), "", "", (), {}, 0, None, "", (), None, ask)


async def say(
    ask: Ask, verb: str, agent: AgentId, name: Any, note: Any, by: Any, as_: Any, *, step: str = "", value: Any = None,
) -> None:  # fmt: skip
    """Say what becomes of a request.

    Raises: CallerError, if it does not wait for that, or for what is no name, text or person; NotEntitled, if it is
        another's to say; AgentUnknown, AskTimeout.
    """
    wanted = check_text("request", name, NAME_CHARS_MAX, _NOTHING)
    note = check_text("note", note, REASON_CHARS_MAX, _NOTHING, least=1 if verb == "release" else 0)
    given = b"" if value is None and verb != "answer" else payload.encode(value)
    who, proof = _signed(Act(verb, asked_name(agent), wanted, step, note, given, now_us()), by, as_)
    await ask(agent, "say", questions.encode(Say(verb, wanted, step, note, who, given, proof)))


async def pause(ask: Ask, agent: AgentId, is_on: bool, note: Any, by: Any, as_: Any) -> str:
    """Pause an agent, or let it go on; return by whom it is paused, and why.

    Raises: CallerError, for what is no text or person; NotEntitled, AgentUnknown, AskTimeout.
    """
    note = check_text("note", note, REASON_CHARS_MAX, _NOTHING, least=0)
    who, proof = _signed(pause_act(asked_name(agent), is_on, note, now_us()), by, as_)
    return (await ask(agent, "pause", questions.encode(Pause(is_on, note, who, proof)))).decode()


async def set_tier(ask: Ask, agent: AgentId, tier: Any, note: Any, by: Any, as_: Any) -> None:
    """Set an agent's tier.

    Raises: CallerError, if its class has no such tier, or for what is no text or person; NotEntitled, AgentUnknown,
        AskTimeout.
    """
    wanted = check_text("tier", tier, NAME_CHARS_MAX, _NOTHING)
    note = check_text("note", note, REASON_CHARS_MAX, _NOTHING)
    who, proof = _signed(tier_act(asked_name(agent), wanted, note, now_us()), by, as_)
    await ask(agent, "tier", questions.encode(SetTier(wanted, note, who, proof)))


def now_us() -> int:
    """Return the time that is signed with what people say."""
    return time_ns() // 1000


def _signed(act: Act, by: Any, as_: Any) -> tuple[str, bytes]:
    """Return who says something, and what shows it. Raises: CallerError, for what is no name or person."""
    if as_ is None:
        return check_text("by", (somebody() or "somebody") if by is None else by, NAME_CHARS_MAX, _NOTHING), b""
    if not isinstance(as_, Person):
        raise errors.CallerError(f"as_={brief(as_)}: it is a Person. {_NOTHING} Person.load(file) reads one's key.")
    return as_.name, as_.proof(act)
