"""What others say of this agent in a rollback, and what of it can't be (RB-15).

A debit speaks of its receiver: such a message of such a number has come to it, from a step that is in the cone. What
the receiver has handled of its sender tells whether that may be so. What an honest agent that was lied to itself might
have said is no lie: so it looks only at what the sender has said of its own steps.
"""

from protocol.action import Accuse
from protocol.agent.case import Case
from protocol.agent.core import Core
from protocol.clock import Clock, covers
from protocol.ids import AgentId, MessageId, StepId
from protocol.message import Ballot
from protocol.proposal import ConeStep, Credit, Suspect


class Disputing:
    """One agent's word against what is said of it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._numbers: dict[tuple[AgentId, int, int], StepId] = {}
        """By sender, life and number, the step here that handled it; as of the step and count below."""
        self._as_of = (0, 0, 0)

    def why_false(self, case: Case, debit: Credit, by_itself: bool = False) -> str | None:
        """Return why a cone step can't have sent this agent what is said; empty: it may have; None: that hangs on when
        the roots ran, and their owners have not said so.

        Nothing is said against what has not come, is behind the horizon, or was undone: nobody can tell, or it makes no
        difference.

        Args:
            case: the rollback.
            debit: what is said.
            by_itself: ask whether its sender can have believed it, which others may have lied to.
        """
        core, cone = self._core, self._core.cone
        message, hangs = MessageId(debit.producer, debit.at), list[bool | None]()
        if debit.number and (other := self._otherwise(message, debit.number)):
            return other
        for step in cone.direct(message):
            if step not in core.retraction:
                record = cone.record(step)
                cause = record.input if record.input.message == message else record
                hangs.append(self._may_hang(case, step, cause.clock, cause.floor, by_itself))
        if False in hangs:
            return f"{message} came to {core.agent} with a clock that covers none of the roots"
        return None if None in hangs else ""

    def _may_hang(self, case: Case, step: StepId, clock: Clock, floor: int, by_itself: bool) -> bool | None:
        """Tell whether what has this clock may hang on a root. An honest sender has asked the same of its own step.

        Whatever a clock says: what a step here has handled hangs on none of its agent's later ones. Its sender can't
        know which those are, nor what was left out of a shortened clock.
        """
        if by_itself:
            return bool(floor) or any(covers(clock, root) for root in case.books.proposal.roots)
        roots = [root for root in case.books.proposal.roots if root.agent != step.agent or root < step]
        if any(covers(clock, root) for root in roots):
            return True
        if not floor:
            return False
        # CP-5: of steps of epochs before its floor a clock says nothing.
        epochs = [self._epoch(case, root) for root in roots]
        if any(epoch is not None and epoch < floor for epoch in epochs):
            return True
        return None if None in epochs else False

    def _epoch(self, case: Case, root: StepId) -> int | None:
        if root.agent == self._core.agent:
            return self._core.cone.record(root).epoch if root in self._core.cone else -1
        return case.epochs.get(root)

    def ask(self, case: Case) -> None:
        """Ask the owners of roots when these ran, if anything hangs on that; again with growing waits."""
        core = self._core
        if case.part.doubted:
            roots = [root for root in case.books.proposal.roots if root not in case.epochs]
            for owner in sorted({root.agent for root in roots} - {core.agent}):
                # CL-8: one of an older release knows no dates, and answers with its votes, which have them too.
                core.send(owner, Ballot(case.books.proposal, (), wants=True, dates=True))
            if case.due_us is None:
                case.wait_us = core.limits.ask_us
                case.due_us = core.now_us + case.wait_us

    def answer(self, case: Case, asker: AgentId) -> None:
        """Tell when this agent's roots ran: a durable step's epoch never changes."""
        core, proposal = self._core, case.books.proposal
        roots = [root for root in proposal.roots if root.agent == core.agent and root in core.cone]
        found = tuple(ConeStep(root, (), core.cone.record(root).epoch) for root in roots)
        core.when_durable(lambda: core.send(asker, Ballot(proposal, (), found=found)))

    def _otherwise(self, message: MessageId, number: int) -> str:
        """Return how a message has come that is said to have come with another number, or another with that."""
        core, producer = self._core, message.producer
        consumer = core.cone.consumer(message)
        if consumer is not None:
            came = core.cone.record(consumer).input.number
            is_same = came == number or consumer in core.retraction
            return "" if is_same else f"{message} came to {core.agent} as number {came}, not {number}"
        if not core.inbox.is_settled(producer.agent, producer.incarnation, number):
            return ""
        consumer = self._consumer_of(producer.agent, producer.incarnation, number)
        if consumer is None or consumer in core.retraction:
            return ""
        return f"number {number} to {core.agent} was {core.cone.record(consumer).input.message}, not {message}"

    def _consumer_of(self, sender: AgentId, incarnation: int, number: int) -> StepId | None:
        core = self._core
        as_of = (core.incarnation, core.seq, len(core.cone))
        if as_of != self._as_of:
            # Seldom: honest debits of what was settled have a consumer, or are void, dead letters or forgotten.
            self._as_of = as_of
            inputs = [(record.input, record.step) for record in core.cone.records()]
            self._numbers = {(item.sender, item.incarnation, item.number): step for item, step in inputs}
        return self._numbers.get((sender, incarnation, number))

    def denies(self, suspect: Suspect) -> bool:
        """Tell whether a step is said to hang on one of this agent's that has left it nothing."""
        cone, receiver = self._core.cone, suspect.step.agent
        own = [cone.record(cause) for cause in suspect.causes if cause in cone]
        return any(
            not record.entries and all(output.receiver != receiver for output in record.outputs) for record in own
        )

    def heard(self, case: Case, sender: AgentId, message: Ballot) -> bool:
        """Take note of when roots ran, from their owner; True if that is news. Accuse who says of its own steps what
        can't be: whoever only passes something on may have been lied to.
        """
        own = [step for vote in message.votes if vote.voter == sender for step in vote.cone]
        own += [step for step in message.found if step.step.agent == sender]
        roots = case.books.proposal.roots
        dates = {step.step: step.epoch for step in own if step.step in roots and step.step not in case.epochs}
        case.epochs.update(dates)
        if sender not in case.accused and (why := self._lie_in(case, own, message.suspects)):
            case.accused[sender] = None
            what = f"{case.books.proposal.id}: {why}"
            self._core.tell("vote-false", sender, what)
            self._core.actions.append(Accuse(sender, what))
        return bool(dates)

    def _lie_in(self, case: Case, said: list[ConeStep], suspects: tuple[Suspect, ...]) -> str:
        me = self._core.agent
        debits = [Credit(each.step, d.at, d.number) for each in said for d in each.sends if d.receiver == me]
        whys = [why for debit in debits if (why := self.why_false(case, debit, by_itself=True))]
        whys += [f"{suspect.step} hangs on no step of {me}" for suspect in suspects if self.denies(suspect)]
        return whys[0] if whys else ""
