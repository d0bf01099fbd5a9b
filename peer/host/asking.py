"""Questions between hosts, each asked again and again until it is answered, and answered once."""

import asyncio
import math
from collections.abc import Callable, Container, Iterable, Mapping
from itertools import repeat
from typing import Protocol
from weakref import WeakValueDictionary

from peer import errors
from peer.host import questions
from peer.host.answers import Answered, Answers
from peer.host.entitlement import Entitlement
from peer.host.mail import Mail
from peer.host.patience import Patience, doubling
from peer.host.reception import Reception
from peer.host.repeats import Repeats
from peer.host.residents import Residents
from peer.host.rounds import ask_each
from peer.host.strangers import nearest
from peer.host.together import AT_ONCE
from peer.host.transit import MOVE, OF_THE_HOST
from peer.site import Site
from peer.values.texts import asked_name
from protocol.action import Finish, Reply
from protocol.ids import HOST, AgentId, HostId, ProposalId
from protocol.wire import Answer, Ask, Frame

ANSWERS_MAX = 4096
"""Answers remembered for whoever asks again because the first answer was lost."""
CHANGING = frozenset(
    ("propose", "checkpoint", "effect", "letter", "say", "pause", "hold", "tier", "call off", MOVE)
)  # fmt: skip
"""Questions that change something, and tell one time of asking from another by their number alone."""
NAMED = 12
"""Agents that an error names at most."""
UNMET_S = 0.05
UNMET_S_MAX = 2.0
"""How soon it is looked again, at first and at most, whether somebody hosts an agent of whom nobody was heard."""
HOST_AGAIN_S = 1.0
"""How soon a host is asked again what may take long to happen."""
LARGE_BYTES = 1 << 20
LARGE_AGAIN_US = 5_000_000
"""How soon an answer of so many bytes is given again."""
TICK_S = 1e-6
"""What a wait takes at least: in less no time passes where a clock counts microseconds."""
UNHEARD_S = 5.0
"""How long a host waits to hear of an agent that was not launched from it: longer than gossip takes to come."""


class Post(Site, Protocol):
    """The host that asks."""

    @property
    def homes(self) -> Mapping[AgentId, HostId]:
        """By agent, the host where it lives, as far as is known."""
        ...


class Asking:
    """What one host asks, and is asked."""

    def __init__(
        self, post: Post, residents: Residents, answers: Answers, reception: Reception, entitlement: Entitlement,
        repeats: Repeats, seed: int,
    ) -> None:  # fmt: skip
        self._post = post
        self._entitlement = entitlement
        self._repeats = repeats
        self._residents = residents
        self._answers = answers
        self._reception = reception
        self._patience = Patience()
        self._requests = 0
        self._waiting: dict[int, Answered] = {}
        self._asking: dict[int, asyncio.Future[Answer]] = {}
        self._asked: dict[int, dict[HostId, None]] = {}
        """Of whom each of them was asked: nobody else's answer counts."""
        self._answered: dict[tuple[HostId, int], Answer | None] = {}
        self._pending: dict[tuple[HostId, int], Ask] = {}
        """The questions about agents here that are not answered yet."""
        self._finishing: dict[tuple[AgentId, ProposalId], list[Answered]] = {}
        self.is_closed = False
        """This host has ended, and asks nobody any more."""
        self.at_end: dict[Callable[[], None], None] = {}
        """Who is told when it does."""
        self._number = 0
        self._seed = seed & 1023
        self._expected: dict[AgentId, None] = {}
        self.mail = Mail(post.send_frame)
        """What is asked and answered, on its way to other hosts."""
        self._gathers = False
        """Answers to what came in one frame go in one."""
        self._unmet: WeakValueDictionary[AgentId, asyncio.Future[None]] = WeakValueDictionary()
        """By agent of whom nobody has heard, what whoever asks it waits for: gone when nobody does any more."""
        self._large: dict[tuple[HostId, int], int] = {}
        """When large answers were given again."""

    def expect(self, agents: Iterable[AgentId]) -> None:
        """Agents are being launched, however long that takes: they are waited for, though nobody has heard of them."""
        self._expected.update(dict.fromkeys(agents))

    def met(self, agents: Container[AgentId]) -> None:
        """It is heard where these agents live: whoever waits for that asks now."""
        for agent, unmet in list(self._unmet.items()):
            if agent in agents:
                del self._unmet[agent]
                unmet.set_result(None)

    def reply(self, action: Reply) -> None:
        """Answer a request that came from outside."""
        answered = self._waiting.pop(action.request, None)
        if answered is not None:
            kind = action.kind or "CallerError"
            answered((action.error or action.value).encode(), kind if action.error else "")

    def later(self, answered: Answered) -> int:
        """Return the number under which a machine will reply."""
        self._requests += 1
        self._waiting[self._requests] = answered
        return self._requests

    def finished(self, agent: AgentId, finish: Finish) -> None:
        """A proposal of an agent here is over."""
        for answered in self._finishing.pop((agent, finish.outcome.proposal), ()):
            answered(questions.encode(finish.outcome), "")

    def when_finished(self, agent: AgentId, pid: ProposalId, answered: Answered) -> None:
        """Answer when a proposal is over, or now if it is."""
        proposer = self._residents.drivers[agent].machine.proposer
        if pid in proposer.outcomes:
            answered(questions.encode(proposer.outcomes[pid]), "")
        elif any(open_pid == pid for open_pid, _ in proposer.open()):
            self._finishing.setdefault((agent, pid), []).append(answered)
        else:
            raise errors.CallerError(f"{agent} has made no proposal {pid!r}. Nothing changed.")

    async def ask(self, agent: AgentId, what: str, body: bytes = b"", timeout_s: float = 30.0) -> bytes:
        """Ask something of an agent's host, again and again until it answers.

        Raises: AgentUnknown, if nobody is known to host the agent when the time is over, or sooner if nobody expects
            it; AskTimeout, if its host does not answer; CallerError, for what is no name, and if this host has ended;
            and others, as the host says.
        """
        post, here, agent = self._post, self._residents.drivers, asked_name(agent)
        question, future = self._new(agent, what, body)
        clock = asyncio.get_running_loop().time
        until = clock() + timeout_s
        unheard_s = self.unheard_s(agent, timeout_s)
        unheard = clock() + unheard_s
        again_s, unmet_s = self._patience.waits(post.homes.get(agent)), doubling(UNMET_S, UNMET_S_MAX)
        try:
            while clock() < until:
                home = post.homes.get(agent)
                self._entitlement.check_in(agent, home)
                if home is None and agent not in here and clock() >= unheard:
                    break
                if agent in here:
                    self.asked(post.host_id, question)
                elif home is not None:
                    self._send(home, question)
                is_met = home is not None or agent in here
                wait_s = min(max(TICK_S, until - clock()), next(again_s if is_met else unmet_s))
                waits = (future,) if is_met else (future, self.meeting(agent))
                await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if future.done():
                    return questions.unwrap(future.result())
        finally:
            self._end(question.number)
        if post.homes.get(agent) is None:
            raise self.unknown(agent, unheard_s)
        raise questions.silent(agent, what, timeout_s)

    async def ask_host(
        self, host: HostId, what: str, body: bytes, agent: AgentId = HOST, timeout_s: float = math.inf
    ) -> bytes:
        """Ask something of a host itself, or of an agent that need not be up there, again and again until it answers.

        Raises: AskTimeout, if it does not in time; CallerError and others, as the host says.
        """
        question, future = self._new(agent, what, body)
        clock = asyncio.get_running_loop().time
        began = clock()
        until, times = began + timeout_s, 0
        is_soon = agent != HOST or what in AT_ONCE
        waits = self._patience.waits(host) if is_soon else repeat(HOST_AGAIN_S)
        try:
            while not future.done() and clock() < until:
                if host == self._post.host_id:
                    self.asked(host, question)
                else:
                    self._send(host, question)
                times += 1
                await asyncio.wait((future,), timeout=min(next(waits), max(TICK_S, until - clock())))
            if not future.done():
                raise errors.AskTimeout(f"host {host} did not answer {what!r} within {timeout_s:g} s; it may be down")
            if what in AT_ONCE:
                note = self._patience.took if times == 1 else self._patience.was_late
                note(host, clock() - began)
            return questions.unwrap(future.result())
        finally:
            self._end(question.number)
            if not future.cancel():
                future.exception()  # whoever is cancelled while this host ends has no use for it

    def tell_host(self, host: HostId, what: str, body: bytes) -> None:
        """Say something to a host itself, once: whether it arrives is not known."""
        question = Ask(self._next(), HOST, what, body)
        if host == self._post.host_id:
            self.asked(host, question)
        elif not self.is_closed:
            self.mail.ask(host, question)

    async def each(
        self, agents: Iterable[AgentId], what: str, body: bytes = b"", timeout_s: float = 30.0
    ) -> dict[AgentId, bytes | errors.EbbtideError]:
        """Ask the same of many agents, as `ask_each` does: each host once, for all of its own."""
        return await ask_each(self, agents, what, body, timeout_s)

    @property
    def here(self) -> HostId:
        """The host that asks."""
        return self._post.host_id

    @property
    def lives(self) -> Mapping[AgentId, HostId]:
        """By agent, the host where it lives, as far as is known."""
        return self._post.homes

    def is_here(self, agent: AgentId) -> bool:
        """Tell whether an agent is up here."""
        return agent in self._residents.drivers

    def unheard_s(self, agent: AgentId, timeout_s: float) -> float:
        """Return for how long nobody may have heard of an agent before that is an error."""
        return timeout_s if agent in self._expected else min(timeout_s, UNHEARD_S)

    def unknown(self, agent: AgentId, waited_s: float) -> errors.AgentUnknown:
        """Return what is to be said of an agent of whom nobody has heard."""
        known = sorted(self._post.homes)
        names = ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
        return errors.AgentUnknown(
            f"no host of an agent {agent!r} has been heard of within {waited_s:g} s. Known are {names or 'none'}."
            f" Nothing was asked. {nearest(agent, known)}"
        )

    def meeting(self, agent: AgentId) -> asyncio.Future[None]:
        """Return what is done once it is heard where an agent lives."""
        unmet = self._unmet.get(agent)
        if unmet is None:
            unmet = self._unmet[agent] = asyncio.get_running_loop().create_future()
        return unmet

    def _new(self, agent: AgentId, what: str, body: bytes) -> tuple[Ask, asyncio.Future[Answer]]:
        if self.is_closed:
            raise _over()
        number = self._next()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asking[number] = future
        return Ask(number, agent, what, body), future

    def _send(self, host: HostId, question: Ask) -> None:
        self._asked.setdefault(question.number, {})[host] = None
        self.mail.ask(host, question)

    def _end(self, number: int) -> None:
        del self._asking[number]
        self._asked.pop(number, None)

    def _next(self) -> int:
        """Return the number of a question: above all of earlier lives, since it is of the time."""
        self._number = max(self._number + 1, (self._post.clock.now_us() << 10) + self._seed)
        return self._number

    def close(self) -> None:
        """This host ends: whoever waits for an answer here will get none."""
        self.is_closed = True
        for future in self._asking.values():
            if not future.done():
                future.set_exception(_over())
        for told in list(self.at_end):
            told()

    def received(self, sender: HostId, frame: Frame) -> None:
        """Take what another host asks and answers."""
        self._gathers = True
        try:
            for question in frame.asks:
                self.asked(sender, question)
        finally:
            self._gathers = False
            self.mail.flush_answers()
        for given in frame.answers:
            if sender not in self._asked.get(given.number, ()):
                continue  # nobody has asked it that, or nobody waits any more
            self.give(self._post.host_id, given)

    def asked(self, sender: HostId, question: Ask) -> None:
        """Answer a question, unless that was done."""
        if sender != self._post.host_id:
            try:
                self._entitlement.check(sender, question)
            except errors.EbbtideError as error:
                self.give(sender, Answer(question.number, str(error).encode(), type(error).__name__))
                return
        if question.agent == HOST:
            self._reception.asked(
                question.what, question.body,
                lambda body, error: self.give(sender, Answer(question.number, body, error)),
            )  # fmt: skip
            return
        name = (sender, question.number)
        if name in self._answered:
            given = self._answered[name]
            if given is not None and not self._is_on_its_way(name, given):
                self.give(sender, given)
            return
        if self._residents.is_awaited(question.agent) and question.what not in OF_THE_HOST:
            return  # it is asked again, and the agent will be here soon
        if question.what in CHANGING and self._was_answered(sender, question):
            return
        self._answered[name], self._pending[name] = None, question
        while len(self._answered) > ANSWERS_MAX:
            del self._answered[next(iter(self._answered))]

        def answered(body: bytes, error: str) -> None:
            if self._pending.pop(name, None) is None:
                return  # the agent has ended here: whoever asks again is answered anew
            given = Answer(question.number, body, error)
            self._answered[name] = given
            if error or question.what not in CHANGING:
                self.give(sender, given)
            else:
                self._repeats.keep(sender, given, lambda: self.give(sender, given))

        try:
            self._answers.answer(self, question.agent, question.what, question.body, answered)
        except (errors.LogFailed, errors.NotUp):
            # This host ends in a moment, and will not have taken anything: whoever goes on for it answers instead. Or
            # it is not up yet, and is asked again.
            self._answered.pop(name, None)
            self._pending.pop(name, None)
        except errors.EbbtideError as error:
            answered(str(error).encode(), type(error).__name__)

    def _was_answered(self, sender: HostId, question: Ask) -> bool:
        """Tell whether a question was answered in an earlier life, or is too old; what there is to say is said."""
        try:
            given = self._repeats.find(sender, question.number)
        except errors.CallerError as error:
            given = Answer(question.number, str(error).encode(), type(error).__name__)
        if given is not None:
            self.give(sender, given)
        return given is not None

    def ended(self, agent: AgentId) -> None:
        """An agent has stopped here, and may come up again: what it was asked and has not answered is asked anew.

        But for the question to move, which its host answers.
        """
        left = [name for name, asked in self._pending.items() if asked.agent == agent and asked.what != MOVE]
        for name in left:
            del self._pending[name]
            self._answered.pop(name, None)

    def _is_on_its_way(self, name: tuple[HostId, int], given: Answer) -> bool:
        """Tell whether a large answer was given a moment ago: it takes longer than its asker waits."""
        now_us = self._post.clock.now_us()
        if len(given.body) < LARGE_BYTES or now_us - self._large.get(name, 0) >= LARGE_AGAIN_US:
            self._large = {each: at_us for each, at_us in self._large.items() if now_us - at_us < LARGE_AGAIN_US}
            self._large[name] = now_us
            return False
        return True

    def give(self, to: HostId, given: Answer) -> None:
        """Take an answer to its asker."""
        if to != self._post.host_id:
            self.mail.answer(to, given)
            if not self._gathers:
                # What is durable is told at once: what comes next here may end the process.
                self.mail.flush_answers()
            return
        future = self._asking.get(given.number)
        if future is not None and not future.done():
            future.set_result(given)


def _over() -> errors.CallerError:
    return errors.CallerError(
        "the host that asks has ended, with its cluster's 'async with' block, before an answer came."
        " What was asked may have been done. Await what you ask inside the block."
    )
