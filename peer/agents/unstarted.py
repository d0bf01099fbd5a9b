"""What stands in for an agent that a handler has made, and whose class raises: so what it was sent can be undone."""

from peer.agents.agent import Agent


class Unstarted(Agent):
    """Handles nothing: what would make it is a dead letter, and what comes after it was made waits for a mended class.

    Args:
        kind: the class that did not start.
        why: what it has raised.
    """

    def __init__(self, kind: type[Agent], why: str) -> None:
        self.kind = kind
        self.why = why


def kind_of(agent: Agent) -> type[Agent]:
    """Return the class that an agent is of, or is to be of."""
    return agent.kind if isinstance(agent, Unstarted) else type(agent)
