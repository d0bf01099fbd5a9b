"""What users write: agents, with handlers for messages."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from peer import errors, payload
from peer.state import State
from peer.tool import Tool
from protocol.proposal import Proposal

H = TypeVar("H", bound=Callable[..., Any])

_HANDLES = "_ebbtide_handles"


def handles(*types: type) -> Callable[[H], H]:
    """Mark a method as the handler of messages of these types (msgspec Structs, dataclasses, or builtins)."""

    def mark(method: H) -> H:
        setattr(method, _HANDLES, types)
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

    state: State
    """The agent's own mapping: reads are tracked, writes are versioned and can be undone."""
    name: str
    """The agent's name in the cluster."""

    handlers: ClassVar[dict[type, str]] = {}
    message_types: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        handlers = dict(cls.handlers)
        for name in dir(cls):
            for kind in getattr(getattr(cls, name, None), _HANDLES, ()):
                handlers[kind] = name
        cls.handlers = handlers
        cls.message_types = {kind.__name__: kind for kind in handlers}

    def still_valid(self, proposal: Proposal) -> bool | str:
        """Say whether this agent agrees to undo its part of a rollback: True, or the reason why not.

        Called once as an elector, and again if its part has grown.
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
