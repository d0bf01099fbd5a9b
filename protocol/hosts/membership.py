"""Who is there: hosts probe each other in turn, doubt who does not answer, and let the doubted answer (MB-4 to MB-7).

A host's standing is the highest (incarnation, state) ever said of it: so hosts that have heard the same agree, in
whatever order they heard it. Only the host itself raises its incarnation: when it starts, and against a doubt.

Source: Das, Gupta and Motivala 2002 (SWIM); Dadgar, Phillips and Currey 2018 (Lifeguard).
"""

from bisect import bisect_left, insort

from msgspec import Struct

from protocol.chance import Chance
from protocol.fact import Fact, Standing, State, Suspicion, rank
from protocol.hosts.doubt import Doubt
from protocol.hosts.messages import Ping, PingFor, Pong, Probe, Silence
from protocol.ids import HostId
from protocol.limits import HostLimits


class Say(Struct, frozen=True):
    """Send a host a probe, and perhaps what is said of it, so that the doubted hears of it first."""

    host: HostId
    probe: Probe
    word: Fact | None = None


class Declare(Struct, frozen=True):
    """Let everybody know."""

    fact: Standing | Suspicion


class Turned(Struct, frozen=True):
    """A host has failed, has left, or is alive again."""

    host: HostId
    state: State


Outcome = Say | Declare | Turned


class _Pending(Struct):
    """The probe of this period."""

    number: int
    target: HostId
    ask_others_us: int
    asked: bool = False
    helpers: tuple[HostId, ...] = ()
    silences: int = 0
    answered: bool = False


class _Relay(Struct):
    asker: HostId
    number: int
    target: HostId
    until_us: int


class Membership:
    """The other hosts as one host sees them. Each call returns what is to be done."""

    def __init__(self, host: HostId, chance: Chance, limits: HostLimits) -> None:
        self.incarnation = 0
        self.health = 0
        """How much this host doubts itself: it probes so many times slower (Lifeguard's local health)."""
        self.left = False
        self._host = host
        self._chance = chance
        self._limits = limits
        self._ranks: dict[HostId, int] = {}
        self._early: dict[HostId, int] = {}
        """What was said of hosts that are not known yet."""
        self._living: list[HostId] = []
        self._failed: list[HostId] = []
        self._since: dict[HostId, int] = {}
        self._doubts: dict[HostId, Doubt] = {}
        self._doubt_us: int | None = None
        self._round: list[HostId] = []
        self._number = 0
        self._probe_us: int | None = None
        self._pending: _Pending | None = None
        self._relays: dict[int, _Relay] = {}
        self._out: list[Outcome] = []

    # -- what is known

    @property
    def deadline_us(self) -> int | None:
        """When to call `elapsed`."""
        times = [self._probe_us, self._doubt_us]
        if self._pending is not None and not self._pending.answered and not self._pending.asked:
            times.append(self._pending.ask_others_us)
        if self._relays:
            times.append(next(iter(self._relays.values())).until_us)
        return min((time for time in times if time is not None), default=None)

    def standing(self, host: HostId) -> State | None:
        """Return how a host stands; None if it has never been heard of."""
        if host == self._host:
            return State.LEFT if self.left else State.ALIVE
        found = self._ranks.get(host)
        return None if found is None else _state(found)

    def living(self) -> list[HostId]:
        """Return the other hosts that have neither failed nor left, in order. The list is live: don't change it."""
        return self._living

    def failed(self) -> list[HostId]:
        """Return the hosts that have failed, in order. The list is live: don't change it."""
        return self._failed

    def failed_since(self, host: HostId) -> int | None:
        """Return when a host was found to have failed, by this host's clock; None if it has not."""
        return self._since.get(host)

    # -- what is heard

    def met(self, host: HostId, version: int, now_us: int) -> list[Outcome]:
        """A host says where it is, in that version: it is alive in that incarnation."""
        if host == self._host:
            self.incarnation = max(self.incarnation, version)
            return self._done()
        self._raise(host, max(rank(version, State.ALIVE), self._early.pop(host, -1)), now_us)
        return self._done()

    def learned(self, fact: Standing, now_us: int) -> list[Outcome]:
        """Something is said of a host's standing, perhaps of this one's."""
        if fact.state == State.SUSPECT:
            return []
        if fact.host == self._host:
            self._answer_for_itself(fact.incarnation, fact.state)
        elif fact.host in self._ranks:
            self._raise(fact.host, rank(fact.incarnation, fact.state), now_us)
        else:
            self._early[fact.host] = max(rank(fact.incarnation, fact.state), self._early.get(fact.host, -1))
        return self._done()

    def doubted(self, doubt: Suspicion, now_us: int) -> list[Outcome]:
        """Somebody doubts a host: pass it on if it is news, and wait for the host's answer (MB-5)."""
        if doubt.host == self._host:
            self._answer_for_itself(doubt.incarnation, State.SUSPECT)
        else:
            self._doubt(doubt, now_us)
        return self._done()

    def probed(self, sender: HostId, probe: Probe, now_us: int) -> list[Outcome]:
        """Another host asks or answers (MB-4)."""
        match probe:
            case Ping():
                self._out.append(Say(sender, Pong(probe.number), self._word_for(sender)))
            case PingFor():
                self._ask_for(sender, probe, now_us)
            case Pong():
                self._answered(sender, probe.number)
            case Silence():
                pending = self._pending
                if pending is not None and pending.number == probe.number and sender in pending.helpers:
                    pending.silences += 1
        return self._done()

    def elapsed(self, now_us: int) -> list[Outcome]:
        """Do what is due."""
        self._allow_for_sleep(now_us)
        while self._relays:
            number, relay = next(iter(self._relays.items()))
            if relay.until_us > now_us:
                break
            del self._relays[number]
            self._out.append(Say(relay.asker, Silence(relay.number)))
        pending = self._pending
        if pending is not None and not pending.answered and not pending.asked and pending.ask_others_us <= now_us:
            self._ask_others(pending)
        if self._probe_us is None:
            # Hosts that start together don't probe together.
            self._probe_us = now_us + self._chance.choice(range(self._limits.probe_us))
        elif self._probe_us <= now_us:
            self._conclude(now_us)
            self._begin(now_us)
        self._end_doubts(now_us)
        return self._done()

    def leave(self) -> Standing:
        """Say goodbye: final for this incarnation (MB-7). It is not doubted or probed any more, nor does it probe."""
        self.left = True
        self._pending = None
        return Standing(self._host, self.incarnation, State.LEFT)

    # -- probing

    def _begin(self, now_us: int) -> None:
        slow = 1 + self.health
        self._probe_us = now_us + self._limits.probe_us * slow
        target = None if self.left else self._next()
        if target is None:
            return
        self._number += 1
        self._pending = _Pending(self._number, target, now_us + self._limits.probe_timeout_us * slow)
        self._out.append(Say(target, Ping(self._number), self._word_for(target)))

    def _next(self) -> HostId | None:
        """Return the next of a round in which every host has its turn once, in an order of chance."""
        while True:
            if not self._round:
                if not self._living:
                    return None
                self._round = self._chance.sample(self._living, len(self._living))
            host = self._round.pop()
            if self._is_living(host):
                return host

    def _ask_others(self, pending: _Pending) -> None:
        count = min(self._limits.helpers + 1, len(self._living))
        chosen = [host for host in self._chance.sample(self._living, count) if host != pending.target]
        pending.asked = True
        pending.helpers = tuple(chosen[: self._limits.helpers])
        for helper in pending.helpers:
            self._out.append(Say(helper, PingFor(pending.number, pending.target)))

    def _ask_for(self, asker: HostId, probe: PingFor, now_us: int) -> None:
        if probe.target not in self._ranks:
            self._out.append(Say(asker, Silence(probe.number)))
            return
        self._number += 1
        # Sooner than its asker gives up, so that silence is heard in time.
        until_us = now_us + self._limits.probe_timeout_us * 8 // 10
        self._relays[self._number] = _Relay(asker, probe.number, probe.target, until_us)
        if len(self._relays) > self._limits.relays_max:
            del self._relays[next(iter(self._relays))]
        self._out.append(Say(probe.target, Ping(self._number), self._word_for(probe.target)))

    def _answered(self, sender: HostId, number: int) -> None:
        pending = self._pending
        relay = self._relays.get(number)
        if relay is not None and relay.target == sender:
            del self._relays[number]
            self._out.append(Say(relay.asker, Pong(relay.number)))
        elif pending is not None and pending.number == number and sender in (pending.target, *pending.helpers):
            pending.answered = True

    def _conclude(self, now_us: int) -> None:
        pending, self._pending = self._pending, None
        if pending is None or not self._is_living(pending.target):
            return
        if pending.answered:
            self._feel(-1)
            return
        # MB-6: who hears no helper either is more likely deaf itself.
        self._feel(len(pending.helpers) - pending.silences if pending.helpers else 1)
        incarnation = self._ranks[pending.target] // len(State)
        self._doubt(Suspicion(pending.target, incarnation, self._host), now_us)

    def _allow_for_sleep(self, now_us: int) -> None:
        """Who comes late was asleep, perhaps while the answers came: it judges nobody by what it has missed (MB-6)."""
        due = self.deadline_us
        if due is None or now_us - due <= self._limits.probe_timeout_us:
            return
        self._feel(1)
        self._pending = None
        for doubt in self._doubts.values():
            doubt.until_us += now_us - due
        self._look_at_doubts()

    def _feel(self, change: int) -> None:
        self.health = min(max(self.health + change, 0), self._limits.health_max)

    # -- standing

    def _raise(self, host: HostId, said: int, now_us: int) -> None:
        before = self._ranks.get(host)
        if before is not None and said <= before:
            return
        self._ranks[host] = said
        was, now = None if before is None else _state(before), _state(said)
        if self._doubts.pop(host, None) is not None:
            self._look_at_doubts()
        if was is None or was != now:
            self._move(host, was, now, now_us)

    def _move(self, host: HostId, was: State | None, now: State, now_us: int) -> None:
        lived, lives = was is not None and was <= State.SUSPECT, now <= State.SUSPECT
        if lives and not lived:
            insort(self._living, host)
            self._join_round(host)
        elif lived and not lives:
            del self._living[bisect_left(self._living, host)]
        if was == State.FAILED:
            del self._failed[bisect_left(self._failed, host)]
            del self._since[host]
        if now == State.FAILED:
            insort(self._failed, host)
            self._since[host] = now_us
        if not lives or (was is not None and not lived):
            self._out.append(Turned(host, now))

    def _join_round(self, host: HostId) -> None:
        if self._round:
            self._round.insert(self._chance.choice(range(len(self._round) + 1)), host)

    def _answer_for_itself(self, incarnation: int, state: State) -> None:
        """Refute by a higher incarnation. Who has left does not, and who is not doubted need not."""
        if state == State.ALIVE or self.left:
            self.incarnation = max(self.incarnation, incarnation)
        elif incarnation >= self.incarnation:
            self.incarnation = incarnation + 1
            self._feel(1)
            self._out.append(Declare(Standing(self._host, self.incarnation, State.ALIVE)))

    def _word_for(self, host: HostId) -> Fact | None:
        """Return what a host must hear to refute it."""
        known = self._ranks.get(host)
        if known is None or _state(known) in (State.ALIVE, State.LEFT):
            return None
        incarnation = known // len(State)
        if _state(known) == State.FAILED:
            return Standing(host, incarnation, State.FAILED)
        return Suspicion(host, incarnation, next(iter(self._doubts[host].by)))

    # -- doubts

    def _doubt(self, doubt: Suspicion, now_us: int) -> None:
        known, said = self._ranks.get(doubt.host), rank(doubt.incarnation, State.SUSPECT)
        if known is None or said < known:
            return
        if said > known:
            self._raise(doubt.host, said, now_us)
            self._doubts[doubt.host] = Doubt(now_us, {})
        if self._doubts[doubt.host].shares(doubt.by, len(self._living) + 1, self._limits):
            self._look_at_doubts()
            self._out.append(Declare(doubt))

    def _look_at_doubts(self) -> None:
        self._doubt_us = min((doubt.until_us for doubt in self._doubts.values()), default=None)

    def _end_doubts(self, now_us: int) -> None:
        if self._doubt_us is None or self._doubt_us > now_us:
            return
        for host in [host for host, doubt in self._doubts.items() if doubt.until_us <= now_us]:
            doubt = self._doubts[host]
            if self._host in doubt.by and not doubt.asked_again:
                # Whoever was cut off when it doubted has told nobody, and the doubted had nothing to answer.
                doubt.asked_again = True
                doubt.until_us = now_us + self._limits.probe_timeout_us * (1 + self.health)
                self._number += 1
                self._out.append(Say(host, Ping(self._number), self._word_for(host)))
                continue
            fact = Standing(host, self._ranks[host] // len(State), State.FAILED)
            self._raise(host, rank(fact.incarnation, fact.state), now_us)
            self._out.append(Declare(fact))
        self._look_at_doubts()

    def _is_living(self, host: HostId) -> bool:
        found = self._ranks.get(host)
        return found is not None and _state(found) <= State.SUSPECT

    def _done(self) -> list[Outcome]:
        out, self._out = self._out, []
        return out


def _state(found: int) -> State:
    return State(found % len(State))
