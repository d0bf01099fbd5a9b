"""Forced retraction: an agent has lost its last steps, and all that hangs on them goes too (FR-1 to FR-3).

The loser cannot know whom it told, so its beginning goes to everyone. Each peer then finds its own orphans by their
clocks: an entry inside the lost interval is proof. Source: Damani and Garg 1996; Strom and Yemini 1985.
"""

from protocol.action import Publish
from protocol.clock import names_lost
from protocol.core import Core
from protocol.fact import Began
from protocol.ids import AgentId
from protocol.message import Data
from protocol.step import BirthRecord, ForcedRecord
from protocol.stepping import Stepping, message_of


class Loss:
    """What this peer knows of lost steps, its own and others'."""

    def __init__(self, core: Core, stepping: Stepping) -> None:
        self._core = core
        self._stepping = stepping
        self._births: list[Began] = []
        self._acked: dict[AgentId, dict[tuple[int, int], tuple[int, int]]] = {}

    def birth(self, lost: bool) -> None:
        """Begin the first incarnation, or the next one after a loss (FR-1)."""
        core = self._core
        if not lost:
            core.append((BirthRecord(core.incarnation),))
            return
        record = BirthRecord(core.incarnation + 1, core.seq)
        self.apply_birth(record)
        core.append((record,), self.publish)
        core.tell(
            "loss",
            core.agent,
            f"steps after {core.incarnation - 1}/{record.lost_after} are lost and retracted",
        )

    def apply_birth(self, record: BirthRecord) -> None:
        """Take in a beginning of this agent, live or from the log."""
        core = self._core
        core.incarnation = record.incarnation
        if record.lost_after is None:
            return
        core.seq = 0
        began = Began(core.agent, record.incarnation, record.lost_after)
        self._births.append(began)
        core.beginnings[core.agent] = record.incarnation
        core.lost_lives[core.agent, record.incarnation - 1] = record.lost_after + 1
        core.retraction.add_lost(core.agent, record.incarnation - 1, record.lost_after + 1)
        core.outbox.restart_numbers()

    def publish(self) -> None:
        """Let everyone know this agent's beginnings."""
        for began in self._births:
            self._core.actions.append(Publish(began))

    def learned(self, fact: Began) -> None:
        """Somebody lost steps: retract what hangs on them here, once."""
        core = self._core
        if (fact.agent, fact.incarnation - 1) in core.lost_lives:
            return
        lost = (fact.agent, fact.incarnation - 1, fact.last + 1)
        retracted = tuple(
            record.step
            for record in core.cone.records()
            if record.step not in core.retraction and names_lost(record.clock, *lost)
        )
        record = ForcedRecord(*lost, retracted, fact.incarnation)
        receivers = self.apply_forced(record)
        if retracted:
            core.tell("forced", fact.agent, f"{len(retracted)} steps hung on its lost ones")
        core.append((record,), lambda: core.flush(receivers))
        self._stepping.heard()

    def apply_forced(self, record: ForcedRecord) -> list[AgentId]:
        """Take in a loss, live or from the log; return the receivers of places left empty."""
        core = self._core
        core.lost_lives[record.agent, record.incarnation] = record.first
        core.beginnings[record.agent] = max(record.began, core.beginnings.get(record.agent, 1))
        core.retraction.add_lost(record.agent, record.incarnation, record.first)
        core.retraction.add_all(record.retracted)
        core.inbox.forget(record.agent, record.incarnation, record.first)
        receivers = core.outbox.empty(record.retracted)
        for step in record.retracted:
            core.retracted_by[step] = f"loss/{record.agent}/{record.began}"
            item = core.cone.record(step).input
            core.intents.orphan(item.lineage, core.now_us)
            if not core.is_orphan(item.clock) and (item.producer is None or item.producer not in core.retraction):
                core.give_back(item, None, step)
        core.retraction.add_all(entry.writer for entry in core.versions.all_entries() if core.is_orphan(entry.clock))
        self._send_again(record)
        return [*receivers, record.agent]

    # -- acknowledgments ------------------------------------------------------------------------------------------------

    def acked(self, receiver: AgentId, incarnation: int, number: int, consumer: tuple[int, int]) -> None:
        """Remember who consumed a message: the acknowledgment is void once that step is lost."""
        if consumer != (0, 0):
            self._acked.setdefault(receiver, {})[incarnation, number] = consumer

    def _send_again(self, record: ForcedRecord) -> None:
        core = self._core
        acked = self._acked.get(record.agent, {})
        void = {
            name for name, (incarnation, seq) in acked.items()
            if incarnation == record.incarnation and seq >= record.first
        }  # fmt: skip
        if not void:
            return
        for step in core.cone.records():
            for index, output in enumerate(step.outputs):
                name = (step.step.incarnation, output.number)
                if output.receiver == record.agent and name in void:
                    del acked[name]
                    gone = step.step in core.retraction
                    core.outbox.add(output.receiver, step.step, *name, Data(message_of(step, index)))
                    core.outbox.release(output.receiver, *name)
                    if gone:
                        core.outbox.empty((step.step,))
