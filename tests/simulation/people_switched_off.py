"""Rules for people switched off, for `mutations`: what is let go, whose word counts, and what overseers agree to."""

from typing import Any

import pytest
from msgspec.structs import replace

from protocol.action import Consult
from protocol.agent.core import Core
from protocol.agent.requesting import Requesting
from protocol.agent.rollback import Rollback
from protocol.agent.timers import Timers
from protocol.event import Consulted
from protocol.records import ApprovedRecord, EffectRecord

Patch = pytest.MonkeyPatch


def what_is_not_settled_is_let_go(patch: Patch) -> None:
    patch.setattr(Requesting, "_may_go", lambda self, item, request: True)


def what_was_let_go_is_undone(patch: Patch) -> None:
    patch.setattr(Requesting, "held", lambda self, record: "")


def what_is_held_goes_without_a_word(patch: Patch) -> None:
    patch.setattr(Requesting, "_waits_for_people", lambda self, item, request: False)


def words_are_confirmed_before_they_are_durable(patch: Patch) -> None:
    real = Core.append

    def append(self: Core, records: Any, then: Any = None, **options: Any) -> None:
        is_word = isinstance(records[-1], ApprovedRecord) or (isinstance(records[-1], EffectRecord) and records[-1].by)
        real(self, records, None if is_word else then, **options)
        if is_word and then is not None:
            then()

    patch.setattr(Core, "append", append)


def the_last_word_counts(patch: Patch) -> None:
    patch.setattr(Requesting, "_word_on", lambda self, *given: "")


def words_are_of_the_lineage(patch: Patch) -> None:
    words: dict[tuple[int, str], str] = {}
    patch.setattr(Timers, "approve", lambda self, lineage, by: words.setdefault((id(self), lineage), by))
    patch.setattr(Timers, "approved", lambda self, lineage: words.get((id(self), lineage)))


def a_yes_to_a_smaller_part_counts(patch: Patch) -> None:
    real = Rollback.consulted
    patch.setattr(Rollback, "consulted", lambda self, event: real(self, replace(event, overseen=False)))


def a_no_of_an_overseer_is_no_reject(patch: Patch) -> None:
    real = Rollback.consulted

    def consulted(self: Rollback, event: Any) -> None:
        real(self, replace(event, accepts=event.accepts or bool(event.findings)))

    patch.setattr(Rollback, "consulted", consulted)


def what_has_joined_is_not_asked_about(patch: Patch) -> None:
    """Who has voted once is not asked about what joins its part later."""
    real = Rollback._consult

    def consult(self: Rollback, case: Any) -> None:
        real(self, case)
        if case.latest is not None and case.latest.accepts:
            order = self._core.actions.pop()
            assert isinstance(order, Consult)
            self.consulted(Consulted(order.proposal.id, True))

    patch.setattr(Rollback, "_consult", consult)
