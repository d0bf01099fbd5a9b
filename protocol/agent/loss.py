"""Forced retraction: an agent has lost its last steps, and all that hangs on them goes too (FR-1 to FR-3).

The loser cannot know whom it told, so its beginning goes to everyone. Each peer then finds its own orphans by their
clocks: an entry inside the lost interval is proof. Source: Damani and Garg 1996; Strom and Yemini 1985.
"""

from protocol.action import Publish
from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.stepping import Stepping
from protocol.clock import names_lost
from protocol.fact import Began
from protocol.ids import AgentId, Lineage
from protocol.records import BirthRecord, ForcedRecord


class Loss:
    """What this peer knows of lost steps, its own and others'."""

    def __init__(self, core: Core, effects: Effects, stepping: Stepping) -> None:
        self._core = core
        self._effects = effects
        self._stepping = stepping

    def birth(self, lost: bool, known: int, unheard: int = 0) -> None:
        """Begin the first incarnation, or one newer than anybody knows of after a loss (FR-1)."""
        core = self._core
        if not lost:
            core.append((BirthRecord(core.lives.incarnation),))
            return
        incarnation = max(core.lives.incarnation + unheard, known) + 1
        between = tuple((life, 0) for life in range(core.lives.incarnation + 1, incarnation))
        record = BirthRecord(incarnation, ((core.lives.incarnation, core.lives.seq), *between))
        self.apply_birth(record)
        core.append((record,), self.publish)
        core.tell("loss", core.agent, f"lost and retracted: all steps after {record.lost}")

    def apply_birth(self, record: BirthRecord) -> None:
        """Take in a beginning of this agent, live or from the log."""
        core = self._core
        core.lives.begun(record.incarnation, is_anew=bool(record.lost))
        if not record.lost:
            return
        began = Began(core.agent, record.incarnation, record.lost)
        core.outbox.restart_numbers()
        self._lose(began)

    def _lose(self, began: Began) -> None:
        core, agent = self._core, began.agent
        core.lives.heard(began)
        for life, last in began.lost:
            core.retraction.add_lost(agent, life, last + 1)
            core.inbox.forget(agent, life)
            # FR-3: an acknowledgment is void once its consumer is lost; of retracted messages only the places go.
            core.outbox.unack(agent, life, last + 1, core.retraction.__contains__)

    def publish(self) -> None:
        """Let everyone know the beginnings: whoever has lost its own must not begin the same incarnation again."""
        for began in self._core.lives.beginnings():
            self._core.actions.append(Publish(began))

    def learned(self, fact: Began) -> None:
        """Somebody lost steps: retract what hangs on them here, once."""
        core = self._core
        if core.lives.knows(fact):
            return
        retracted = tuple(
            record.step
            for record in core.cone.records()
            if record.step not in core.retraction
            and any(names_lost(record.clock, fact.agent, life, last + 1) for life, last in fact.lost)
        )
        core.retraction.add_all(retracted)
        lineages = dict.fromkeys(core.cone.record(step).input.lineage for step in retracted)
        ending = {lineage: self._core.void_all(lineage, False) for lineage in lineages if self._ends(lineage)}
        record = ForcedRecord(fact, retracted, tuple(out for voids in ending.values() for out in voids))
        receivers = self.apply_forced(record)
        if retracted:
            core.tell("forced", fact.agent, f"{len(retracted)} steps hung on its lost ones")
        core.append((record,), lambda: self._durable(record, receivers))

    def _durable(self, record: ForcedRecord, receivers: list[AgentId]) -> None:
        self._core.release_voids(record.voids)
        self._core.flush([*receivers, *(out.receiver for out in record.voids)])

    def _ends(self, lineage: Lineage) -> bool:
        return lineage in self._effects.voided and self._core.live_run(lineage) is None

    def apply_forced(self, record: ForcedRecord) -> list[AgentId]:
        """Take in a loss, live or from the log; return the receivers of places left empty."""
        core, began = self._core, record.began
        core.retraction.add_all(record.retracted)
        receivers = core.empty(record.retracted)
        core.withdraw(record.retracted)
        self._lose(began)
        core.post_voids(record.voids)
        for step in record.retracted:
            core.note_undone(step, f"loss/{began.agent}/{began.incarnation}")
            item = core.cone.record(step).input
            core.intents.orphan(item.lineage, core.now_us)
            if self._ends(item.lineage):
                # EF-5: its sender has said that it will not come again, while the run stood that is undone now.
                self._effects.voided.discard(item.lineage)
                self._effects.end(item.lineage, ())
            elif not core.is_undone(item) and not core.lives.is_orphan(item.clock):
                core.give_back(item, None, step)
        entries = core.versions.all_entries()
        core.retraction.add_all(entry.writer for entry in entries if core.lives.is_orphan(entry.clock))
        core.line.undefer()
        return [*receivers, began.agent]
