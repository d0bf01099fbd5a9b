"""Agents that handlers make and end: whether one is there now follows from its state alone (NA-1).

What makes an agent is a message like any other, and handling it a step like any other: it writes a key that handlers do
not see, and that every later step of the agent reads. So whoever undoes the step that has made an agent undoes all that
it has ever done, and it is there no more. That it is retired is another such key.
"""

from typing import Protocol

from peer import errors
from peer.agents.agent import Agent
from peer.agents.context import Context
from peer.agents.kinds import path_of
from peer.agents.making import Making
from peer.agents.unstarted import Unstarted, kind_of
from peer.values import payload
from peer.values.key_text import OWN_MARK, encode_key
from protocol.ids import StepId

MADE_KEY = encode_key((f"{OWN_MARK}made",))
"""By whom an agent was made: the step, as text."""
RETIRED_KEY = encode_key((f"{OWN_MARK}retired",))
"""Which step has retired it, as text."""
COMING_S = 10.0
"""How long what is sent to an agent that is not there waits for that; then it is a dead letter until it comes."""


class Seen(Protocol):
    """What an agent's state is read from."""

    def read(self, key: str) -> tuple[bytes | None, StepId | None]:
        """Return a key's surviving value, and whose it is."""
        ...


def absence(versions: Seen, is_made: bool) -> str:
    """Return why an agent does not handle what comes: `retired`, `not made`; empty if it does."""
    if versions.read(RETIRED_KEY)[0] is not None:
        return "retired"
    return "not made" if is_made and versions.read(MADE_KEY)[0] is None else ""


def check_there(agent: Agent, ctx: Context) -> None:
    """Check that an agent is there to handle an input; the step then hangs on the one that has made it.

    Raises: AgentAbsent, if it is retired, or does not come; NotMade, if it may come soon.
    """
    by = ctx.run.versions.read(RETIRED_KEY)[0]
    if by is not None:
        raise errors.AgentAbsent(f"{agent.name} was retired by {payload.decode(by)}. To have it back, undo that step.")
    if not ctx.origin.is_made or ctx.run.read(MADE_KEY) is not None:
        if isinstance(agent, Unstarted):
            raise errors.Unready(agent.why)
        return
    text = f"{agent.name} is not there: the step that is to make it has not come, or is undone"
    if ctx.origin.absent_s() < COMING_S:
        raise errors.NotMade(text)
    raise errors.AgentAbsent(f"{text}. If it is made after all this is handled.")


def make(agent: Agent, ctx: Context, making: Making) -> None:
    """Begin to be there.

    Raises: AgentAbsent, if the name is taken; NotMade, if who is up under that name is of another class or has other
        options, and has to be replaced first; AgentBroken, if its class has raised.
    """
    by = ctx.run.versions.read(MADE_KEY)[0]
    if not ctx.origin.is_made or by is not None:
        whose = "was launched" if by is None else f"was made by {payload.decode(by)}"
        raise errors.AgentAbsent(
            f"there is an agent {agent.name!r} already, which {whose}: {ctx.sender} has made none. Give each a name of"
            " its own."
        )
    if (making.kind, making.options) != (path_of(kind_of(agent)), ctx.origin.options):
        ctx.origin.replace(making.kind, making.options)
        raise errors.NotMade(f"{agent.name} is brought up as {making.kind}")
    if isinstance(agent, Unstarted):
        raise errors.AgentBroken(agent.why)
    ctx.run.read(MADE_KEY)
    ctx.run.write(MADE_KEY, payload.encode(str(ctx.input.producer)))


def retire(ctx: Context) -> None:
    """Handle nothing any more; a second time changes nothing."""
    if ctx.run.read(RETIRED_KEY) is None:
        ctx.run.write(RETIRED_KEY, payload.encode(str(ctx.input.producer)))
