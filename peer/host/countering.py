"""What a host lends the tool that counters effects: a way to have each countered by the agent whose it is (EF-8)."""

from collections.abc import Awaitable, Callable

from peer.agents.countering import countering
from peer.agents.resources import Resources
from peer.host import questions
from peer.host.questions import EffectAsk

Ask = Callable[[str, str, bytes], Awaitable[bytes]]


def lending(resources: Resources, ask: Ask) -> Resources:
    """Have a host's resources lend what counters effects.

    Args:
        resources: the host's.
        ask: asks something of an agent, at whichever host.
    """

    async def counter(intent: str, why: str, by: str) -> str:
        asked = questions.encode(EffectAsk(intent, "counter", note=why, by=by))
        return (await ask(intent.split("/", 1)[0], "effect", asked)).decode()

    resources.lend(countering, counter)
    return resources
