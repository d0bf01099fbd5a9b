"""The journal of tool calls: what was done to the world, for which lineage, and what is to be undone (EF-1 to EF-4).

An effect belongs to the lineage of the input whose handling made it, so a new run of that input claims it instead of
doing it again. Source: sagas, Garcia-Molina and Salem 1987; intent logs as in write-ahead logging, Mohan et al. 1992.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from protocol.ids import Lineage, StepId
from protocol.limits import Limits
from protocol.records import BaseRecord, EffectState, IntentRecord

OPEN, DONE, UNDOING, UNDONE, DOUBT, KEPT = "open", "done", "undoing", "undone", "doubt", "kept"
"""Kept: nobody stands behind it, and a person has said that it stays, or it can't be undone."""
COMPENSABLE = "compensable"
"""The kind of a call that has an undo."""
IRREVERSIBLE = "irreversible"
"""The kind of a call that nobody can undo: it is let go only when its step is settled, or somebody says so (RQ-2)."""
PERSON = "person"
"""The kind of a request that a person answers, and no tool (RQ-3): there is nothing to undo."""
GIVEN_UP = "failed"
"""As logs of 0.1 name an undo that was given up: it is tried again."""


@dataclass
class Effect:
    """One call and what became of it."""

    intent: str
    lineage: Lineage
    tool: str
    args: bytes
    key: str | None
    number: int
    kind: str = ""
    state: str = OPEN
    result: bytes = b""
    claimed_by: StepId | None = None
    """The last step that stands behind the effect."""
    tries: int = 0
    why: str = ""
    """What its last undo has raised, in this life."""
    again_us: int = 0
    doomed: bool = False
    """Its lineage is settled without it: it is to be undone."""
    busy: bool = field(default=False, repr=False)
    """A tool is at work on it."""
    ended: int = 0
    """Place among the agent's calls in the order in which they came to their end; 0: its end is not known (EF-7)."""
    word: str = ""
    """What a person has said of it, and who: such as `rejected by ann`."""
    waits_since_us: int = 0
    """Since when its step is undone and the new run of its lineage awaited; 0: it does not wait."""


class Awaited(NamedTuple):
    """A call of the running step that awaits its answer."""

    run: int
    call: int
    """Which of the run's calls."""
    checks: bool
    """The tool can tell whether a call has happened."""
    kind: str


Released = tuple[str, str, bytes]
"""Why somebody has released a request, who that was, and what was signed."""


class Intents:
    """The effects of one agent, by lineage."""

    def __init__(self) -> None:
        self._by_lineage: dict[Lineage, list[Effect]] = {}
        self._by_intent: dict[str, Effect] = {}
        self._doomed: dict[str, Effect] = {}
        self._waiting: dict[str, Effect] = {}
        self._doubted: dict[str, None] = {}
        self._ends = 0

    def __getitem__(self, intent: str) -> Effect:
        return self._by_intent[intent]

    def get(self, intent: str) -> Effect | None:
        """Return an effect by its intent, or None."""
        return self._by_intent.get(intent)

    def of(self, lineage: Lineage) -> list[Effect]:
        """Return a lineage's effects in the order in which they were wanted."""
        return self._by_lineage.get(lineage, [])

    def next_number(self, lineage: Lineage) -> int:
        """Return the number of a lineage's next intent."""
        return len(self._by_lineage.get(lineage, ()))

    def take(self, record: IntentRecord) -> Effect:
        """Note a new intent, live or from the log."""
        effect = Effect(record.intent, record.lineage, record.tool, record.args, record.key, record.number, record.kind)
        effect.word = f"released by {record.by}" if record.by else ""
        self.add(effect)
        return effect

    def add(self, effect: Effect) -> None:
        """Note a new intent."""
        self._by_lineage.setdefault(effect.lineage, []).append(effect)
        self._by_intent[effect.intent] = effect

    def match(self, lineage: Lineage, tool: str, args: bytes, key: str | None, claimed: set[str]) -> Effect | None:
        """Return the earlier effect that a call stands for, or None if it is a new one (EF-2).

        Same `key` if given, else equal arguments, else the next unclaimed in order: a model may word its
        arguments differently, or skip a call, the second time.
        """
        left = [
            effect
            for effect in self.of(lineage)
            if effect.tool == tool and effect.intent not in claimed and effect.state in (OPEN, DONE, DOUBT, UNDOING)
        ]
        if key is not None:
            return next((effect for effect in left if effect.key == key), None)
        left = [effect for effect in left if effect.key is None]
        return next((effect for effect in left if effect.args == args), left[0] if left else None)

    def claim(self, step: StepId, intents: tuple[str, ...]) -> None:
        """A step stands behind these effects."""
        for intent in intents:
            effect = self._by_intent.get(intent)
            if effect is not None:
                self.spare(effect)
                effect.claimed_by = step

    def spare(self, effect: Effect) -> None:
        """A run calls for an effect again: it neither waits nor is to be undone."""
        effect.waits_since_us = 0
        effect.doomed = False
        self._waiting.pop(effect.intent, None)
        self._doomed.pop(effect.intent, None)

    def unclaimed(self) -> list[Lineage]:
        """Return the lineages with effects that nobody stands behind, waits for, or is undoing."""
        return list(
            dict.fromkeys(
                effect.lineage
                for effect in self._by_intent.values()
                if effect.state in (OPEN, DONE, UNDOING)
                and effect.claimed_by is None
                and not effect.doomed
                and not effect.waits_since_us
            )
        )

    def orphan(self, lineage: Lineage, now_us: int) -> None:
        """The step behind a lineage's effects is undone: they wait for its new run."""
        for effect in self.of(lineage):
            # One in doubt waits for nobody: it was told, and a person settles it.
            if effect.state in (DONE, OPEN, UNDOING) and not effect.doomed:
                effect.claimed_by = None
                effect.waits_since_us = now_us
                self._waiting[effect.intent] = effect

    def doom(self, lineage: Lineage, spared: tuple[str, ...] = ()) -> list[Effect]:
        """A lineage is settled: what it did and nobody claims is to be undone; return that."""
        doomed = [
            effect
            for effect in sorted(self.of(lineage), key=self._end_of)
            if effect.intent not in spared and effect.state in (OPEN, DONE, UNDOING) and not effect.doomed
        ]
        for effect in doomed:
            self.doom_one(effect)
        return doomed

    def _end_of(self, effect: Effect) -> int:
        """Return an effect's place in the order of ends; one whose end is not known may have ended last."""
        return effect.ended or self._ends + 1

    def doom_one(self, effect: Effect) -> None:
        """Nobody stands behind an effect any more: it is to be undone."""
        effect.doomed = True
        effect.claimed_by = None
        self._waiting.pop(effect.intent, None)
        self._doomed[effect.intent] = effect

    def put_off(self, effect: Effect, now_us: int, limits: Limits) -> None:
        """An undo has failed: it is tried again, later each time."""
        wait_us = min(limits.undo_wait_us << min(effect.tries - 1, 32), limits.undo_wait_us_max)
        # What has failed together is not to come back together: each waits half to all of it.
        share = crc32(f"{effect.intent}/{effect.tries}".encode())
        effect.again_us = now_us + wait_us - (wait_us // 2 * share >> 32)
        self.doom_one(effect)

    def set_state(self, intent: str, state: str, result: bytes = b"") -> None:
        """Note what became of a call or of its undo."""
        effect = self._by_intent[intent]
        effect.state = UNDOING if state == GIVEN_UP else state
        if state == DONE and not effect.ended:
            self._ends += 1
            effect.ended = self._ends
        effect.result = result or effect.result
        self._note_doubt(effect)
        if state == GIVEN_UP:
            self.doom_one(effect)
        elif state in (UNDONE, KEPT, DOUBT):
            effect.doomed = False
            self._doomed.pop(intent, None)
            self._waiting.pop(intent, None)

    def _note_doubt(self, effect: Effect) -> None:
        if effect.state == DOUBT:
            self._doubted[effect.intent] = None
        else:
            self._doubted.pop(effect.intent, None)

    def in_doubt(self) -> int:
        """Return of how many calls nobody knows whether they have happened."""
        return len(self._doubted)

    def is_quiet(self) -> bool:
        """Tell whether no effect is to be undone or waits for a new run, as nearly always."""
        return not (self._doomed or self._waiting)

    def doomed(self) -> list[Effect]:
        """Return the effects that are still to be undone: of a lineage in the order in which its calls ended (EF-7)."""
        return list(self._doomed.values())

    def waiting(self) -> list[Effect]:
        """Return the effects that wait for a new run of their lineage."""
        return list(self._waiting.values())

    def forget(self, lineage: Lineage) -> bool:
        """Drop a lineage's effects if each is done or undone for good; True if nothing of it is left."""
        effects = self.of(lineage)
        if any(effect.state not in (DONE, UNDONE, KEPT) or effect.doomed or effect.busy for effect in effects):
            return False
        if any(effect.intent in self._waiting for effect in effects):
            return False
        if any(effect.state == DONE and effect.claimed_by is None for effect in effects):
            # A run that is under way has called it: an input that was discarded came again after a restore (CP-7).
            return False
        for effect in self._by_lineage.pop(lineage, []):
            del self._by_intent[effect.intent]
        return True

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: every effect as a record holds it."""
        return {"effects": self._states()}

    def _states(self) -> tuple[EffectState, ...]:
        return tuple(
            EffectState(
                intent=effect.intent,
                lineage=effect.lineage,
                tool=effect.tool,
                args=effect.args,
                key=effect.key,
                number=effect.number,
                state=effect.state,
                result=effect.result,
                claimed_by=effect.claimed_by,
                doomed=effect.doomed,
                waits=effect.intent in self._waiting,
                kind=effect.kind,
                word=effect.word,
            )
            for effect in self._in_their_places()
        )

    def _in_their_places(self) -> list[Effect]:
        """Return every effect; of a lineage those whose calls came to their end stand in that order (EF-7)."""
        ended = {
            lineage: iter(sorted((effect for effect in effects if effect.ended), key=self._end_of))
            for lineage, effects in self._by_lineage.items()
        }
        return [next(ended[effect.lineage]) if effect.ended else effect for effect in self._by_intent.values()]

    def load(self, base: BaseRecord, now_us: int) -> None:
        """Take in this part's slice of a base."""
        for kept in base.effects:
            effect = Effect(kept.intent, kept.lineage, kept.tool, kept.args, kept.key, kept.number, kept.kind)
            effect.state, effect.result, effect.claimed_by = kept.state, kept.result, kept.claimed_by
            effect.word = kept.word
            if kept.state != OPEN:
                self._ends += 1
                effect.ended = self._ends
            self.add(effect)
            self._note_doubt(effect)
            if kept.state == GIVEN_UP:
                self.set_state(effect.intent, GIVEN_UP)
            elif kept.doomed:
                self.doom_one(effect)
            elif kept.waits:
                effect.waits_since_us = now_us
                self._waiting[effect.intent] = effect
        for effects in self._by_lineage.values():
            effects.sort(key=lambda effect: effect.number)

    def all(self) -> list[Effect]:
        """Return every effect ever journalled."""
        return list(self._by_intent.values())
