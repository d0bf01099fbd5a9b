"""Effects in the world and their lineages: claims, voids, and undo (EF-1 to EF-6). Joins intents with the rest.

A lineage is *settled* at an agent when it has run again, or when it will not: what its undone runs did and the new run
did not claim is undone, and what they sent and the new run did not send is void, so its receivers settle in turn.
"""

from collections.abc import Callable
from itertools import islice, takewhile
from typing import Any

from protocol.action import Resume, UseTool
from protocol.agent.core import Core
from protocol.agent.intents import DONE, DOUBT, IRREVERSIBLE, KEPT, OPEN, UNDOING, UNDONE, Awaited, Effect, Released
from protocol.event import ToolWanted
from protocol.ids import AgentId, Lineage
from protocol.message import Void
from protocol.records import BaseRecord, EffectRecord, IntentRecord, VoidRecord
from protocol.step import Input, VoidOut


class Effects:
    """Calls of the running step, and the undoing of effects that nobody stands behind."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.voided: set[Lineage] = set()
        """Lineages that will not come, whose steps here are not undone yet."""
        self._ended: dict[Lineage, int] = {}
        """Lineages that will not run again here, and the epoch in which that became known."""
        self._claimed: dict[int, set[str]] = {}
        self._calls: dict[str, Awaited] = {}
        """By intent, the call that awaits it."""
        self._redo: dict[str, tuple[bytes, str | None, Released]] = {}
        self._after: dict[tuple[AgentId, int, int], Lineage] = {}
        self._blocked: dict[Lineage, tuple[int, int]] = {}
        """Lineages whose undo waits for others' undo first: how many, and until when at most; the longest first."""
        self._owed: dict[Lineage, list[tuple[AgentId, int, int]]] = {}
        """Acknowledgments that wait until a lineage's own effects are undone."""
        self.answered: Callable[[Resume], None]
        """Takes the answers of calls that are requests: their runs have numbers below 0 (RQ-1)."""

    # -- calls of the running step ---------------------------------------------------------------------------------

    def wanted(self, event: ToolWanted, item: Input, released: Released = ("", "", b"")) -> None:
        """A tool is wanted, or was `released` (why, by whom): replay, check, undo first, or call (EF-2, EF-3, EF-7)."""
        run, tool, kind, args, key = event.run, event.tool, event.kind, event.args, event.key
        call = Awaited(run, event.call, event.checks, kind)
        claimed = self._claimed.setdefault(run, set())
        effect = self._core.intents.match(item.lineage, tool, args, key, claimed)
        if effect is None:
            number = self._core.intents.next_number(item.lineage)
            intent = f"{self._core.agent}/{item.lineage}/{number}"
            record = IntentRecord(intent, item.lineage, tool, args, key, number, kind, *released)
            effect = self._core.intents.take(record)
            claimed.add(intent)
            effect.busy = True
            self._calls[intent] = call
            self._core.append((record,), lambda: self.use(intent, "call"), is_fact=True)
            return
        claimed.add(effect.intent)
        self._core.intents.spare(effect)
        self._pay(item.lineage)
        self._calls[effect.intent] = call
        if effect.args == args and effect.state == DONE:
            del self._calls[effect.intent]
            self._say(Resume(run, "done", effect.result, event.call))
        elif kind == IRREVERSIBLE and effect.args != args:
            # RQ-2: what it was is done, or may be, and can't be undone to do this. Only a lost disk comes to that.
            self._doubt(effect)
        elif effect.busy and effect.state == OPEN:
            # EF-7: an earlier attempt's call goes on by itself. Its answer is this one's, or is undone first.
            if effect.args != args:
                self._redo[effect.intent] = (args, key, released)
        elif effect.state in (OPEN, DOUBT) and effect.args == args:
            # A crash came between intent and result: ask the world, never repeat blindly.
            if event.checks:
                self.use(effect.intent, "check")
            elif kind == "idempotent":
                self.use(effect.intent, "call")
            else:
                self._doubt(effect)
        else:
            self._redo[effect.intent] = (args, key, released)
            if not effect.busy:
                self._begin_undo(effect)

    def used(self, intent: str, verb: str, answer: str, result: bytes) -> None:
        """A tool has answered."""
        effect = self._core.intents.get(intent)
        if effect is None:
            return
        effect.busy = False
        if verb == "call":
            self._called(effect, answer, result)
        elif verb == "check":
            self._checked(effect, answer, result)
        else:
            self._undo_answered(effect, answer, result)

    def _called(self, effect: Effect, answer: str, result: bytes) -> None:
        state = {"done": DONE, "failed": UNDONE}.get(answer, DOUBT)
        if effect.intent in self._redo and state != DOUBT:
            # EF-7: an earlier attempt's call has come to its end, and this run wants another.
            self._core.intents.set_state(effect.intent, state, result)
            self._undo_checked(effect, "yes" if state == DONE else "no")
            return
        self._redo.pop(effect.intent, None)
        self._core.intents.set_state(effect.intent, state, result)
        record = EffectRecord(effect.intent, state, result)
        call = self._calls.get(effect.intent)
        self._core.append((record,), lambda: self._answered(effect, call))
        if state == DOUBT:
            self._core.tell("in-doubt", effect.intent, f"{effect.tool} did not say whether it happened")

    def _checked(self, effect: Effect, answer: str, result: bytes) -> None:
        if effect.state == UNDOING:
            self._undo_checked(effect, answer)
        elif effect.intent in self._redo and answer != "unknown":
            # A crash cut the call short, and the run that came after it wants another: if it happened, undo it first.
            self._core.intents.set_state(effect.intent, DONE)
            self._undo_checked(effect, answer)
        elif answer == "yes":
            self._called(effect, "done", result)
        elif answer == "no" and effect.intent in self._calls and not effect.doomed:
            self.use(effect.intent, "call")
        elif answer == "no":
            self._finish_undo(effect, UNDONE)
        else:
            self._doubt(effect)

    def _doubt(self, effect: Effect) -> None:
        self._redo.pop(effect.intent, None)
        self._core.intents.set_state(effect.intent, DOUBT)
        record = EffectRecord(effect.intent, DOUBT)
        call = self._calls.get(effect.intent)
        self._core.append((record,), lambda: self._answered(effect, call))
        self._core.tell("in-doubt", effect.intent, f"nobody knows whether {effect.tool} happened; it is not repeated")

    def _answered(self, effect: Effect, call: Awaited | None) -> None:
        self._resume(effect.intent, call)
        self._pay(effect.lineage)

    def _resume(self, intent: str, call: Awaited | None) -> None:
        """Answer the run that awaited this; one that has come to want the effect since waits for its own answer."""
        effect = self._core.intents.get(intent)
        if effect is not None and call is not None and self._calls.get(intent) is call:
            del self._calls[intent]
            answer = {DONE: "done", UNDONE: "failed"}.get(effect.state, "doubt")
            self._say(Resume(call.run, answer, effect.result, call.call))

    def _say(self, action: Resume) -> None:
        (self.answered if action.run < 0 else self._core.actions.append)(action)

    def stand_behind(self, run: int, effect: Effect) -> None:
        """A run stands behind an effect that its agent has requested."""
        self._claimed.setdefault(run, set()).add(effect.intent)
        self._core.intents.spare(effect)

    def use(self, intent: str, verb: str) -> None:
        """Have a tool called, undone or asked."""
        (effect := self._core.intents[intent]).busy = True
        self._core.actions.append(UseTool(intent, effect.tool, verb, effect.args, effect.result))

    def claims_of(self, run: int) -> tuple[str, ...]:
        """Return, and forget, what the run has called; what it still awaits is its own (EF-7)."""
        claimed = self._claimed.pop(run, set())
        for intent in sorted(claimed):
            self._calls.pop(intent, None)
            if self._redo.pop(intent, None) is not None:
                # It wanted another call in this one's place, and has not waited for it.
                claimed.discard(intent)
        return tuple(sorted(claimed))

    def release_claims(self, run: int, item: Input) -> None:
        """The run never became a step: its effects belong to its lineage, and wait."""
        self.claims_of(run)
        self.orphan(item.lineage)

    def orphan(self, lineage: Lineage) -> None:
        """Nobody stands behind a lineage's effects now: they wait for its new run, if there will be one."""
        if lineage in self._ended:
            self._core.intents.doom(lineage)
        else:
            self._core.intents.orphan(lineage, self._core.now_us)

    def recovered(self) -> None:
        """Effects of a run that the crash cut short belong to its lineage; those of a request to that."""
        for lineage in self._core.intents.unclaimed():
            if not self._core.timers.requests(lineage):
                self.orphan(lineage)

    def end(self, lineage: Lineage, voids: tuple[VoidOut, ...]) -> None:
        """A lineage will not run here again, unless its sender sends it anew: undo what it did."""
        self._ended[lineage] = self._core.colours.epoch
        self._settle(lineage, (), voids)
        self._pay(lineage)

    def ran(self, lineage: Lineage, claims: tuple[str, ...], voids: tuple[VoidOut, ...]) -> None:
        """A lineage has run: undo what its earlier runs did and this one did not claim."""
        self._ended.pop(lineage, None)
        self.voided.discard(lineage)
        self._settle(lineage, claims, voids)
        self._pay(lineage)

    def told(self) -> dict[str, Any]:
        """Return this part's slice of a base: what has ended, since when; what is void; what undos wait for."""
        after = tuple((*name, lineage) for name, lineage in self._after.items())
        return {"ended": tuple(self._ended.items()), "voided": tuple(sorted(self.voided)), "after": after}

    def load(self, base: BaseRecord) -> None:
        """Take in this part's slice of a base."""
        self._ended, self.voided = dict(base.ended), set(base.voided)
        self._after = {(receiver, life, number): lineage for receiver, life, number, lineage in base.after}

    def has_ended(self, lineage: Lineage) -> bool:
        """Tell whether a lineage will not run here again."""
        return lineage in self._ended

    def forget(self, final: list[Lineage], horizon: int, runs: Lineage) -> None:
        """Drop the journal of lineages whose last run is final, or that ended before the horizon (CP-6)."""
        requests = self._core.timers.requests  # one that was called off may come again (TI-2), or `runs` still
        ended = [name for name, epoch in self._ended.items() if epoch < horizon and not requests(name)]
        for lineage in (*final, *ended):
            if lineage != runs and lineage not in self._core.runs_of and self._core.intents.forget(lineage):
                self._ended.pop(lineage, None)

    # -- settling a lineage ----------------------------------------------------------------------------------------

    def _settle(self, lineage: Lineage, spared: tuple[str, ...], voids: tuple[VoidOut, ...]) -> None:
        """Undo a lineage's effects except `spared`; ordered voids come first, up to a bound (EF-6)."""
        self._core.intents.doom(lineage, spared)
        waits = [out for out in voids if out.ordered]
        for out in waits:
            self._after[out.receiver, out.incarnation, out.number] = lineage
        if waits and not self._core.replaying:
            # At the end: whoever is blocked longest comes first.
            self._blocked.pop(lineage, None)
            self._blocked[lineage] = (len(waits), self._core.now_us + self._core.limits.order_wait_us)

    def void_acked(self, receiver: AgentId, incarnation: int, number: int) -> None:
        """A receiver has settled what hung on one of our ordered voids."""
        lineage = self._after.pop((receiver, incarnation, number), None)
        if lineage in self._blocked:
            left, until_us = self._blocked[lineage]
            if left > 1:
                self._blocked[lineage] = (left - 1, until_us)
            else:
                del self._blocked[lineage]
                self._pay(lineage)

    def void_came(self, sender: AgentId, void: Void) -> tuple[VoidOut, ...]:
        """A sender says that a lineage will not come again: pass it on, and undo what hung on it (EF-5).

        Returns: what is passed on to this agent itself, which need not wait until it comes.
        """
        voids: tuple[VoidOut, ...] = ()
        if void.lineage and self._core.live_run(void.lineage) is None:
            voids = self._core.void_all(void.lineage, void.ordered)
        record = VoidRecord(sender, void.incarnation, void.number, void.lineage, void.ordered, voids)
        self.apply_void(record)
        self._core.append((record,), lambda: self._void_durable(record))
        return tuple(out for out in voids if out.receiver == self._core.agent)

    def apply_void(self, record: VoidRecord) -> None:
        """Take in a void, live or from the log."""
        self._core.inbox.settle(record.sender, record.incarnation, record.number)
        self._core.post_voids(record.voids)
        if not record.lineage:
            return
        if self._core.live_run(record.lineage) is not None:
            # Our own decision is still to come: settled then.
            self.voided.add(record.lineage)
        else:
            self.end(record.lineage, record.voids)

    def _void_durable(self, record: VoidRecord) -> None:
        self._core.release_voids(record.voids)
        self.void_again(record.sender, Void(record.incarnation, record.number, record.lineage, record.ordered))

    def void_again(self, sender: AgentId, void: Void) -> None:
        """A void has come again: its acknowledgment was lost, or is still owed, perhaps since an earlier life."""
        if void.ordered:
            owed = self._owed.setdefault(void.lineage, [])
            if (sender, void.incarnation, void.number) not in owed:
                owed.append((sender, void.incarnation, void.number))
            self._pay(void.lineage)
        else:
            self._core.acknowledge(sender, void.incarnation, void.number, None)

    def _pay(self, lineage: Lineage) -> None:
        """Something of a lineage has changed: its ordered voids are acknowledged if its effects are undone."""
        if lineage not in self._owed or lineage in self._blocked or lineage in self.voided:
            return
        if all(not effect.doomed for effect in self._core.intents.of(lineage)):
            for sender, incarnation, number in self._owed.pop(lineage):
                self._core.acknowledge(sender, incarnation, number, None)

    # -- undo ------------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Start every undo that may start, newest first within the agent."""
        if self._is_quiet():
            return
        now_us = self._core.now_us
        for lineage in list(takewhile(lambda name: self._blocked[name][1] <= now_us, self._blocked)):
            self._core.tell("undo-unordered", lineage, "effects that depend on it are not known to be undone; goes on")
            del self._blocked[lineage]
            self._pay(lineage)
        for effect in self._core.intents.waiting():
            if effect.waits_since_us + self._core.limits.effect_wait_us <= now_us:
                self._core.tell("effect-unclaimed", effect.intent, "its input did not run again in time; undone")
                self._core.intents.doom(effect.lineage)
        for effect in reversed(self._core.intents.doomed()):
            if not effect.busy and effect.lineage not in self._blocked and effect.again_us <= now_us:
                self._begin_undo(effect)

    def deadline_us(self) -> int | None:
        """Return when an undo is to be tried again, or an effect gives up waiting."""
        if self._is_quiet():
            return None
        doomed = [effect for effect in self._core.intents.doomed() if not effect.busy]
        times = [effect.again_us for effect in doomed if effect.lineage not in self._blocked]
        times += [until_us for _, until_us in islice(self._blocked.values(), 1)]
        waiting = self._core.intents.waiting()
        times += [effect.waits_since_us + self._core.limits.effect_wait_us for effect in waiting[:1]]
        return min(times) if times else None

    def _is_quiet(self) -> bool:
        return self._core.intents.is_quiet() and not self._blocked

    def _begin_undo(self, effect: Effect) -> None:
        if effect.kind == IRREVERSIBLE:
            self._core.tell("not-undone", effect.intent, f"{effect.tool} can't be undone, and nobody stands behind it")
            self._finish_undo(effect, KEPT)
            return
        effect.busy = True
        if effect.state == OPEN or (effect.state == UNDOING and effect.tries == 0):
            # Either the call or an earlier undo was cut short by a crash: ask first.
            effect.tries += 1
            self.use(effect.intent, "check")
            return
        effect.tries += 1
        self._core.intents.set_state(effect.intent, UNDOING)
        record = EffectRecord(effect.intent, UNDOING)
        self._core.append((record,), lambda: self.use(effect.intent, "undo"), is_fact=True)

    def _undo_answered(self, effect: Effect, answer: str, why: bytes) -> None:
        """An undo is never given up: only its waits grow (EF-4)."""
        core, limits = self._core, self._core.limits
        if effect.state in (UNDONE, KEPT):
            return  # a person has settled it meanwhile
        if answer == "done":
            self._finish_undo(effect, UNDONE)
            return
        effect.why = why.decode(errors="replace")
        core.intents.put_off(effect, core.now_us, limits)
        if effect.tries == limits.undo_tries_max:
            what = f"{effect.tool} is not undone after {effect.tries} tries ({effect.why or 'no reason given'})"
            core.tell("undo-failed", effect.intent, f"{what}; it is tried on, until it is or somebody settles it")
        if effect.tries >= limits.undo_tries_max:
            self._give_way(effect)

    def settled(self, effect: Effect) -> None:
        """A person has settled an effect: whoever waits for its undo goes on."""
        self._give_way(effect)
        self._pay(effect.lineage)

    def _give_way(self, effect: Effect) -> None:
        """A run that awaits an undo does not hold up its agent for ever: it is tried again later, others pass it."""
        call = self._calls.pop(effect.intent, None)
        if self._redo.pop(effect.intent, None) is not None and call is not None:
            # Whatever its handler makes of that, it does not stand behind the effect.
            self._claimed.setdefault(call.run, set()).discard(effect.intent)
            self._say(Resume(call.run, "waits", effect.why.encode(), call.call))

    def _undo_checked(self, effect: Effect, answer: str) -> None:
        if answer == "no":
            self._finish_undo(effect, UNDONE)
        else:
            # Still there, or nobody can tell: undo is keyed by the intent, so asking again is safe for the tool.
            self._begin_undo(effect)

    def _finish_undo(self, effect: Effect, state: str) -> None:
        self._core.intents.set_state(effect.intent, state)
        record = EffectRecord(effect.intent, state)
        redo, call = self._redo.pop(effect.intent, None), self._calls.get(effect.intent)
        if redo is None or call is None:
            # Whoever awaits it still, as a request that was called off while it was called, is told.
            self._core.append((record,), lambda: self._answered(effect, call))
            return
        (args, key, released), _ = redo, self._calls.pop(effect.intent)
        number = self._core.intents.next_number(effect.lineage)
        intent = f"{self._core.agent}/{effect.lineage}/{number}"
        again = IntentRecord(intent, effect.lineage, effect.tool, args, key, number, call.kind, *released)
        self._core.intents.take(again).busy = True
        self._calls[intent] = call
        self._claimed.setdefault(call.run, set()).add(intent)
        self._claimed[call.run].discard(effect.intent)
        self._core.append((record, again), lambda: self.use(intent, "call"), is_fact=True)
        self._pay(effect.lineage)
