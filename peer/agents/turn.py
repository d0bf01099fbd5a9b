"""Whose turn it is: the method that an input is for, and what that is given."""

from typing import Any, NamedTuple

from peer import errors
from peer.agents import envelope, saga
from peer.agents.agent import Agent
from peer.agents.context import Context
from peer.agents.countering import HANDLER, requested
from peer.agents.every import timer_key
from peer.agents.making import Making
from peer.agents.presence import absence, check_there, make, retire
from peer.agents.question import question_of
from peer.agents.rolled_back import ended


class Turn(NamedTuple):
    """A method of an agent's, and its arguments; or, without one, what people should know."""

    name: str
    arguments: tuple[Any, ...]
    dropped: str = ""
    requested: tuple[str, bytes] | None = None
    """A tool's name and arguments, if the first argument is what has come of that request."""


def turn_of(agent: Agent, ctx: Context) -> Turn | None:
    """Return whose turn an input is; None if it was for the runtime alone, which has done what there was to do.

    Raises: HandlerMissing, PayloadInvalid; AgentAbsent, NotMade.
    """
    tag, body = envelope.opened(ctx.input.payload)
    if tag == envelope.MAKE:
        return make(agent, ctx, Making(*body))
    if tag == envelope.EVERY and absence(ctx.run.versions, ctx.origin.is_made):
        return None  # it is set again when the agent is there
    if tag == envelope.COMPENSATE:
        ctx.outputs.append(requested(agent.name, *body))
        return None  # also of an agent that is retired: what it did may be countered
    if tag != envelope.REQUEST or body[0] != HANDLER:
        check_there(agent, ctx)
    match tag:
        case "":
            name, message = agent.handler_of(ctx.input.payload)
            return Turn(name, (message, ctx))
        case envelope.EVERY:
            return _every(agent, ctx, *body)
        case envelope.ASK:
            named, asked = body
            ctx.question = question_of(ctx.sender, named)
            name, message = agent.handler_of(asked)
            return Turn(name, (message, ctx))
        case envelope.ANSWER:
            return _then(agent, ctx, *body)
        case envelope.TIME_OUT:
            return _then(agent, ctx, body, None)
        case envelope.REQUEST:
            return _result(agent, ctx, *body)
        case envelope.SAGA_FAIL:
            dropped = saga.has_failed_elsewhere(ctx, agent, *body)
            return Turn("", (), dropped) if dropped else None
        case envelope.SAGA_LATE:
            saga.has_failed_elsewhere(ctx, agent, body, "", saga.LATE, agent.name)
            return None
        case envelope.SAGA_FAILED:
            return _saga(agent, ctx, saga.had_failed(ctx, agent.message_types, body))
        case envelope.SAGA_STUCK:
            return _saga(agent, ctx, saga.is_stuck(ctx, agent.message_types, *body))
        case envelope.ROLLED_BACK:
            name, *said = body
            _check_there(agent, name, "was to be told how a rollback has ended")
            return Turn(name, (ended(*said), ctx))
        case envelope.RETIRE:
            return retire(ctx)
        case _:
            raise errors.HandlerMissing(f"{tag} is of a newer release. It goes to the dead letters.")


def _saga(agent: Agent, ctx: Context, found: tuple[str, saga.SagaFailed] | None) -> Turn | None:
    if found is None or not found[0]:
        return None
    name, failed = found
    _check_there(agent, name, f"was to be told that saga {failed.name} has failed")
    return Turn(name, (failed, ctx))


def _result(agent: Agent, ctx: Context, name: str, tool: str, given: bytes) -> Turn:
    _check_there(agent, name, f"was to handle what came of {tool}")
    return Turn(name, (None, ctx), requested=(tool, given))


def _check_there(agent: Agent, name: str, what: str) -> None:
    """Raises: HandlerMissing, if the agent's class has lost a method that an input is for."""
    if not callable(getattr(agent, name, None)):
        raise errors.HandlerMissing(
            f"{type(agent).__name__} has no method {name} any more, which {what}. It goes to the dead letters. Bring"
            " the method back."
        )


def _every(agent: Agent, ctx: Context, name: str, is_due: bool) -> Turn | None:
    seconds = agent.everies.get(name)
    if seconds is None:
        raise errors.HandlerMissing(
            f"{type(agent).__name__} has no @every method {name} any more. It goes to the dead letters, and ends here."
        )
    ctx.set_timer(seconds, envelope.sealed(envelope.EVERY, [name, True]), timer_key(name))
    return Turn(name, (ctx,)) if is_due else None


def _then(agent: Agent, ctx: Context, name: str, value: bytes | None) -> Turn | None:
    """Return whose turn an answer is, or that there is none; the first to come closes the question."""
    found = ctx.take_open(name)
    if found is None:
        # What is cancelled does not come; a time-out whose handling was undone may, after an answer.
        return None if value is None else Turn("", (), f"the answer of {ctx.sender} to {name} came too late, or twice")
    _check_there(agent, found.then, f"was to handle the answer of {found.agent}")
    return Turn(found.then, (found.answer(type(agent), agent.message_types, value), ctx))
