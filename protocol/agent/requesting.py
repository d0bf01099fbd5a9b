"""The way of a request: let go when its step is durable, or settled if nobody can undo it; then its answer is due.

A request is a timer that waits for a tool (RQ-1, RQ-2). Everything else, claims, checks after a crash, undo, is as for
any call (EF-1 to EF-4).
"""

from typing import NamedTuple

from protocol.action import Reply, Resume
from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.intents import DONE, DOUBT, IRREVERSIBLE, KEPT, UNDONE
from protocol.event import ReleaseAsked, ToolWanted
from protocol.ids import Lineage, MessageId, StepId
from protocol.limits import NEVER_US
from protocol.step import Input, Request, StepRecord


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


class Requesting:
    """The requests of one agent."""

    def __init__(self, core: Core, effects: Effects) -> None:
        self._core = core
        self._effects = effects
        self._runs: dict[int, tuple[MessageId, Lineage]] = {}
        """What is being called, by a run's number below 0."""
        self._under_way: dict[Lineage, None] = {}
        self._last_run = 0
        self._again_us: dict[Lineage, int] = {}
        """Requests whose tool is in the way of itself: an earlier call is not undone yet."""
        self._released: dict[Lineage, tuple[str, str]] = {}
        """Requests that somebody lets go before they are settled: why, and who."""
        self._replies: dict[Lineage, list[int]] = {}
        self.floor = 0
        """A restore of an epoch before this one would undo a step whose irreversible call was let go."""
        self._seen: object = None
        effects.answered = self._answered

    # -- letting go ------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Call what may be called."""
        core = self._core
        self._forget()
        if not core.timers.has_requests() or core.colours.is_paused or core.is_stalled:
            return
        seen = (core.timers.pushes(), core.colours.committed, core.undone)
        if seen == self._seen and not self._released:
            return
        self._seen = seen
        for item, request in core.timers.requested():
            if item.lineage in self._under_way or item.lineage in self._again_us:
                continue
            if item.producer is None or core.quarantine.freezes(item.producer):
                self._seen = None  # it is looked at again as long as that is undecided, and after it
            elif self._may_go(item, request):
                self._let_go(item, request)

    def _forget(self) -> None:
        """Drop what is over: waits, and releases of requests whose steps are undone. A re-run's is another."""
        core = self._core
        for lineage in [lineage for lineage, at_us in self._again_us.items() if at_us <= core.now_us]:
            del self._again_us[lineage]
            self._seen = None
        for lineage in [lineage for lineage in self._released if not core.timers.requests(lineage)]:
            del self._released[lineage]
            for number in self._replies.pop(lineage, ()):
                text = f"the step that has requested {lineage} is undone meanwhile. Nothing was released."
                core.actions.append(Reply(number, "", text))

    def _may_go(self, item: Input, request: Request) -> bool:
        if request.kind != IRREVERSIBLE or self._is_let_go(item.lineage) or item.lineage in self._released:
            return True
        # RQ-2: every consequence of it is on every disk then, and no loss can undo it any more.
        return item.epoch < self._core.colours.committed

    def _is_let_go(self, lineage: Lineage) -> bool:
        """Tell whether a call stands, or may: one that is undone, or did not happen, does not."""
        return any(effect.state != UNDONE for effect in self._core.intents.of(lineage))

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
            self.floor = max(self.floor, item.epoch + 1)
        wanted = ToolWanted(run, request.tool, request.kind, request.args, request.key, request.checks)
        self._effects.wanted(wanted, item, self._released.pop(item.lineage, ()))
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

    def told_of(self, event: ToolWanted, item: Input) -> None:
        """The handler of an answer asks what has become of the call, which it stands behind from now on."""
        effects = [effect for effect in self._core.intents.of(item.lineage) if effect.tool == event.tool]
        answer, result = "absent", b""
        if effects:
            effect = effects[-1]
            self._effects.stand_behind(event.run, effect)
            answer, result = {DONE: "done", KEPT: "done", UNDONE: "failed"}.get(effect.state, "doubt"), effect.result
        self._core.actions.append(Resume(event.run, answer, result, event.call))

    def asked(self, event: ReleaseAsked) -> None:
        """Somebody lets a request go before it is settled (RQ-2)."""
        core = self._core
        known = [item.lineage for item, _ in core.timers.requested()]
        if event.request_of not in known or event.request_of in self._under_way:
            text = f"{core.agent} has no request {event.request_of!r} that waits to be let go. Nothing changed."
            core.actions.append(Reply(event.request, "", text))
            return
        self._released[event.request_of] = (event.note, event.by)
        self._replies.setdefault(event.request_of, []).append(event.request)
        core.tell("released", event.request_of, f"by {event.by or 'somebody'}: {event.note}")

    def recovered(self) -> None:
        """Go on with what an earlier life has let go: answered it is due; else the world is asked (EF-3)."""
        core = self._core
        for record in core.cone.records():
            if record.requests and self.held(record):
                self.floor = max(self.floor, record.epoch + 1)
        for item, _ in core.timers.requested():
            effects = core.intents.of(item.lineage)
            if effects and effects[-1].state in (DONE, UNDONE, DOUBT) and item.message is not None:
                core.timers.put_off(item.message, 0)

    # -- what it binds ---------------------------------------------------------------------------------------------

    def held(self, record: StepRecord) -> list[Lineage]:
        """Return the requests of a step that can't be undone any more: it must stay (RQ-2)."""
        lineages = [record.outputs[at].lineage for at, request in record.requests if request.kind == IRREVERSIBLE]
        return [lineage for lineage in lineages if self._is_let_go(lineage)]

    def holds(self, step: StepId) -> str:
        """Return the tool of a step's call that was let go and can't be undone; empty if there is none."""
        record = self._core.cone.record(step)
        return next((self._core.intents.of(lineage)[-1].tool for lineage in self.held(record)), "")

    def waiting(self) -> list[RequestSeen]:
        """Return the requests that are not let go yet."""
        core, found = self._core, list[RequestSeen]()
        for item, request in core.timers.requested():
            if item.producer is not None and not self._is_let_go(item.lineage):
                due_us = core.timers.due_of(item)
                until_us = 0 if due_us == NEVER_US else due_us
                tool, kind, args, _, _ = request
                found.append(RequestSeen(item.lineage, item.producer, tool, kind, args, item.time_us, until_us))
        return found

    def under_way(self) -> int:
        """Return how many are being called."""
        return len(self._under_way)

    def deadline_us(self) -> int | None:
        """Return when a request is to be looked at again."""
        return min(self._again_us.values(), default=None)
