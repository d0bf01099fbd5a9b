"""Whose turn it is: the method that an input is for, and what that is given."""

from typing import Any, NamedTuple

from peer import errors
from peer.agents import envelope
from peer.agents.agent import Agent
from peer.agents.context import Context
from peer.agents.every import timer_key


class Turn(NamedTuple):
    """A method of an agent's, and its arguments."""

    name: str
    arguments: tuple[Any, ...]


def turn_of(agent: Agent, ctx: Context) -> Turn | None:
    """Return whose turn an input is; None if it was for the runtime alone, which has done what there was to do.

    Raises: HandlerMissing, PayloadInvalid.
    """
    tag, body = envelope.opened(ctx.input.payload)
    match tag:
        case "":
            name, message = agent.handler_of(ctx.input.payload)
            return Turn(name, (message, ctx))
        case envelope.EVERY:
            return _every(agent, ctx, *body)
        case _:
            raise errors.HandlerMissing(f"{tag} is of a newer release. It goes to the dead letters.")


def _every(agent: Agent, ctx: Context, name: str, is_due: bool) -> Turn | None:
    seconds = agent.everies.get(name)
    if seconds is None:
        raise errors.HandlerMissing(
            f"{type(agent).__name__} has no @every method {name} any more. It goes to the dead letters, and ends here."
        )
    ctx.set_timer(seconds, envelope.sealed(envelope.EVERY, [name, True]), timer_key(name))
    return Turn(name, (ctx,)) if is_due else None
