"""What it takes to bring an agent up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from peer import errors
from peer.agents.agent import Agent
from peer.agents.attempts import Attempts
from peer.agents.failures import one_line, told, where
from peer.agents.making import MADE
from peer.values import payload
from protocol.ids import AgentId


@dataclass(frozen=True)
class AgentSpec:
    """An agent to bring up on a host."""

    name: AgentId
    kind: type[Agent]
    options: dict[str, Any] = field(default_factory=dict)
    lost: bool = False
    """The end of its log is gone: begin a new incarnation and let everything go that depended on it."""
    unheard: int = 0
    """With `lost`: lives that may have been begun elsewhere after those in the log: they count as lost, too."""

    @property
    def is_made(self) -> bool:
        """Whether a handler has made it: then it is there as long as the step that did stands (NA-1)."""
        return MADE in self.options


def check_movable(specs: Sequence[AgentSpec]) -> None:
    """Check that a successor could bring agents up elsewhere: their options have to be plain values.

    Raises: CallerError, naming the agent.
    """
    for spec in specs:
        try:
            payload.encode(spec.options)
        except errors.PayloadUnsupported as error:
            raise errors.CallerError(
                f"with replicas, options of agents go to other hosts; those of {spec.name!r}: {error}"
            ) from error


def check_kinds(specs: Sequence[AgentSpec]) -> None:
    """Check that what is launched are classes of agents.

    Raises: CallerError, naming what is none.
    """
    for spec in specs:
        if not (isinstance(spec.kind, type) and issubclass(spec.kind, Agent)):
            what = spec.kind.__qualname__ if isinstance(spec.kind, type) else repr(spec.kind)
            raise errors.CallerError(
                f"agent {spec.name!r}: {what} is no subclass of ebbtide.Agent. Nothing was started. Give a class, as in"
                " 'class Buyer(Agent): ...'."
            )


def made(spec: AgentSpec, attempts: Attempts) -> Agent:
    """Return a new agent, as its class makes it.

    Raises: AgentBroken, in one line, whatever the class raises.
    """
    try:
        with attempts.noted_now(f"{spec.name} __init__", spec.kind.tries):
            return spec.kind(**{name: value for name, value in spec.options.items() if name != MADE})
    except errors.ProcessEnded as error:
        raise errors.AgentBroken(f"agent {spec.name!r} does not start: {error}") from error
    except (Exception, SystemExit) as error:
        place = where(error, spec.kind.__module__)
        raise errors.AgentBroken(
            f"agent {spec.name!r} did not start: {spec.kind.__qualname__}(...) raised {one_line(told(error))}"
            f"{place and f', at {place}'}. Nothing of its log was changed. Mend the class or its options, and launch it"
            " again."
        ) from error
