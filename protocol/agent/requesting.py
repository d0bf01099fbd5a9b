"""The way of a request: let go when its step is durable, or settled if nobody can undo it; then its answer is due.

A request is a timer that waits for a tool (RQ-1, RQ-2), for people (RQ-3), or for what other agents request (RQ-4).
Everything else, claims, checks after a crash, undo, is as for any call (EF-1 to EF-4).
"""

from typing import NamedTuple

from msgspec import msgpack

from protocol.action import Reply, Resume
from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.grouping import FREE, GO, NONE, Grouping
from protocol.agent.intents import DONE, DOUBT, IRREVERSIBLE, KEPT, OPEN, PERSON, UNDOING, UNDONE, Effect
from protocol.event import ReleaseAsked, ToolWanted
from protocol.ids import Lineage, MessageId, StepId
from protocol.limits import NEVER_US
from protocol.records import ApprovedRecord, EffectRecord, IntentRecord, Record
from protocol.step import Grouped, Hold, Input, Request, StepRecord

_DONE = {"release": "released", "approve": "approved", "reject": "rejected", "answer": "answered"}
"""By what people say, what becomes of a request by it."""
DEFAULT = "default"
"""Whose word it is that counts if nobody has said anything in time."""
_WAITS_NOT = "waits to be let go, or for people: its step is undone, it is called off, its time is over, or it has gone"


class RequestSeen(NamedTuple):
    """A request that is not let go yet, as whoever asks sees it."""

    name: Lineage
    step: StepId
    tool: str
    kind: str
    args: bytes
    since_us: int
    until_us: int
    """When it is given up; 0: never."""
    hold: Hold | None = None
    """Whom it waits for."""
    approved: str | None = None
    """Who agrees already that it is let go, when its step is settled."""
    group: Grouped | None = None
    """With whose requests it is let go, or not at all."""


class Requesting:
    """The requests of one agent."""

    def __init__(self, core: Core, effects: Effects, grouping: Grouping) -> None:
        self._core = core
        self._grouping = grouping
        self._effects = effects
        self._runs: dict[int, tuple[MessageId, Lineage]] = {}
        """What is being called, by a run's number below 0."""
        self._under_way: dict[Lineage, None] = {}
        self._last_run = 0
        self._again_us: dict[Lineage, int] = {}
        """Requests whose tool is in the way of itself: an earlier call is not undone yet."""
        self._released: dict[Lineage, tuple[str, str, bytes]] = {}
        """Requests that somebody lets go before they are settled: why, who, and what was signed."""
        self._replies: dict[Lineage, list[int]] = {}
        self._told: dict[Lineage, int] = {}
        """Of how many stages of a hold people were told."""
        self._floor = 0
        self._seen: object = None
        effects.answered = self._answered

    # -- letting go ------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Call what may be called, and say in groups what has become of their requests."""
        if self._grouping.is_quiet():
            self._let_go_all()
            return
        self._grouping.work()
        self._let_go_all()
        # What has just got an answer, by its default, is handled next: the group hears of it before.
        self._grouping.work()

    def _let_go_all(self) -> None:
        core = self._core
        self._forget()
        if not core.timers.has_requests() or core.is_at_rest() or core.held:
            return
        seen = (core.colours.committed, core.colours.is_told, core.undone, self._grouping.changes)
        found = core.timers.take_fresh()
        if seen != self._seen or self._released or any(request.group is not None for _, request in found):
            found = core.timers.requested()  # what others wait for may have come
        self._seen = seen
        self._look_at(found)

    def _look_at(self, requests: list[tuple[Input, Request]]) -> None:
        """Let go what may go; of a group whose requests are looked at, all are there."""
        core = self._core
        groups: dict[Grouped, list[tuple[Input, bool]]] = {}
        for item, request in requests:
            if item.lineage in self._under_way:
                continue
            is_frozen = item.producer is None or core.quarantine.freezes(item.producer)
            if is_frozen:
                self._seen = None  # it is looked at again as long as that is undecided, and after it
            stand, why = FREE, ""
            if request.group is not None:
                stand, why = self._grouping.stand(request.group, item.lineage)
            if stand == FREE:
                may_go = not is_frozen and self._is_ready(item, request)
                if request.group is not None:
                    groups.setdefault(request.group, []).append((item, may_go))
                elif may_go:
                    self._let_go(item, request)
            elif stand == NONE and not is_frozen:
                self._end(item, request, why)
            elif stand == GO and not is_frozen and item.lineage not in self._again_us:
                self._let_go(item, request)
        for group, found in groups.items():
            if all(may_go for _, may_go in found):
                self._grouping.say_ready(group, [item for item, _ in found])

    def _forget(self) -> None:
        """Drop what is over: waits, and releases of requests whose steps are undone. A re-run's is another."""
        core = self._core
        for lineage in [lineage for lineage, at_us in self._again_us.items() if at_us <= core.now_us]:
            del self._again_us[lineage]
            self._seen = None
        for kept in (self._told, self._again_us):
            for lineage in [lineage for lineage in kept if not core.timers.requests(lineage)]:
                del kept[lineage]
        for lineage in [lineage for lineage in self._released if not core.timers.requests(lineage)]:
            del self._released[lineage]
            for number in self._replies.pop(lineage, ()):
                text = f"the step that has requested {lineage} is undone meanwhile. Nothing was released."
                core.actions.append(Reply(number, "", text))

    def _is_ready(self, item: Input, request: Request) -> bool:
        if item.lineage in self._again_us or self._waits_for_people(item, request):
            return False
        return self._may_go(item, request)

    def _may_go(self, item: Input, request: Request) -> bool:
        if request.group is not None:
            # RQ-4: others go by what is said of it, so no loss may undo it, whatever undoing the call means.
            return self._core.colours.settles(item.epoch)
        if request.kind != IRREVERSIBLE or self._stands(item.lineage, request) or item.lineage in self._released:
            return True
        # RQ-2: every consequence of it is on every disk then, and no loss can undo it any more.
        return self._core.colours.settles(item.epoch)

    def _waits_for_people(self, item: Input, request: Request) -> bool:
        """Tell whether nobody has said yet what is asked; say whose turn it is, take the default in time (RQ-3)."""
        core, hold, lineage = self._core, request.hold, item.lineage
        if hold is None or lineage in self._released or core.timers.approved(lineage) is not None:
            return False
        if self._stands(lineage, request):
            return False
        due = [(who, after_us) for who, after_us in hold.stages or (("", 0),) if item.time_us + after_us <= core.now_us]
        for who, _ in due[self._told.get(lineage, 0) :]:
            core.tell("asked", lineage, f"{who or 'anybody'}: {hold.question}")
        self._told[lineage] = len(due)
        if hold.default and item.time_us + hold.default_us <= core.now_us:
            said = ReleaseAsked(0, lineage, "nobody has said anything in time", DEFAULT, hold.default, hold.value)
            self._take_word(item, request, said)
            return True
        times = [item.time_us + after_us for _, after_us in hold.stages[len(due) :]]
        if hold.default:
            times.append(item.time_us + hold.default_us)
        if times:
            self._again_us[lineage] = min(times)
        return True

    def _stands(self, lineage: Lineage, request: Request) -> bool:
        """Tell whether this very call, or answer, stands or may, perhaps since an earlier run of its step (EF-2)."""
        return any(effect.state in (OPEN, DONE, DOUBT) for effect in self._effects_of(lineage, request))

    def _effects_of(self, lineage: Lineage, request: Request) -> list[Effect]:
        """Return what has come of a request: not what an answer's handler has called, nor what had other arguments."""
        effects = self._core.intents.of(lineage)
        return [effect for effect in effects if effect.tool == request.tool and effect.args == request.args]

    def _let_go(self, item: Input, request: Request) -> None:
        core, message = self._core, item.message
        assert message is not None
        self._last_run -= 1
        run = self._last_run
        self._runs[run] = (message, item.lineage)
        self._under_way[item.lineage] = None
        # From now on its time is not over before it is answered.
        core.timers.put_off(message, NEVER_US)
        if request.kind == IRREVERSIBLE:
            self._floor = max(self._floor, item.epoch + 1)
        wanted = ToolWanted(run, request.tool, request.kind, request.args, request.key, request.checks)
        self._effects.wanted(wanted, item, self._released.pop(item.lineage, ("", "", b"")))
        for number in self._replies.pop(item.lineage, ()):
            core.when_durable(lambda number=number: core.actions.append(Reply(number, "released")))

    def _answered(self, action: Resume) -> None:
        message, lineage = self._runs.pop(action.run)
        self._under_way.pop(lineage, None)
        self._effects.claims_of(action.run)
        if action.answer == "waits":
            self._again_us[lineage] = self._core.now_us + self._core.limits.resend_us_max
        else:
            self._core.timers.put_off(message, 0)

    def goes_with_others(self, intent: str) -> bool:
        """Tell whether a call is of a request that goes with its group: others have gone by it (RQ-4)."""
        effect, timers = self._core.intents.get(intent), self._core.timers
        grouped = timers.grouped(self._core.now_us) if timers.has_grouped() else []
        return effect is not None and any(item.lineage == effect.lineage for item, _, _ in grouped)

    def told_of(self, event: ToolWanted, item: Input) -> None:
        """The handler of an answer asks what has become of the call, which it stands behind from now on."""
        core, request, answer, result = self._core, self._request_of(item), "absent", b""
        effects = [effect for effect in core.intents.of(item.lineage) if effect.tool == event.tool]
        if request is not None and request.kind != IRREVERSIBLE:
            effects = self._effects_of(item.lineage, request)
        if effects:
            effect = effects[-1]
            self._effects.stand_behind(event.run, effect)
            answer, result = {DONE: "done", KEPT: "done", UNDONE: "failed"}.get(effect.state, "doubt"), effect.result
        core.actions.append(Resume(event.run, answer, result, event.call))

    def _request_of(self, item: Input) -> Request | None:
        """Return what a step has requested whose answer an input is; None if that is forgotten."""
        request = self._core.timers.request(item.message)
        if request is None and item.producer is not None and item.producer in self._core.cone:
            request = dict(self._core.cone.record(item.producer).requests).get(item.index)
        return request

    # -- what people say ---------------------------------------------------------------------------------------------

    def asked(self, event: ReleaseAsked) -> None:
        """Somebody lets a request go before it is settled (RQ-2), or says what it waits for (RQ-3)."""
        core, lineage = self._core, event.request_of
        found = [(item, request) for item, request in core.timers.requested() if item.lineage == lineage]
        waits = bool(found) and lineage not in self._under_way and not self._stands(lineage, found[0][1])
        earlier, word = self._word_on(lineage, waits), f"{_DONE[event.verb]} by {event.by or 'somebody'}"
        why = f"{lineage} of {core.agent} is {earlier} already"
        if not earlier:
            why = self._refused(*found[0], event.verb) if waits else _WAITS_NOT
            why = why and f"{core.agent} has {'a' if found else 'no'} request {lineage!r} that {why}"
        if earlier == word and lineage in self._released:
            self._replies.setdefault(lineage, []).append(event.request)
        elif earlier == word:
            core.when_durable(lambda: core.actions.append(Reply(event.request, _DONE[event.verb])))
        elif why:
            core.actions.append(Reply(event.request, "", f"{why}. Nothing changed."))
        else:
            self._again_us.pop(lineage, None)
            self._seen = None
            core.tell(_DONE[event.verb], lineage, f"by {event.by or 'somebody'}: {event.note}")
            if event.verb == "release":
                self._released[lineage] = (event.note, event.by, event.proof)
                self._replies.setdefault(lineage, []).append(event.request)
            else:
                self._take_word(*found[0], event)

    def _word_on(self, lineage: Lineage, waits: bool) -> str:
        """Return what was said of a request and by whom, as far as that is known here; empty if nobody has."""
        core = self._core
        if lineage in self._released:
            return f"released by {self._released[lineage][1] or 'somebody'}"
        if core.timers.requests(lineage) and (by := core.timers.approved(lineage)) is not None:
            return f"approved by {by}"
        if waits:
            # What was said of its earlier run was said of that: a re-run asks anew.
            return ""
        effects = core.intents.of(lineage)
        return effects[-1].word if effects and effects[-1].state != OPEN else ""

    def _take_word(self, item: Input, request: Request, event: ReleaseAsked) -> None:
        """Write down what a person says, or the default, and go by it: what follows stands after it in the log."""
        core, lineage, verb = self._core, item.lineage, event.verb
        if verb == "approve":
            approved = ApprovedRecord(lineage, event.note, event.by or "somebody", event.proof)
            self.apply_approved(approved)
            records: tuple[Record, ...] = (approved,)
        else:
            opened = self._opened(item, request, event.note, event.by, event.proof)
            state, by = DONE if verb == "answer" else UNDONE, event.by or "somebody"
            records = self._ended(opened, EffectRecord(opened.intent, state, event.value, event.note, by))

        def say() -> None:
            if event.request:
                core.actions.append(Reply(event.request, _DONE[verb]))

        core.append(records, say, is_fact=True)

    def _refused(self, item: Input, request: Request, verb: str) -> str:
        """Return why people can't say that of a request; empty if they can."""
        if request.group is None:
            return _refused(request, verb)
        if verb == "release":
            return "goes with its group, once all members are ready"
        if self._grouping.stand(request.group, item.lineage)[0] != FREE:
            return "has a say in its group, for good"
        return "" if verb == "reject" else _refused(request, verb)

    def _end(self, item: Input, request: Request, why: str) -> None:
        """A request is not let go with its group: that is its answer, and nothing is called (RQ-4)."""
        opened = self._opened(item, request, why)
        self._core.append(self._ended(opened, EffectRecord(opened.intent, UNDONE, msgpack.encode(why), why)))

    def _opened(self, item: Input, request: Request, note: str, by: str = "", proof: bytes = b"") -> IntentRecord:
        core, lineage = self._core, item.lineage
        number = core.intents.next_number(lineage)
        return IntentRecord(
            f"{core.agent}/{lineage}/{number}", lineage, request.tool, request.args, request.key, number, request.kind,
            note, by, proof,
        )  # fmt: skip

    def _ended(self, opened: IntentRecord, ended: EffectRecord) -> tuple[Record, ...]:
        """Take in a request that has its answer without a call."""
        self._core.intents.take(opened)
        self.apply_effect(ended)
        return opened, ended

    # -- recovery --------------------------------------------------------------------------------------------------

    def apply_approved(self, record: ApprovedRecord) -> None:
        """Take in from the log that somebody agrees."""
        self._core.timers.approve(record.lineage, record.by)

    def apply_effect(self, record: EffectRecord) -> None:
        """Take in from the log what became of a call; if a request waits for that, it is answered (EF-3)."""
        core = self._core
        effect = core.intents[record.intent]
        was_open = effect.state == OPEN
        core.intents.set_state(record.intent, record.state, record.result)
        if was_open and effect.state in (DONE, UNDONE, DOUBT):
            effect.word = f"{'answered' if effect.state == DONE else 'rejected'} by {record.by}" if record.by else ""
            if self._is_of_request(effect):
                core.timers.answered(effect.lineage)
        if effect.state == UNDOING and effect.claimed_by is not None:
            core.intents.doom_one(effect)  # its step stands, and somebody has had it countered (EF-8)

    def _is_of_request(self, effect: Effect) -> bool:
        """Tell whether an effect is what the request that waits asks for, and no earlier run's or another's."""
        request = self._core.timers.request_under(effect.lineage)
        return request is None or request.kind == IRREVERSIBLE or effect in self._effects_of(effect.lineage, request)

    def recovered(self) -> None:
        """Go on with what an earlier life has let go: what it binds, it binds still."""
        for record in self._core.cone.records():
            if record.requests and self.held(record):
                self._floor = max(self._floor, record.epoch + 1)

    # -- what it binds ---------------------------------------------------------------------------------------------

    @property
    def floor(self) -> int:
        """A restore of an epoch before this one would undo a step whose irreversible call was let go, or may be."""
        return max(self._floor, self._grouping.floor())

    def held(self, record: StepRecord) -> str:
        """Return what a step has done, or may any time, so that it must stay (RQ-2, RQ-4); empty if nothing."""
        for at, request in record.requests:
            lineage = record.outputs[at].lineage
            irreversible = request.kind == IRREVERSIBLE
            if irreversible and any(effect.state != UNDONE for effect in self._effects_of(lineage, request)):
                return f"has let {request.tool} go, which can't be undone"
            if request.group is not None and self._grouping.binds(request.group, lineage):
                return f"has said that {request.tool} may go with group {request.group.id}, which stands"
        return ""

    def holds(self, step: StepId) -> str:
        """Return what a step in memory has done, so that it must stay; empty if nothing."""
        return self.held(self._core.cone.record(step))

    def waiting(self) -> list[RequestSeen]:
        """Return the requests that are not let go yet."""
        core, found = self._core, list[RequestSeen]()
        for item, request in core.timers.requested():
            if item.producer is not None and not self._stands(item.lineage, request):
                until_us = 0 if (due_us := core.timers.due_of(item)) == NEVER_US else due_us
                found.append(RequestSeen(
                    item.lineage, item.producer, request.tool, request.kind, request.args, item.time_us, until_us,
                    request.hold, core.timers.approved(item.lineage), request.group,
                ))  # fmt: skip
        return found

    def under_way(self) -> int:
        """Return how many are being called."""
        return len(self._under_way)

    def deadline_us(self) -> int | None:
        """Return when a request is to be looked at again."""
        return min(self._again_us.values(), default=None)


def _refused(request: Request, verb: str) -> str:
    """Return why people can't say that of a request; empty if they can."""
    if request.hold is None and verb != "release":
        return "asks nobody: it goes when its step is settled, or is released"
    if request.kind == PERSON and verb in ("release", "approve"):
        return "asks for an answer: give one, or reject it"
    if request.kind != PERSON and verb == "answer":
        return f"asks whether {request.tool} is called: approve it, reject it, or release it"
    return ""
