"""The way of an agent's timers: from the step that sets them, past those that cancel them, into line (TI-1, TI-2)."""

from msgspec.structs import replace

from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.ids import Lineage, MessageId
from protocol.step import Input, Request, StepDraft, StepRecord, VoidOut, message_of, timers_of


class Timing:
    """The timers of one agent, in time."""

    def __init__(self, core: Core, effects: Effects) -> None:
        self._core = core
        self._effects = effects

    def cancelled(self, item: Input, draft: StepDraft) -> tuple[MessageId, ...]:
        """Return the timers that a step calls off: what is set under a key takes the place of what was (TI-2).

        Not what it handles itself: that has come.
        """
        keys = [*draft.cancels, *(out.key for out in draft.outputs if out.after_us is not None and out.key is not None)]
        found = (message for key in dict.fromkeys(keys) for message in self._core.timers.under(key))
        return tuple(message for message in found if message != item.message)

    def voids_for(self, cancelled: tuple[MessageId, ...]) -> tuple[VoidOut, ...]:
        """Number what tells on that these will not run again: earlier runs, undone since, may have sent something."""
        lineages = [self._core.timers.item(message).lineage for message in cancelled]
        return tuple(out for lineage in lineages for out in self._core.void_all(lineage, ordered=False))

    def apply(self, record: StepRecord) -> None:
        """Take in what a step has done to timers, live or from the log."""
        core = self._core
        for message in record.cancelled:
            if core.timers.cancel(record.step, message):
                core.line.withdraw(message)
            lineage = core.timers.item(message).lineage
            if lineage in core.runs_of or core.intents.of(lineage):
                # EF-4: a run that was undone or failed has called tools for it, and no other will claim that.
                self._effects.end(lineage, ())
        requests = dict(record.requests)
        for index, due_us in timers_of(record):
            request = requests.get(index)
            core.timers.add(message_of(record, index), due_us, record.outputs[index].key, (), request)
            if request is not None:
                self._end_others(record, record.outputs[index].lineage, request)

    def _end_others(self, record: StepRecord, lineage: Lineage, request: Request) -> None:
        """A re-run requests something else: what was called for its earlier runs nobody will claim (EF-4).

        It is undone now. The request may wait long until it goes, for people or for a checkpoint, or never go.
        """
        core = self._core
        if not core.intents.of(lineage):
            return
        earlier = [core.cone.record(step) for step in core.runs_of.get(record.input.lineage, ())]
        others = {(r.tool, r.args) for old in earlier for at, r in old.requests if old.outputs[at].lineage == lineage}
        others.discard((request.tool, request.args))
        effects = core.intents.of(lineage)
        core.intents.doom(lineage, tuple(each.intent for each in effects if (each.tool, each.args) not in others))

    def work(self) -> None:
        """Put in line what is due; there it waits for its turn, and for decisions, as any input does (RB-6)."""
        core = self._core
        for item in core.timers.take_due(core.now_us):
            core.line.put(replace(item, place=core.inbox.new_place()))

    def deadline_us(self) -> int | None:
        """Return when the next timer is due."""
        return self._core.timers.due_us()
