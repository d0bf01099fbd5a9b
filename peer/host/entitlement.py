"""Whether whoever asks something may: by the grant that its host has shown (TR-2)."""

from collections.abc import Iterable

from peer import errors
from peer.host.births import QUESTION as MAKE
from peer.host.happenings import WatchAsk
from peer.host.health import DRAIN
from peer.host.questions import EffectAsk, Propose, decode
from peer.host.together import EACH, ORDER, REST, Each
from peer.host.transit import MOVE, ROOM, TAKE
from peer.trust.rights import EVICT, HOST, LOOK, RELEASE, RESTORE, ROLLBACK, SUBMIT, check_may
from peer.trust.trust import Trust
from protocol.ids import HOST as OF_ALL
from protocol.ids import AgentId, HostId
from protocol.wire import Ask

_ALL = "*"
_RIGHTS = {
    "submit": SUBMIT, "letter": SUBMIT, "call off": SUBMIT, "propose": ROLLBACK, "hold": ROLLBACK, "effect": RELEASE,
    "say": RELEASE, "pause": RELEASE, "tier": RELEASE, "checkpoint": RESTORE, "restore": RESTORE, "leave": EVICT,
    MOVE: EVICT, DRAIN: EVICT, MAKE: HOST, ROOM: HOST, TAKE: HOST,
}  # fmt: skip
"""By question, what it takes; any other is a look."""
_OF_ALL = (RESTORE,)
"""What concerns all agents, whichever is asked."""


class Entitlement:
    """Who may ask what of one host.

    Args:
        trust: what others have shown.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def check_in(self, agent: AgentId, host: HostId | None) -> None:
        """Raises: NotEntitled, if the host of an agent that is to be asked is out: nothing of it is read any more."""
        why = "" if host is None else self._trust.why_out(host)
        if why:
            raise errors.NotEntitled(
                f"the host of {agent}, {host}, is out: {why}. Nothing was asked. Its agents are there again once"
                " another host has succeeded it, or they are started on one."
            )

    def check(self, sender: HostId, question: Ask) -> None:
        """Raises: NotEntitled, if a host may not ask this."""
        member = self._trust.member(sender)
        name, rights = (sender, ()) if member is None else (member.grant.name, member.grant.may)
        for verb, agent in _wanted(question):
            check_may(name, rights, verb, agent)


def _wanted(question: Ask) -> Iterable[tuple[str, AgentId]]:
    if question.agent == OF_ALL:
        return _of_host(question)
    verb = _RIGHTS.get(question.what, LOOK)
    if question.what == "propose":
        asked: Propose = decode(question.body, Propose)
        return [(verb, agent) for agent in dict.fromkeys((question.agent, *(root.agent for root in asked.roots)))]
    if question.what == "effect" and decode(question.body, EffectAsk).verb == "counter":
        verb = ROLLBACK
    return [(verb, _ALL if verb in _OF_ALL else question.agent)]


def _of_host(question: Ask) -> Iterable[tuple[str, AgentId]]:
    if question.what == EACH:
        each: Each = decode(question.body, Each)
        return [(_RIGHTS.get(each.what, LOOK), agent) for agent in each.agents]
    if question.what in (REST, ORDER):
        return []  # whether there is anything to do says nothing of anybody; an order shows itself who gives it
    if question.what == "watch":
        watch: WatchAsk = decode(question.body, WatchAsk)
        return [(LOOK, agent) for agent in watch.agents or (_ALL,)]
    return [(_RIGHTS.get(question.what, LOOK), _ALL)]
