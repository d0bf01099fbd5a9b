"""Tells whoever watches what happens at a host, in batches that they ask for: a slow one holds up nobody.

What nobody has asked for yet is kept, so much of it, and beyond that it is counted. Whoever does not ask any more is
forgotten after a while. A host at which nobody watches does nothing here.
"""

import secrets
from collections import deque
from collections.abc import Callable, Sequence

from peer.agents.failures import clean
from peer.errors import CallerError, EbbtideError
from peer.host.happenings import KIND_OF, Noticed, Told, WatchAnswer, WatchAsk, moment
from peer.host.questions import decode, encode
from peer.host.residents import Residents
from peer.host.telling import Telling
from peer.ports import Cancel, Clock, Observer
from protocol.action import Action, Tell
from protocol.event import Event, Settled
from protocol.ids import HOST, AgentId

Answered = Callable[[bytes, str], None]
"""Takes the body of an answer, and the name of the error that it is; empty for none."""

KEPT_MAX = 2_000
"""Happenings kept for one that watches until it asks for more: some hundred bytes each."""
BATCH_MAX = 500
"""Of them in one answer."""
WATCHES_MAX = 64
"""That watch one host at once."""
GATHER_US = 20_000
"""How long more is waited for, from what comes first to its answer."""
DETAIL_CHARS_MAX = 2_000
"""Of a line for whoever audits."""
FORGOTTEN_US = 30_000_000
"""One that has not asked for so long is gone."""


class _Watch:
    """One that watches."""

    def __init__(self, ask: WatchAsk, host_life: str) -> None:
        self.life = f"{host_life}.{secrets.token_hex(8)}"
        self.kinds = frozenset(ask.kinds)
        self.agents = frozenset(ask.agents)
        self.kept: deque[Told] = deque()
        self.missed = 0
        self.last: WatchAnswer | None = None
        """The batch that may not have arrived."""
        self.number = 0
        self.answered: Answered | None = None
        """Set, while a batch is waited for."""
        self.cancel: Cancel | None = None
        self.heard_us = 0

    def wants(self, told: Told, residents: Residents) -> bool:
        """Tell whether it wants to know something."""
        if KIND_OF[type(told)] not in self.kinds:
            return False
        agent = getattr(told, "agent", HOST)
        if not self.agents or agent in self.agents:
            return True
        return agent == HOST and any(each in residents.drivers for each in self.agents)

    def keep(self, told: Told) -> None:
        """Keep something until it is asked for; if there is too much, the oldest goes, and is counted."""
        if len(self.kept) == KEPT_MAX:
            self.kept.popleft()
            self.missed += 1
        self.kept.append(told)


class Watchers:
    """All that watch one host; implements `Observer`.

    Args:
        inner: looks on, too.
        residents: the agents here.
        clock: the host's.
    """

    def __init__(self, inner: Observer, residents: Residents, clock: Clock) -> None:
        self._inner = inner
        self._residents = residents
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        self._telling = Telling(residents.drivers, clock.now_us)
        self._life = secrets.token_hex(8)

    # -- looking on ------------------------------------------------------------------------------------------------

    def came(self, agent: AgentId) -> None:
        """An agent has come up."""
        self._inner.came(agent)

    def handled(self, agent: AgentId, event: Event, actions: Sequence[Action]) -> None:
        """An agent's machine has handled an event."""
        self._residents.stirred[agent] = None
        self._inner.handled(agent, event, actions)
        if self._watches:
            for told in self._telling.take(agent, event, actions):
                self._tell(told)

    def placed(self, log: AgentId, length: int) -> None:
        """The backups have so many records of a log."""
        self._inner.placed(log, length)

    def settled(self, event: Settled) -> None:
        """An epoch is committed."""
        self._inner.settled(event)
        for told in list(self._telling.settled(event)):  # also where nobody watches: what was before is no news
            self._tell(told)

    def noticed(self, agent: AgentId, notice: Tell) -> None:
        """A line for whoever audits."""
        self._inner.noticed(agent, notice)
        if self._watches:
            detail = clean(notice.detail, DETAIL_CHARS_MAX)
            self._tell(Noticed(moment(self._clock.now_us()), agent, notice.notice, notice.subject, detail))

    def _tell(self, told: Told) -> None:
        now_us = self._clock.now_us()
        for name, watch in list(self._watches.items()):
            if now_us - watch.heard_us > FORGOTTEN_US:
                self._forget(name)
            elif watch.wants(told, self._residents):
                watch.keep(told)
                if watch.answered is not None and watch.cancel is None:
                    watch.cancel = self._clock.wake(now_us + GATHER_US, lambda watch=watch: self._answer(watch))

    def _forget(self, name: str) -> None:
        watch = self._watches.pop(name)
        if watch.cancel is not None:
            watch.cancel()

    # -- being asked -----------------------------------------------------------------------------------------------

    def asked(self, what: str, body: bytes, answered: Answered) -> None:
        """Answer one that watches with its next batch, now or when there is one; asked again, with the same one."""
        try:
            if what == "watch":
                self._asked(decode(body, WatchAsk), answered)
            elif what == "unwatch":
                if decode(body, str) in self._watches:
                    self._forget(decode(body, str))
                answered(b"", "")
            else:
                raise CallerError(f"no host can answer {what!r}. Nothing changed.")
        except EbbtideError as error:
            answered(str(error).encode(), type(error).__name__)

    def _asked(self, ask: WatchAsk, answered: Answered) -> None:
        watch = self._watches.get(ask.watch)
        if watch is None or ask.life not in ("", watch.life):
            watch = self._begin(ask)
        watch.heard_us = self._clock.now_us()
        if ask.life != watch.life:
            # It does not know yet that it watches; or it does, and this is an old question that was late.
            if watch.number == 0:
                answered(encode(WatchAnswer(watch.life, 0, 0, ())), "")
            return
        if watch.last is not None and watch.last.number > ask.after:
            answered(encode(watch.last), "")
            return
        watch.last, watch.answered = None, answered
        if watch.cancel is None and (watch.kept or watch.missed):
            self._answer(watch)

    def _begin(self, ask: WatchAsk) -> _Watch:
        now_us = self._clock.now_us()
        for name, watch in list(self._watches.items()):
            if now_us - watch.heard_us > FORGOTTEN_US or name == ask.watch:
                self._forget(name)
        if len(self._watches) >= WATCHES_MAX:
            raise CallerError(f"{WATCHES_MAX} watch this host already. Nothing changed. Let one of them end.")
        if not self._watches:
            self._telling.begin()
        watch = self._watches[ask.watch] = _Watch(ask, self._life)
        return watch

    def _answer(self, watch: _Watch) -> None:
        watch.cancel = None
        if watch.answered is None:
            return  # it has been given what is kept, since this was to be done
        watch.number += 1
        batch = [watch.kept.popleft() for _ in range(min(BATCH_MAX, len(watch.kept)))]
        watch.last = WatchAnswer(watch.life, watch.number, watch.missed, tuple(batch))
        watch.missed = 0
        answered, watch.answered = watch.answered, None
        answered(encode(watch.last), "")
