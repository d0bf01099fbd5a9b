"""Rules of shared state, of reads and of messages that wait switched off, for `mutations`."""

from typing import Any

import pytest
from msgspec.structs import replace

from protocol.agent.calling_off import CallingOff
from protocol.agent.colours import Colours
from protocol.agent.core import Core
from protocol.agent.dead_letters import DeadLetters
from protocol.agent.effects import Effects
from protocol.agent.line import Line
from protocol.agent.quarantine import Quarantine
from protocol.agent.timers import Timers
from protocol.agent.timing import Timing
from protocol.agent.unplaced import Unplaced
from protocol.checkpoints.restores import Restores
from protocol.checkpoints.succession import Succession
from protocol.step import STEP_INDEX_ENTRIES, Read, Tolerated

Patch = pytest.MonkeyPatch


def entries_in_order_of_arrival(patch: Patch) -> None:
    patch.setattr("protocol.agent.versions._order", lambda entry: 0)


def newcomers_while_frozen(patch: Patch) -> None:
    patch.setattr(Quarantine, "freezes_space", lambda self, entries_of, space: False)
    patch.setattr(Core, "withdraw", lambda self, steps: None)


def observed_keys_are_dependencies(patch: Patch) -> None:
    real = Core.note_step

    def note_step(self: Core, record: Any) -> None:
        seen = [Read(key, self.versions.read(key)[1]) for key in record.observed]
        real(self, replace(record, reads=(*record.reads, *seen)))

    patch.setattr(Core, "note_step", note_step)


def tolerance_has_no_end(patch: Patch) -> None:
    # That pending proposals count is for tests/rules/test_tolerance.py: histories hardly have the right two at once.
    patch.setattr(Tolerated, "is_exceeded", lambda self, is_gone: False)


def what_waits_is_a_debit(patch: Patch) -> None:
    patch.setattr(Core, "sends", lambda self, step: self.cone.sends(step, self.subscribers, STEP_INDEX_ENTRIES))


def redriven_letters_stay(patch: Patch) -> None:
    patch.setattr(DeadLetters, "remove", lambda self, lineage: None)


def what_is_held_back_stays(patch: Patch) -> None:
    look = Line.look
    patch.setattr(Line, "look", lambda self, now_us, has_room: look(self, now_us, False))


def undone_messages_keep_no_place(patch: Patch) -> None:
    def empty(self: Unplaced, steps: tuple[Any, ...]) -> None:
        for receiver, waiting in self._by_receiver.items():
            self._by_receiver[receiver] = {name: kept for name, kept in waiting.items() if kept.step not in steps}

    patch.setattr(Unplaced, "empty", empty)


def leaves_while_a_rollback_is_open(patch: Patch) -> None:
    patch.setattr(Unplaced, "steps", lambda self, receiver: [])


def timers_do_not_wait(patch: Patch) -> None:
    real = Timers.add

    def add(self: Timers, item: Any, due_us: int, *more: Any) -> None:
        real(self, item, 0, *more)

    patch.setattr(Timers, "add", add)


def bases_hold_no_timers(patch: Patch) -> None:
    patch.setattr(Timers, "told", lambda self: {"timers": ()})


def undone_steps_leave_their_timers(patch: Patch) -> None:
    # What is undone is looked at once more when its turn comes: so that has to go, too.
    patch.setattr(Core, "is_undone", lambda self, item: item.number > 0 and _is_undone(self, item))
    patch.setattr(Timers, "undone", lambda self, step: None)


_is_undone = Core.is_undone


def nothing_cancels(patch: Patch) -> None:
    patch.setattr(Timing, "cancelled", lambda self, item, draft: ())


def what_is_cancelled_is_gone(patch: Patch) -> None:
    real = Timers.undone

    def undone(self: Timers, step: Any) -> None:
        self.final(step)
        real(self, step)

    patch.setattr(Timers, "undone", undone)


def called_off_runs_become_steps(patch: Patch) -> None:
    def give_up(self: CallingOff, item: Any, why: str) -> None:
        self._core.line.take_back(item.lineage)
        self._stepping.bury(item, why)

    patch.setattr(CallingOff, "_give_up", give_up)


def called_off_runs_keep_their_calls(patch: Patch) -> None:
    real = CallingOff._give_up

    def give_up(self: CallingOff, item: Any, why: str) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Effects, "release_claims", lambda self, run, item: None)
            real(self, item, why)

    patch.setattr(CallingOff, "_give_up", give_up)


def no_eras(patch: Patch) -> None:
    patch.setattr(Colours, "is_passed", lambda self, epoch, era: False)


def one_vote_is_enough(patch: Patch) -> None:
    patch.setattr(Restores, "verdict", lambda self, motion: True if motion.own is not None else None)


def facts_are_not_placed(patch: Patch) -> None:
    real = Core.append

    def append(self: Core, records: Any, then: Any = None, *, anchor: bool = False, is_fact: bool = False) -> None:
        real(self, records, then, anchor=anchor)

    patch.setattr(Core, "append", append)


def nobody_succeeds(patch: Patch) -> None:
    patch.setattr(Succession, "failed", lambda self, host: None)
