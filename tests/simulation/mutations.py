"""Each rule of docs/protocol.md, switched off; `elsewhere` has what no history can notice, and where it is noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from protocol.agent.ahead import Ahead
from protocol.agent.books import Books
from protocol.agent.cone import Cone
from protocol.agent.core import Core
from protocol.agent.cutting import Cutting
from protocol.agent.effects import Effects
from protocol.agent.inbox import Inbox
from protocol.agent.intents import Intents
from protocol.agent.lives import Lives
from protocol.agent.loss import Loss
from protocol.agent.outbox import Outbox
from protocol.agent.proposer import Proposer
from protocol.agent.quarantine import Quarantine
from protocol.agent.rollback import Rollback
from protocol.agent.stepping import Stepping
from protocol.agent.versions import Versions
from protocol.checkpoints.core import HostCore
from protocol.checkpoints.machine import CheckpointMachine
from protocol.checkpoints.tally import Count
from protocol.message import Ballot
from protocol.proposal import ConeStep
from protocol.records import IntentRecord
from protocol.retraction import Retraction
from protocol.step import Input
from tests.simulation.people_switched_off import (
    a_no_of_an_overseer_is_no_reject,
    a_yes_to_a_smaller_part_counts,
    the_last_word_counts,
    what_has_joined_is_not_asked_about,
    what_is_held_goes_without_a_word,
    what_is_not_settled_is_let_go,
    what_was_let_go_is_undone,
    words_are_confirmed_before_they_are_durable,
    words_are_of_the_lineage,
)
from tests.simulation.sleep_switched_off import successors_do_not_catch_up, the_woken_are_not_told
from tests.simulation.switched_off import (
    bases_hold_no_timers,
    called_off_runs_become_steps,
    called_off_runs_keep_their_calls,
    entries_in_order_of_arrival,
    facts_are_not_placed,
    leaves_while_a_rollback_is_open,
    newcomers_while_frozen,
    no_eras,
    nobody_succeeds,
    nothing_cancels,
    observed_keys_are_dependencies,
    one_vote_is_enough,
    redriven_letters_stay,
    timers_do_not_wait,
    tolerance_has_no_end,
    undone_messages_keep_no_place,
    undone_steps_leave_their_timers,
    what_is_cancelled_is_gone,
    what_is_held_back_stays,
    what_waits_is_a_debit,
)

Patch = pytest.MonkeyPatch


def recovery_forgets_values(patch: Patch) -> None:
    real = Core.note_step

    def note_step(self: Core, record: Any) -> None:
        real(self, replace(record, writes=()) if self.replaying else record)

    patch.setattr(Core, "note_step", note_step)


def leaves_before_durable(patch: Patch) -> None:
    real = Core.append

    def append(self: Core, records: Any, then: Any = None, **options: Any) -> None:
        real(self, records, **options)
        if then is not None:
            then()

    patch.setattr(Core, "append", append)


def reads_what_is_undone(patch: Patch) -> None:
    def read(self: Versions, key: str) -> Any:
        versions = self.versions_of(key)
        return (versions[-1].value, versions[-1].step) if versions else (None, None)

    patch.setattr(Versions, "read", read)


def retractions_overwrite(patch: Patch) -> None:
    real = Retraction.add_all

    def add_all(self: Retraction, steps: Any) -> None:
        self._by_life.clear()
        real(self, steps)

    patch.setattr(Retraction, "add_all", add_all)


def no_inherited_lineages(patch: Patch) -> None:
    from protocol.agent.lineage import inherited

    def fresh(parent: str, producer: str, drafts: Any, old: Any) -> Any:
        return inherited(f"{parent}/{len(old)}", producer, drafts, ())

    patch.setattr("protocol.agent.stepping.inherited", fresh)


def all_runs_stand(patch: Patch) -> None:
    patch.setattr(Stepping, "_still_stands", lambda self, run, item, draft: True)


def clocks_do_not_join(patch: Patch) -> None:
    patch.setattr("protocol.agent.stepping.joined", lambda clocks: {})


def no_beginnings(patch: Patch) -> None:
    patch.setattr(Lives, "is_unheard", lambda self, clock: False)


def no_order(patch: Patch) -> None:
    def arrive(self: Inbox, sender: str, incarnation: int, number: int, item: Any) -> Any:
        channel = self._channel(sender, incarnation)
        if channel.is_delivered(number):
            return None
        channel.pending.add(number)
        return [item]

    patch.setattr(Inbox, "arrive", arrive)


def no_deduplication(patch: Patch) -> None:
    patch.setattr(Inbox, "is_settled", lambda self, sender, incarnation, number: False)
    patch.setattr(Inbox, "arrive", lambda self, sender, incarnation, number, item: [item])


def acknowledges_before_durable(patch: Patch) -> None:
    patch.setattr(Core, "when_durable", lambda self, then: then())


def proposers_ask_once(patch: Patch) -> None:
    patch.setattr(Proposer, "work", lambda self: None)


def cones_without_readers(patch: Patch) -> None:
    real = Cone.add

    def add(self: Cone, record: Any) -> None:
        real(self, record)
        self._readers.clear()

    patch.setattr(Cone, "add", add)


def votes_do_not_grow(patch: Patch) -> None:
    real = Rollback._review

    def review(self: Rollback, pid: str) -> None:
        if self._cases[pid].vote is None:
            real(self, pid)

    patch.setattr(Rollback, "_review", review)


def suspects_are_taken_for_the_cone(patch: Patch) -> None:
    def suspect(self: Ahead, suspects: Any) -> None:
        self.find(ConeStep(step.step, step.sends, step.epoch) for step in suspects)

    patch.setattr(Ahead, "suspect", suspect)


def no_balance(patch: Patch) -> None:
    patch.setattr(Books, "owes", lambda self, agent: agent not in self.votes)


def no_final_reject(patch: Patch) -> None:
    patch.setattr(Books, "is_refused", lambda self: False)


def decisions_are_forgotten(patch: Patch) -> None:
    real = Rollback.apply_decision

    def apply_decision(self: Rollback, record: Any, voids: Any = None) -> None:
        if not self._core.replaying:
            real(self, record, voids)

    patch.setattr(Rollback, "apply_decision", apply_decision)


def no_quarantine(patch: Patch) -> None:
    patch.setattr(Quarantine, "freezes", lambda self, writer: False)
    patch.setattr(Outbox, "hold", lambda self, steps: None)
    patch.setattr(Outbox, "unhold", lambda self, steps: [])


def no_deferral(patch: Patch) -> None:
    patch.setattr(Quarantine, "defers", lambda self, message: False)
    patch.setattr(Quarantine, "freezes", lambda self, writer: False)


def votes_are_not_kept(patch: Patch) -> None:
    patch.setattr(Rollback, "apply_vote", lambda self, record: None)


def outsiders_hear(patch: Patch) -> None:
    real = Rollback._publish

    def publish(self: Rollback, pid: str) -> None:
        real(self, pid)
        case = self._cases[pid]
        if case.vote is not None:
            self._core.send("a0", Ballot(case.books.proposal, (case.vote,)))

    patch.setattr(Rollback, "_publish", publish)


def inputs_are_not_given_back(patch: Patch) -> None:
    patch.setattr(Core, "give_back", lambda self, item, proposal, step, counts=True: None)


def accepts_behind_the_horizon(patch: Patch) -> None:
    real = Rollback.consulted

    def consulted(self: Rollback, event: Any) -> None:
        colours = self._core.colours
        horizon, colours.horizon = colours.horizon, 0
        real(self, event)
        colours.horizon = horizon

    patch.setattr(Rollback, "consulted", consulted)


def beginnings_are_not_published(patch: Patch) -> None:
    patch.setattr(Loss, "publish", lambda self: None)


def no_orphans_by_clock(patch: Patch) -> None:
    patch.setattr("protocol.agent.loss.names_lost", lambda clock, agent, incarnation, first: False)
    patch.setattr(Lives, "is_orphan", lambda self, clock: False)


def acknowledgments_survive_a_loss(patch: Patch) -> None:
    patch.setattr(Outbox, "unack", lambda self, receiver, incarnation, first, is_void: None)


def intents_are_not_written(patch: Patch) -> None:
    real = Core.append

    def append(self: Core, records: Any, then: Any = None, **options: Any) -> None:
        if isinstance(records[0], IntentRecord) and then is not None:
            then()
        else:
            real(self, records, then, **options)

    patch.setattr(Core, "append", append)


def checks_always_say_yes(patch: Patch) -> None:
    real = Effects._checked
    patch.setattr(Effects, "_checked", lambda self, effect, answer, result: real(self, effect, "yes", result))


def nothing_unclaimed_is_undone(patch: Patch) -> None:
    patch.setattr(Intents, "doom", lambda self, lineage, spared=(): [])


def no_voids(patch: Patch) -> None:
    patch.setattr(Core, "voids_for", lambda self, unclaimed, ordered: ())


def colours_are_not_seen(patch: Patch) -> None:
    real = CheckpointMachine.stamped
    patch.setattr(
        CheckpointMachine, "stamped", lambda self, sender, epoch, era, now_us: real(self, sender, 0, era, now_us)
    )


def most_have_stated(patch: Patch) -> None:
    def is_complete(self: Count) -> bool:
        return 2 * sum(self.has(host) for host in self.view) > len(self.view)

    patch.setattr(Count, "is_complete", is_complete)


def newcomers_are_not_named(patch: Patch) -> None:
    patch.setattr(HostCore, "named", lambda self: self.others[:1])


def losses_are_not_named(patch: Patch) -> None:
    real = Outbox.settle
    patch.setattr(Outbox, "settle", lambda self, epoch: real(self, epoch + 100))


def clocks_are_pruned_at_once(patch: Patch) -> None:
    real = Stepping._clock

    def clock(self: Stepping, step: Any, item: Input, draft: Any) -> Any:
        colours = self._core.colours
        committed, colours.committed = colours.committed, 1 << 30
        found, _ = real(self, step, replace(item, outside=False), draft)
        colours.committed = committed
        return found, 1 << 30

    patch.setattr(Stepping, "_clock", clock)


def forgets_too_early(patch: Patch) -> None:
    real = Cutting.settled
    patch.setattr(Cutting, "settled", lambda self, event: real(self, replace(event, horizon=event.horizon + 2)))
    accepts_behind_the_horizon(patch)


MUTATIONS: dict[str, tuple[Callable[[Patch], None], ...]] = {
    "ST-1": (recovery_forgets_values,),
    "ST-2": (leaves_before_durable,),
    "ST-3": (reads_what_is_undone,),
    "ST-4": (retractions_overwrite,),
    "ST-5": (no_inherited_lineages,),
    "ST-6": (all_runs_stand,),
    "ST-11": (redriven_letters_stay,),
    "ST-13": (what_is_held_back_stays,),
    "ST-12": (called_off_runs_become_steps, called_off_runs_keep_their_calls),
    "CL-1": (clocks_do_not_join,),
    "CL-2": (no_beginnings,),
    "CL-3": (no_order,),
    "CL-4": (no_deduplication,),
    "CL-5": (acknowledges_before_durable,),
    "CL-7": (what_waits_is_a_debit, undone_messages_keep_no_place, leaves_while_a_rollback_is_open),
    "TI-1": (timers_do_not_wait, bases_hold_no_timers, undone_steps_leave_their_timers),
    "TI-2": (nothing_cancels, what_is_cancelled_is_gone),
    "RB-1": (proposers_ask_once,),
    "RB-2": (cones_without_readers,),
    "RB-3": (votes_do_not_grow, suspects_are_taken_for_the_cone),
    "RB-4": (no_balance, no_final_reject),
    "RB-5": (decisions_are_forgotten,),
    "RB-6": (no_quarantine, no_deferral),
    "RB-7": (votes_are_not_kept,),
    "RB-8": (outsiders_hear,),
    "RB-9": (inputs_are_not_given_back,),
    "RB-10": (accepts_behind_the_horizon,),
    "RB-11": (tolerance_has_no_end,),
    "RB-13": (
        a_yes_to_a_smaller_part_counts, a_no_of_an_overseer_is_no_reject, what_has_joined_is_not_asked_about,
    ),
    "FR-1": (beginnings_are_not_published,),
    "FR-2": (no_orphans_by_clock,),
    "FR-3": (acknowledgments_survive_a_loss,),
    "EF-1": (intents_are_not_written,),
    "EF-3": (checks_always_say_yes,),
    "EF-4": (nothing_unclaimed_is_undone,),
    "EF-5": (no_voids,),
    "RQ-2": (what_is_not_settled_is_let_go, what_was_let_go_is_undone),
    "RQ-3": (
        what_is_held_goes_without_a_word, words_are_confirmed_before_they_are_durable, the_last_word_counts,
        words_are_of_the_lineage,
    ),
    "SH-2": (entries_in_order_of_arrival,),
    "SH-3": (newcomers_while_frozen,),
    "SH-4": (observed_keys_are_dependencies,),
    "CP-1": (colours_are_not_seen,),
    "CP-2": (most_have_stated,),
    "CP-3": (newcomers_are_not_named,),
    "CP-4": (losses_are_not_named,),
    "CP-5": (clocks_are_pruned_at_once,),
    "CP-6": (forgets_too_early,),
    "CP-7": (no_eras, one_vote_is_enough),
    "CP-8": (facts_are_not_placed, nobody_succeeds),
    "CP-13": (the_woken_are_not_told, successors_do_not_catch_up),
}  # fmt: skip
