"""What becomes of the inputs of undone steps: dropped, discarded, given back, amended (RB-1, RB-9, CP-7)."""

from protocol.agent.core import Core
from protocol.agent.effects import Effects
from protocol.agent.stepping import Stepping
from protocol.ids import Lineage, StepId
from protocol.proposal import Proposal
from protocol.records import DecisionRecord
from protocol.step import Input, VoidOut


class Disposal:
    """The inputs of one agent's undone steps."""

    def __init__(self, core: Core, effects: Effects, stepping: Stepping) -> None:
        self._core = core
        self._effects = effects
        self._stepping = stepping

    def dispose(
        self, step: StepId, voids: tuple[VoidOut, ...], *, discarded: str = "", proposal: Proposal | None = None,
        counts: bool = True, at_us: int = 0,
    ) -> None:  # fmt: skip
        """Decide what becomes of an undone step's input.

        Args:
            step: undone just now.
            voids: what tells the receivers of its outputs that these will not come again, if its lineage ends.
            discarded: why the input goes to the dead letters; empty if it does not.
            proposal: the one that names the step as a root: the input is given back as that wants it.
            counts: giving it back counts as an attempt.
            at_us: when it was decided.
        """
        core, effects = self._core, self._effects
        item = core.cone.record(step).input
        effects.orphan(item.lineage)
        if discarded:
            core.dead_letters.add(item, discarded, at_us)
        if discarded or item.lineage in effects.voided:
            effects.voided.discard(item.lineage)
            effects.end(item.lineage, voids)
        elif not core.is_undone(item):
            core.give_back(item, proposal, step, counts)

    def take_back(self, proposal: Proposal, retracted: tuple[StepId, ...]) -> tuple[Input, ...]:
        """Take hold of the inputs of roots that were undone before and wait to run again."""
        core = self._core
        if proposal.inputs == "retry":
            return ()
        lineages = dict.fromkeys(
            core.cone.record(root).input.lineage for root in self.undone_before(proposal, retracted)
        )
        return tuple(item for lineage in lineages if (item := core.line.take_back(lineage)) is not None)

    def dispose_taken(self, record: DecisionRecord, voids: dict[Lineage, tuple[VoidOut, ...]]) -> None:
        """Discard or amend what was taken back: it counts as consumed by this record.

        Args:
            record: the decision that took it back.
            voids: by lineage, what tells the receivers of its outputs that these will not come again.
        """
        core, proposal = self._core, record.proposal
        for item in record.taken:
            core.line.left(item.lineage)
            core.timers.gone(item.message)
            self._stepping.deliver(item.sender, core.inbox.settle(item.sender, item.incarnation, item.number))
            if proposal.inputs == "discard":
                core.dead_letters.add(item, f"discarded by {proposal.id}", record.decided_us)
                self._effects.end(item.lineage, voids.get(item.lineage, ()))
            else:
                root = next(root for root in proposal.roots if self._handled(root, item))
                core.give_back(item, proposal, root, counts=False)

    def notes(self, proposal: Proposal, retracted: tuple[StepId, ...]) -> tuple[str, ...]:
        """Say of roots that were undone before where their inputs ran again, to be proposed anew."""
        notes: list[str] = []
        for root in self.undone_before(proposal, retracted):
            again = self._core.live_run(self._core.cone.record(root).input.lineage)
            if again is not None:
                notes.append(f"{root} was undone before; its input ran again as {again}")
        return tuple(notes)

    def undone_before(self, proposal: Proposal, retracted: tuple[StepId, ...]) -> list[StepId]:
        """Return the roots here that this decision does not undo."""
        core = self._core
        return [root for root in proposal.roots if root not in retracted and root in core.cone]

    def _handled(self, root: StepId, item: Input) -> bool:
        return root in self._core.cone and self._core.cone.record(root).input.lineage == item.lineage
