"""What a host lends tools of the runtime's own: a way to ask any agent's host, and to have effects countered (EF-8)."""

from peer.agents.asking import Ask, asking
from peer.agents.countering import countering
from peer.agents.resources import Resources
from peer.host import questions
from peer.host.questions import EffectAsk


def lending(resources: Resources, ask: Ask) -> Resources:
    """Have a host's resources lend what asks other hosts, and what counters effects.

    Args:
        resources: the host's.
        ask: asks something of an agent, at whichever host.
    """

    async def counter(intent: str, why: str, by: str) -> str:
        asked = questions.encode(EffectAsk(intent, "counter", note=why, by=by))
        return (await ask(intent.split("/", 1)[0], "effect", asked)).decode()

    resources.lend(countering, counter)
    resources.lend(asking, ask)
    return resources
