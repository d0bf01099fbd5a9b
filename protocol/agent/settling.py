"""What people say of effects: try the undo now; it stands, or does not (EF-4); counter it, its step stands (EF-8)."""

from protocol.action import Reply
from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.intents import COMPENSABLE, DONE, DOUBT, KEPT, UNDOING, UNDONE, Effect
from protocol.event import EffectAsked
from protocol.records import EffectRecord

FINAL = "final"
"""What is said of an effect that is settled for good: its journal is folded, and nobody can have it undone."""


class Settling:
    """The effects of one agent that a person settles."""

    def __init__(self, core: Core, effects: Effects) -> None:
        self._core = core
        self._effects = effects

    def asked(self, event: EffectAsked) -> None:
        """Somebody wants an undo tried now, or says whether an effect stands (EF-4); or has it countered (EF-8)."""
        core = self._core
        effect = core.intents.get(event.intent)
        if event.verb == "counter":
            self._counter(effect, event)
            return
        why = ""
        if effect is None:
            why = f"there is no effect {event.intent} here, or it is settled for good"
        elif not (effect.doomed or effect.state == DOUBT):
            why = f"{event.intent} is {effect.state}, and nothing of it is pending"
        if why or effect is None:
            core.actions.append(Reply(event.request, "", f"{why}. Nothing changed."))
        elif event.verb == "retry":
            self._retry(effect)
            core.actions.append(Reply(event.request, effect.state))
        else:
            self._settled_by_hand(effect, event)

    def _counter(self, effect: Effect | None, event: EffectAsked) -> None:
        """Undo an effect whose step stands; asked again, say how far that is."""
        core = self._core
        if effect is None:
            core.actions.append(Reply(event.request, FINAL))
            return
        if effect.state != DONE or effect.kind != COMPENSABLE or effect.claimed_by is None:
            core.actions.append(Reply(event.request, effect.state))
            return
        effect.busy = True
        effect.tries += 1
        core.intents.set_state(effect.intent, UNDOING)
        core.intents.doom_one(effect)
        core.tell("effect-countered", effect.intent, f"by {event.by or 'somebody'}: {event.note}")

        def begin() -> None:
            self._effects.use(effect.intent, "undo")
            core.actions.append(Reply(event.request, UNDOING))

        core.append((EffectRecord(effect.intent, UNDOING, b"", event.note, event.by),), begin, is_fact=True)

    def _retry(self, effect: Effect) -> None:
        effect.again_us = 0
        if effect.state == DOUBT and not effect.busy:
            self._effects.use(effect.intent, "check")

    def _settled_by_hand(self, effect: Effect, event: EffectAsked) -> None:
        core = self._core
        was_doubt = effect.state == DOUBT
        state = UNDONE if not event.happened else DONE if was_doubt else KEPT
        core.intents.set_state(effect.intent, state)
        core.tell("effect-settled", effect.intent, f"{state}, says {event.by or 'somebody'}: {event.note}")
        record = EffectRecord(effect.intent, state, b"", event.note, event.by)
        core.append((record,), lambda: core.actions.append(Reply(event.request, state)), is_fact=True)
        if state == DONE and effect.claimed_by is None:
            # It did happen, and no step stands behind it: like any other it waits for its new run, or is undone.
            self._effects.orphan(effect.lineage)
        self._effects.settled(effect)
