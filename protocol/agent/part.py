"""One elector's own part of a cone, as it becomes known: it only grows, and what is new is known apart (RB-2, RB-3)."""

from protocol.agent.books import NO_EPOCH
from protocol.ids import MessageId, StepId
from protocol.proposal import Credit


class Part:
    """Own steps, and the messages and entries that were credited for it."""

    def __init__(self) -> None:
        self.steps: dict[StepId, None] = {}
        self.producers: dict[StepId, None] = {}
        self.credits: dict[MessageId, int] = {}
        """By message, its number; 0 for an entry."""
        self.least_epoch = NO_EPOCH
        """The oldest epoch in which one of the steps ran."""
        self.new_steps: list[StepId] = []
        """Those that no vote lists yet."""
        self.new_credits: list[MessageId] = []
        self.loose_steps: list[StepId] = []
        """Those that are not frozen yet."""
        self.loose_credits: list[MessageId] = []
        self.refuted: dict[MessageId, None] = {}
        """What others say was sent here from the cone, and can't have been (RB-15): counted, and of no effect."""
        self.doubted: dict[MessageId, Credit] = {}
        """What may be or not, as long as it is not known when the roots ran."""
        self.new_refuted: list[Credit] = []
        """Those of them that no vote lists yet."""
        self.seen_debits = 0
        """How many of the books' debits are among the credits, and of those that were found ahead of votes."""
        self.seen_ahead = 0
        self.seen_steps = 0
        """How many steps of the books' are noted as known."""

    def credit(self, message: MessageId, number: int) -> bool:
        """Take a message into account; True if that is news."""
        if message in self.credits:
            return False
        self.credits[message] = number
        self.new_credits.append(message)
        self.loose_credits.append(message)
        return True

    def refute(self, debit: Credit) -> None:
        """Note that what is said of a message can't be."""
        message = MessageId(debit.producer, debit.at)
        if message not in self.refuted:
            self.refuted[message] = None
            self.new_refuted.append(debit)

    def joined(self, steps: list[StepId]) -> None:
        """Note own steps that have joined."""
        self.new_steps.extend(steps)
        self.loose_steps.extend(steps)

    def is_new(self) -> bool:
        """Tell whether anything is here that no vote lists."""
        return bool(self.new_steps or self.new_credits or self.new_refuted)

    def listed(self) -> None:
        """A vote lists all."""
        self.new_steps, self.new_credits, self.new_refuted = [], [], []

    def frozen(self) -> tuple[list[StepId], dict[MessageId, int]]:
        """Return what is to be frozen, as it will be now."""
        steps, messages = self.loose_steps, {message: self.credits[message] for message in self.loose_credits}
        self.loose_steps, self.loose_credits = [], []
        return steps, messages
