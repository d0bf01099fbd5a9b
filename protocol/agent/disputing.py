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
from protocol.proposal import Credit, Proposal, Suspect


class Disputing:
    """One agent's word against what is said of it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._numbers: dict[tuple[AgentId, int, int], StepId] = {}
        """By sender, life and number, the step here that handled it; as of the step and count below."""
        self._as_of = (0, 0, 0)

    def why_false(self, proposal: Proposal, debit: Credit) -> str:
        """Return why a cone step can't have sent this agent what is said; empty: it may have.

        Nothing is said of what has not come, is behind the horizon, or was undone: nobody can tell, or it makes no
        difference.
        """
        core, cone = self._core, self._core.cone
        message = MessageId(debit.producer, debit.at)
        if debit.number and (other := self._otherwise(message, debit.number)):
            return other
        for step in cone.direct(message):
            if step in core.retraction:
                continue
            record = cone.record(step)
            cause = record.input if record.input.message == message else record
            # CP-5: a clock without a floor names all that its step hangs on. An honest sender has the same clock, and
            # would have refuted what puts its own step into the cone.
            if not cause.floor and not _may_hang(cause.clock, proposal):
                return f"{message} came to {core.agent} with a clock that covers none of the roots"
        return ""

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

    def heard(self, case: Case, sender: AgentId, message: Ballot) -> None:
        """Accuse who says of its own steps what can't be; whoever only passes something on may have been lied to."""
        core = self._core
        if sender in case.accused:
            return
        own = [step for vote in message.votes if vote.voter == sender for step in vote.cone]
        own += [step for step in message.found if step.step.agent == sender]
        said = [Credit(step.step, d.at, d.number) for step in own for d in step.sends if d.receiver == core.agent]
        whys = [why for debit in said if (why := self.why_false(case.books.proposal, debit))]
        whys += [f"{each.step} hangs on no step of {core.agent}" for each in message.suspects if self.denies(each)]
        if whys:
            case.accused[sender] = None
            core.tell("vote-false", sender, f"{case.books.proposal.id}: {whys[0]}")
            core.actions.append(Accuse(sender, f"{case.books.proposal.id}: {whys[0]}"))


def _may_hang(clock: Clock, proposal: Proposal) -> bool:
    return any(covers(clock, root) for root in proposal.roots)
