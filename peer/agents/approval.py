"""Whom to ask before something is done: rules of an agent, and of one request (RQ-3)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from peer import errors
from peer.agents.every import checked_seconds
from peer.agents.tool import IRREVERSIBLE, Tool, encode_args
from peer.values import payload
from peer.values.brief import brief
from peer.values.fields import TEXT_CHARS_MAX, text
from protocol.agent.intents import PERSON
from protocol.step import Hold

APPROVE, REJECT, ANSWER = "approve", "reject", "answer"
LATE = "nobody has said anything in time"


class Wanted(NamedTuple):
    """What an agent is about to request, as the rules of its class see it."""

    tool: str
    kind: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    agent: str
    confidence: float | None
    """What this step has reported so far; None: nothing."""


@dataclass(frozen=True)
class Approval:
    """A person is to be asked before a tool is called.

    As a rule of a class (`approvals = (Approval(...),)`) it holds for what its `tool` and `when` say; given to one
    `ctx.request(..., approval=Approval(...))` it holds for that. Until a person has agreed the call waits, over
    restarts, and the agent goes on. One that is irreversible waits for its step to be settled besides.

    Args:
        to: who may say yes or no: persons' names or roles. Empty: anybody who may use the cluster.
        tool: the tool that the rule is about; None: every irreversible one.
        when: told what is `Wanted`; says whether to ask. None: always.
        question: for people, in place of the tool and its arguments.
        deadline: seconds after the step at which `default` counts. None: it waits on.
        default: `reject` or `approve`.
        escalate: by seconds after the step, who is asked from then on, too.

    Raises: DeclarationRefused, naming what it can't be.
    """

    to: str | tuple[str, ...] = ()
    tool: Tool[..., Any] | None = None
    when: Callable[[Wanted], bool] | None = None
    question: str = ""
    deadline: float | None = None
    default: str = REJECT
    escalate: Mapping[float, str | tuple[str, ...]] = field(default_factory=dict[float, "str | tuple[str, ...]"])

    def __post_init__(self) -> None:
        """Check what was given."""
        if self.tool is not None and not isinstance(self.tool, Tool):
            raise errors.DeclarationRefused(
                f"Approval(tool={self.tool!r}): that is no tool. Name one, or leave it out."
            )
        check_rule(self, "what is wanted")

    def concerns(self, wanted: Wanted, tool: Tool[..., Any]) -> bool:
        """Tell whether the rule has people asked. Raises: whatever `when` raises."""
        if tool.kind != IRREVERSIBLE if self.tool is None else tool.name != self.tool.name:
            return False
        return self.when is None or bool(self.when(wanted))

    def hold(self) -> Hold:
        """Return what a request waits for. Raises: CallerError, naming the value."""
        return hold_by(self, self.question, payload.encode(LATE))


def hold_for(
    rules: tuple[Approval, ...], wanted: Wanted, tool: Tool[..., Any], given: Approval | None
) -> Hold | None:  # fmt: skip
    """Return whom a call waits for, by what is given for it or by the first rule of its class that concerns it.

    Raises: CallerError, for what is no rule; and whatever a rule's `when` raises.
    """
    if given is not None and not isinstance(given, Approval):
        raise errors.CallerError(f"approval={brief(given)}: it is an Approval(...). Nothing was requested.")
    rule = given or next((each for each in rules if each.concerns(wanted, tool)), None)
    return None if rule is None else rule.hold()


def check_rule(rule: Any, of: str) -> None:
    """Check what the rules have in common by which people are asked: an `Approval`, or an `Overseer`.

    Args:
        rule: either.
        of: what its `when` is a function of.

    Raises: DeclarationRefused, naming what it can't be.
    """
    name = type(rule).__name__
    if rule.when is not None and not callable(rule.when):
        raise errors.DeclarationRefused(f"{name}(when={rule.when!r}): a function of {of}.")
    if rule.default not in (APPROVE, REJECT):
        raise errors.DeclarationRefused(f"{name}(default={rule.default!r}): it is 'approve' or 'reject'.")
    try:
        hold_by(rule, text("question", rule.question, TEXT_CHARS_MAX), b"")
    except errors.CallerError as error:
        raise errors.DeclarationRefused(f"{name}: {error}") from error


def hold_by(rule: Any, question: str, value: bytes) -> Hold:
    """Return whom something waits for by a rule, without a deadline for as long as it takes. Args as of `hold_of`.

    Raises: CallerError, naming the value.
    """
    default = "" if rule.deadline is None else rule.default
    return hold_of(question, rule.to, rule.escalate, rule.deadline, default, value)


def hold_of(
    question: str, to: str | tuple[str, ...], escalate: Mapping[float, str | tuple[str, ...]], deadline: float | None,
    default: str, value: bytes,
) -> Hold:  # fmt: skip
    """Return whom a request waits for.

    Args:
        question: for people.
        to: who is asked at once.
        escalate: by seconds, who is asked from then on, too.
        deadline: after how many seconds `default` counts; None: never.
        default: what counts then.
        value: what goes with it.

    Raises: CallerError, naming what is no name or time.
    """
    stages = [(name, 0) for name in names(to)]
    if not isinstance(escalate, Mapping):
        raise errors.CallerError(
            f"escalate={escalate!r}: seconds, and who is asked from then on: {{3600: 'director'}}."
        )
    for seconds, more in sorted(escalate.items()):
        after_us = round(checked_seconds("escalate", seconds) * 1_000_000)
        stages += [(name, after_us) for name in names(more)]
    if escalate and not names(to):
        raise errors.CallerError("escalate without `to`: anybody may say so from the start. Name who is asked first.")
    if deadline is None:
        return Hold(question, tuple(stages))
    return Hold(question, tuple(stages), default, round(checked_seconds("deadline", deadline) * 1_000_000), value)


def asked_of(
    question: Any,
    to: Any,
    options: Any,
    about: Any,
    deadline: float | None,
    default: Any,
    escalate: Mapping[float, Any],
) -> tuple[bytes, Hold]:
    """Return the arguments of a question to a person, encoded, and whom it waits for; see `Context.ask_person`.

    Raises: CallerError; PayloadUnsupported.
    """
    named = text("question", question, TEXT_CHARS_MAX, is_empty_ok=False)
    if not isinstance(options, Iterable):
        raise errors.CallerError(f"options={brief(options)}: the answers that there are, in a list. Nothing was asked.")
    shown = {"options": list(options), "about": about}
    given = encode_args((named,), {name: value for name, value in shown.items() if not _is_left_out(value)})
    said = (REJECT, payload.encode(LATE)) if default is None else (ANSWER, payload.encode([default, "", LATE]))
    return given, hold_of(named, to, escalate, deadline, *(said if deadline is not None else ("", b"")))


def _is_left_out(value: Any) -> bool:
    return value is None or (isinstance(value, list) and not value)


def names(to: Any) -> tuple[str, ...]:
    """Return persons or roles. Raises: CallerError, for what is no name."""
    given = (to,) if isinstance(to, str) else to
    if not isinstance(given, tuple | list):
        raise errors.CallerError(f"{brief(to)} names nobody: give a person's name, or a role, or several in a tuple.")
    return tuple(text("person or role", name, is_empty_ok=False) for name in given)


async def _nobody() -> None:
    raise errors.CallerError("a person answers this, and no tool")


PERSON_TOOL: Tool[..., Any] = Tool(_nobody, PERSON, None, None, "person")
"""What logs call a question to a person; there is nothing to undo in an answer."""
