"""What users write: agents, with handlers for messages."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from peer import errors
from peer.agents.state import State
from peer.agents.tool import Tool
from peer.values import payload
from peer.values.declared import KeyKind, Migrate, Schema, schema_of
from peer.values.versioning import check_messages
from protocol.proposal import Proposal

H = TypeVar("H", bound=Callable[..., Any])

_HANDLES = "_ebbtide_handles"
_READ_ONLY = "_ebbtide_read_only"


def handles(*types: type, read_only: bool = False) -> Callable[[H], H]:
    """Mark a method as the handler of messages of these types (msgspec Structs, dataclasses, or builtins).

    With `read_only` it may look at state and spaces and report scores, and nothing else: writing, sending, calling
    tools and proposing raise ReadOnly. What it reads is not logged, since nothing can depend on its steps (ST-7).
    """

    def mark(method: H) -> H:
        setattr(method, _HANDLES, types)
        setattr(method, _READ_ONLY, read_only)
        return method

    return mark


class Agent:
    """Base of every agent: one handler call is one step, which happens whole or not at all.

    What a handler may rely on is `self.state`, spaces and tools; other attributes are memory that a restart clears
    and a rollback does not touch.
    """

    spaces: ClassVar[tuple[str, ...]] = ()
    """Shared spaces that this kind of agent reads or writes."""
    tries: ClassVar[int] = 3
    """How often a handler is tried on one input before the input is a dead letter."""
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
    state_schema: ClassVar[Schema] = Schema()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take in what the class declares.

        Raises: DeclarationRefused, for what would make a rollback wrong, or leave logs that nobody can read.
        """
        super().__init_subclass__(**kwargs)
        handlers = dict(cls.handlers)
        read_only: set[str] = set()
        seen: dict[type, str] = {}
        for name in dir(cls):
            method = getattr(cls, name, None)
            if getattr(method, _READ_ONLY, name in cls.read_only_handlers):
                read_only.add(name)
            for kind in getattr(method, _HANDLES, ()):
                other = seen.setdefault(kind, name)
                if (other in read_only) != (name in read_only):
                    raise errors.DeclarationRefused(
                        f"class {cls.__qualname__}: {other} and {name} both handle {kind.__name__}, and one of them is"
                        " read_only: whether a step is logged with its reads would depend on their names. Leave one."
                    )
                handlers[kind] = name
        cls.handlers = handlers
        cls.message_types = {kind.__name__: kind for kind in handlers}
        cls.read_only_handlers = frozenset(read_only)
        for kind in handlers:
            check_messages(kind)
        cls.state_schema = schema_of(cls)

    def still_valid(self, proposal: Proposal) -> bool | str:
        """Say whether this agent agrees to undo its part of a rollback: True, or the reason why not.

        Called once as a participant of the rollback, and again if its part has grown.
        """
        return True

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
        known = ", ".join(sorted(cls.message_types)) or "none"
        raise errors.HandlerMissing(
            f"{cls.__name__} has no handler for {name!r} (it handles: {known})."
            " The message goes to the dead letters. Add @handles(...) to a method."
        )

    @classmethod
    def tools(cls) -> dict[str, Tool[..., Any]]:
        """Return the tools that this kind of agent's handlers can see, by name: an undo may be due before any call."""
        found: dict[str, Tool[..., Any]] = {}
        for kind in cls.__mro__:
            for member in vars(kind).values():
                for value in (member, *getattr(member, "__globals__", {}).values()):
                    if isinstance(value, Tool):
                        found[value.name] = value
        return found
