"""What users write: agents, with handlers for messages."""

from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from types import FunctionType, UnionType
from typing import Any, ClassVar, TypeVar

import msgspec

from peer import errors
from peer.agents.approval import Approval
from peer.agents.conditions import Condition, Marked, conditions_of, marks_of
from peer.agents.declaring import check_settings, declared_by, is_other, visible_tools
from peer.agents.every import everies_of
from peer.agents.keys import outside_space
from peer.agents.oversight import Overseer
from peer.agents.retry import Retry
from peer.agents.state import State
from peer.agents.terms import Terms, checked_terms, mark_terms, terms_of
from peer.agents.tier import Tier
from peer.agents.tool import Tool
from peer.values import payload
from peer.values.declared import KeyKind, Migrate, Schema, schema_of
from peer.values.versioning import check_messages
from protocol.ids import StepId
from protocol.proposal import Proposal

H = TypeVar("H", bound=Callable[..., Any])

_HANDLES = "_ebbtide_handles"
_READ_ONLY = "_ebbtide_read_only"


def handles(
    *types: type, read_only: bool = False, retry: Retry | None = None, timeout: float | None = None,
) -> Callable[[H], H]:  # fmt: skip
    """Mark a method as the handler of messages of these types (msgspec Structs, dataclasses, or builtins).

    With `retry` it is tried on one message as often as that says, in place of its class's `retry` and `tries`.

    With `timeout` it may take so many seconds, its tools' calls included: then it is cancelled, and has failed with
    HandlerTimeout, which is a TimeoutError. A plain function's thread can't be stopped: what it still does to state
    and `ctx` goes nowhere.

    With `read_only` it may look at state and spaces and report scores, and nothing else: writing, sending, calling
    tools and proposing raise ReadOnly. What it reads is not logged, since nothing can depend on its steps (ST-7).
    """

    for kind in types:
        if not isinstance(kind, type):
            raise errors.DeclarationRefused(f"@handles({_shown(kind)}): {_remedy(kind)}")
    if not types:
        raise errors.DeclarationRefused("@handles() names no type of messages: write @handles(Message).")

    terms = checked_terms(f"@handles({', '.join(map(_shown, types))})", retry, timeout)

    def mark(method: H) -> H:
        mark_terms(method, terms)
        setattr(method, _HANDLES, types)
        setattr(method, _READ_ONLY, read_only)
        return method

    return mark


def _shown(kind: Any) -> str:
    return getattr(kind, "__qualname__", repr(kind))


def _remedy(kind: Any) -> str:
    if isinstance(kind, FunctionType):
        return "it needs the types of messages: write @handles(Message) above the method."
    if kind is None:
        return "None is no type: write type(None)."
    if isinstance(kind, UnionType):
        return "name the types one by one: @handles(A, B)."
    return "that is no class of messages. Name a Struct, a dataclass or a builtin type."


class Agent:
    """Base of every agent: one handler call is one step, which happens whole or not at all.

    What a handler may rely on is `self.state`, spaces and tools; other attributes are memory that a restart clears
    and a rollback does not touch.
    """

    spaces: ClassVar[tuple[str, ...]] = ()
    """Shared spaces that this kind of agent reads or writes."""
    tries: ClassVar[int] = 3
    """How often a handler is tried on one input before the input is a dead letter."""
    attempts: ClassVar[int | None] = None
    """How often one input is run, where rollbacks undo each run and give it back, before it is a dead letter; None: as
    `Limits.attempts_max` says."""
    retry: ClassVar[Retry | None] = None
    """By which errors it is tried how often, and after which waits; None: `tries` times, whatever the error."""
    consent_s: ClassVar[float] = 10.0
    """For how many seconds `still_valid`, and each precondition beside it, may think about a rollback."""
    approvals: ClassVar[tuple[Approval, ...]] = ()
    """Before which tools a person is to be asked: the first rule that concerns a call counts."""
    overseers: ClassVar[tuple[Overseer, ...]] = ()
    """Who is to agree to a rollback before this agent does: the first rule that concerns its part counts."""
    tiers: ClassVar[dict[str, Tier]] = {}
    """How far people can trust it: the first is the one that it begins with; `cluster.set_tier` sets another."""
    tiers_by: ClassVar[str | tuple[str, ...]] = ()
    """Who may set its tier: persons' names or roles. Empty: anybody who may use the cluster."""
    watched_by: ClassVar[str | tuple[str, ...]] = ()
    """Which agents are told of each of its steps: watchers, whose detectors look at them (docs/guide/detectors.md)."""
    keys: ClassVar[dict[str, KeyKind]] = {}
    """Keys that are not simply kept in the log: `derived`, `secret` or `bulky`. Tuples go by their first element."""
    state_version: ClassVar[int] = 1
    """Of the values that this class writes; whoever changes their form raises it."""
    migrations: ClassVar[dict[int, Migrate]] = {}
    """By version, what makes a value of the next: called with the key and the value when an old one is read."""

    state: State
    """The agent's own mapping: reads are tracked, writes are versioned and can be undone."""
    name: str
    """The agent's name in the cluster."""

    handlers: ClassVar[dict[type, str]] = {}
    message_types: ClassVar[dict[str, type]] = {}
    read_only_handlers: ClassVar[frozenset[str]] = frozenset()
    everies: ClassVar[dict[str, float]] = {}
    terms: ClassVar[dict[str, Terms]] = {}
    conditions: ClassVar[tuple[Condition, ...]] = ()
    marks: ClassVar[dict[str, Marked]] = {}
    state_schema: ClassVar[Schema] = Schema()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take in what the class declares.

        Raises: DeclarationRefused, for what would make a rollback wrong, or leave logs that nobody can read.
        """
        super().__init_subclass__(**kwargs)
        found = declared_by(cls, _HANDLES, _READ_ONLY)
        cls.handlers = found.handlers
        cls.message_types = {kind.__name__: kind for kind in found.handlers}
        cls.read_only_handlers = found.read_only
        cls.everies = everies_of(cls, cls.everies)
        cls.terms = terms_of(cls, cls.terms)
        cls.conditions = conditions_of(cls, Agent, cls.marks)
        cls.marks = marks_of(cls, cls.marks)
        for kind in cls.handlers:
            check_messages(kind)
        check_settings(cls)
        cls.state_schema = schema_of(cls)
        cls.spaces = (*dict.fromkeys((*cls.spaces, *_outside(cls.tools().values()))),)

    def still_valid(self, proposal: Proposal, *past: Any, **more: Any) -> Any:
        """Say whether this agent agrees to undo its part of a rollback: True, or the reason why not.

        Written as `def still_valid(self, proposal, then, now)`, or with `proposal` alone; plain, in a thread, or async.
        `then` and `now` are mappings like `self.state`, to be read until it returns: the state right before the oldest
        step of the agent's part, less what is undone by now, and the state as it stands, the part included. Nothing
        depends on what is read of them.

        Called once as a participant of the rollback, and again if its part has grown. One that raises, or takes longer
        than `consent_s`, rejects.
        """
        return True

    async def _compensated(self, result: Any, ctx: Any) -> None:
        """What the agent was to have countered has come to its end, and stands in the log: see `Cluster.compensate`."""

    def on_start(self) -> Any:
        """Told once, before the first handler ever runs: open what lives in a process. It may be a coroutine function.

        Hooks have no step, so they can't read or write `self.state`, send or call; one that fails is told, and nothing
        else changes.
        """

    def on_restart(self) -> Any:
        """Told before the first handler of each later life runs: attributes are as `__init__` left them."""

    def on_undone(self, steps: tuple[StepId, ...]) -> Any:
        """Told after steps of this agent were undone, in the order in which that came to be: to drop what is cached.

        A step may be told of more than once, over restarts; none is told of that was undone before this life.
        """

    @classmethod
    def handler_of(cls, data: bytes) -> tuple[str, Any]:
        """Return the name of the handler for an encoded message, and the message.

        Raises: HandlerMissing, PayloadInvalid.
        """
        name = payload.type_name(data)
        if not name or name in cls.message_types:
            message = payload.decode_message(data, cls.message_types)
            for kind in type(message).__mro__:
                if kind in cls.handlers:
                    return cls.handlers[kind], message
            name = name or type(message).__name__
        raise errors.HandlerMissing(
            f"{cls._lacks(repr(name))} The message goes to the dead letters. Add @handles(...) to a method."
        )

    @classmethod
    def check_handles(cls, message: object) -> None:
        """Check that there is a handler for a message, which would not be taken for one of another class of its name.

        Raises: HandlerMissing, naming both classes, or what is handled.
        """
        kind = type(message)
        other = cls.message_types.get(kind.__name__)
        is_class = isinstance(message, msgspec.Struct) or is_dataclass(message)
        if is_class and other is not None and is_other(kind, other):
            name = (
                f"{kind.__module__}.{kind.__qualname__}, which is another than {other.__module__}.{other.__qualname__}"
            )
            raise errors.HandlerMissing(f"{cls._lacks(name)} Nothing was sent. Give one of them another name.")
        if other is None if is_class else not any(each in cls.handlers for each in kind.__mro__):
            raise errors.HandlerMissing(
                f"{cls._lacks(repr(kind.__name__))} Nothing was sent. Add @handles(...) to a method, or send what it"
                " handles."
            )

    @classmethod
    def _lacks(cls, name: str) -> str:
        known = ", ".join(sorted(cls.message_types)) or "none"
        return f"{cls.__name__} has no handler for {name} (it handles: {known})."

    @classmethod
    def tools(cls) -> dict[str, Tool[..., Any]]:
        """Return the tools that this kind of agent's handlers can see, by name: an undo may be due before any call.

        Raises: DeclarationRefused, if two of them have one name, so that one could be undone by the other.
        """
        found: dict[str, Tool[..., Any]] = {}
        for tool in visible_tools(cls):
            other = found.setdefault(tool.name, tool)
            if other is not tool and not tool.identity.is_same(other.identity):
                raise errors.DeclarationRefused(
                    f"class {cls.__qualname__} sees two tools that are called {tool.name}: nobody could tell which one"
                    " a call in a log means, so that it could be undone by the other. Give each a name of its own:"
                    " @tool(name=...)."
                )
        return found


def _outside(tools: Iterable[Tool[..., Any]]) -> list[str]:
    """Return the spaces that tools touch outside."""
    return [outside_space(scope) for tool in tools for scope in (*tool.reads, *tool.writes)]
