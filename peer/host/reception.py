"""Answers what is asked of a host itself: what its agents say, all at once, and what happens there."""

from collections.abc import Callable

from peer.errors import CallerError, EbbtideError, LogFailed, NotUp
from peer.host.answers import Answers
from peer.host.condition import about
from peer.host.health import ABOUT, DRAIN, HEALTH, MEASURE
from peer.host.measures import told
from peer.host.meter import Meter
from peer.host.orders import Orders
from peer.host.questions import decode, encode
from peer.host.residents import Residents
from peer.host.rest import Rest
from peer.host.together import EACH, ORDER, REST, Each, Said
from peer.host.watchers import Answered, Watchers


class Reception:
    """Takes the questions to one host.

    Args:
        residents: its agents.
        answers: answers of one of them.
        watchers: who watches it.
        rest: says who is at rest.
        orders: takes what is said to all hosts.
        meter: counts what happens.
        version: returns in which version it has announced who lives there.
    """

    def __init__(
        self, residents: Residents, answers: Answers, watchers: Watchers, rest: Rest, orders: Orders, meter: Meter,
        version: Callable[[], int],
    ) -> None:  # fmt: skip
        self._residents = residents
        self._answers = answers
        self._watchers = watchers
        self._rest = rest
        self._orders = orders
        self._meter = meter
        self._version = version

    def asked(self, what: str, body: bytes, answered: Answered) -> None:
        """Answer a question to the host, now or later; one that can't be answered, with why."""
        try:
            if what == REST:
                answered(encode(self._rest.look(self._version())), "")
            elif what == ORDER:
                self._orders.obey(body, answered)
            elif what == EACH:
                answered(encode(self._each(decode(body, Each))), "")
            elif what == MEASURE:
                answered(told(self._meter.measured()), "")
            elif what == HEALTH:
                answered(encode(self._meter.health()), "")
            elif what == ABOUT:
                answered(encode(about(self._meter.folder())), "")
            elif what == DRAIN:
                self._residents.draining = decode(body, str)
                answered(b"", "")
            else:
                self._watchers.asked(what, body, answered)
        except EbbtideError as error:
            answered(str(error).encode(), type(error).__name__)

    def _each(self, asked: Each) -> list[Said]:
        """Return what agents say; one that will be up soon is left out, and asked again.

        Raises: CallerError, for a question that is not answered at once.
        """
        if not self._answers.is_at_once(asked.what):
            raise CallerError(f"{asked.what!r} can't be asked of many agents at once. Nothing changed.")
        found: list[Said] = []
        for agent in asked.agents:
            if self._residents.is_awaited(agent):
                continue
            try:
                found.append(Said(agent, self._answers.at_once(agent, asked.what, asked.body)))
            except (LogFailed, NotUp):
                continue  # this host ends in a moment: whoever goes on for it answers
            except EbbtideError as error:
                found.append(Said(agent, str(error).encode(), type(error).__name__))
        return found
