"""Inputs that somebody outside calls off: given up while they wait or run, and refused once they are steps (ST-12)."""

from itertools import chain

from msgspec.structs import replace

from protocol.action import INPUT_HANDLED, INPUT_UNKNOWN, CutOff, Reply
from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.stepping import Stepping
from protocol.event import CallOffAsked
from protocol.ids import Lineage
from protocol.step import Input


class CallingOff:
    """What becomes of one agent's inputs that are called off."""

    def __init__(self, core: Core, effects: Effects, stepping: Stepping) -> None:
        self._core = core
        self._effects = effects
        self._stepping = stepping

    def asked(self, event: CallOffAsked) -> None:
        """Somebody wants an input called off; asked again, the answer is the same."""
        core, lineage = self._core, self._lineage(event.name)
        step = core.live_run(lineage)
        item = self._waiting(lineage)
        # What was called off may be sent anew by its sender's next run: that is meant then.
        letter = core.dead_letters.find(lineage) if item is None else None
        reply = Reply(event.request, "")
        if step is not None:
            # Another may wait here, whose sender has undone this one already: it runs once that is undone here, too.
            text = f"{event.name} has become step {step}. Nothing changed. To undo it, roll that step back."
            reply = replace(reply, error=text, kind=INPUT_HANDLED)
        elif item is not None and core.is_undone(item):
            text = f"the step that sent {event.name} is undone: {core.agent} does not handle it. Nothing changed."
            reply = replace(reply, error=text, kind=INPUT_UNKNOWN)
        elif item is not None:
            why = f"called off by {event.by}" + (f": {event.why}" if event.why else "")
            self._give_up(item, why)
            reply = replace(reply, value=why)
        elif letter is not None:
            reply = replace(reply, value=letter.why)
        else:
            text = f"no input {event.name!r} waits or runs at {core.agent}, and none is a dead letter there."
            more = "It may not have come yet, or be compacted, dropped, or handled again under another name."
            reply = replace(reply, error=f"{text} {more} Nothing changed.", kind=INPUT_UNKNOWN)
        # ST-2: what is said, also that it has become a step, is said when that can't be forgotten any more.
        core.when_durable(lambda: core.actions.append(reply))

    def _lineage(self, name: str) -> Lineage:
        """Return the lineage of an input that goes by its lineage, or, as notices have it, by who sent it."""
        core = self._core
        if core.runs_of.get(name) or core.dead_letters.find(name) is not None or self._waiting(name) is not None:
            return name
        handled = (record.input for record in reversed(core.cone.records()))
        known = chain(self._stepping.waiting(), core.dead_letters.inputs(), handled)
        return next((item.lineage for item in known if item.producer is not None and str(item) == name), name)

    def _give_up(self, item: Input, why: str) -> None:
        core, stepping = self._core, self._stepping
        running = stepping.running
        if running is not None and running[2].lineage == item.lineage:
            # Whatever its handler comes to is nothing any more; until it has ended no other begins beside it.
            stepping.running, stepping.ending = None, running[0]
            self._effects.release_claims(running[0], item)
            core.actions.append(CutOff(running[0], why))
        else:
            core.line.take_back(item.lineage)
        stepping.bury(item, why)

    def _waiting(self, lineage: Lineage) -> Input | None:
        return next((item for item in self._stepping.waiting() if item.lineage == lineage), None)
