"""One peer: dispatch only. The parts and the modules that join them decide."""

from collections.abc import Callable
from typing import assert_never

from protocol.action import Action
from protocol.agent.bases import Bases
from protocol.agent.calling_off import CallingOff
from protocol.agent.core import Core
from protocol.agent.cutting import Cutting
from protocol.agent.disposal import Disposal
from protocol.agent.dormancy import Dormancy
from protocol.agent.effects import Effects
from protocol.agent.grouping import Grouping
from protocol.agent.holding import Holding
from protocol.agent.intake import Intake
from protocol.agent.looking import Looking
from protocol.agent.loss import Loss
from protocol.agent.outbox import Outbox
from protocol.agent.pausing import Pausing
from protocol.agent.placing import Placing
from protocol.agent.proposer import Proposer
from protocol.agent.redriving import Redriving
from protocol.agent.requesting import Requesting
from protocol.agent.restoring import Restoring
from protocol.agent.rollback import Rollback
from protocol.agent.settling import Settling
from protocol.agent.sharing import Sharing
from protocol.agent.shelf import MemoryShelf, Shelf
from protocol.agent.stepping import Stepping
from protocol.agent.tiering import Tiering
from protocol.agent.timing import Timing
from protocol.event import (
    Appended,
    CallOffAsked,
    Consulted,
    CutWanted,
    EffectAsked,
    Elapsed,
    Event,
    HoldAsked,
    Learned,
    LetterAsked,
    LogStalled,
    Merged,
    PauseAsked,
    ProposeWanted,
    Reached,
    Received,
    Recovered,
    ReleaseAsked,
    RestoreDecided,
    RestorePending,
    Settled,
    StepRan,
    Submitted,
    SubscriberSeen,
    TierAsked,
    ToolUsed,
    ToolWanted,
)
from protocol.fact import Began
from protocol.group import GroupDecidedRecord, GroupVotedRecord
from protocol.ids import AgentId
from protocol.limits import Limits
from protocol.message import Ack, Ballot, Data, Done, GroupVotes, Message, Propose, Shared, Sync, Void
from protocol.records import (
    AcceptedRecord,
    AckedRecord,
    ApprovedRecord,
    BaseRecord,
    BirthRecord,
    CutRecord,
    DeadRecord,
    DecisionRecord,
    EffectRecord,
    ForcedRecord,
    IntentRecord,
    OutcomeRecord,
    PlacedRecord,
    ProposedRecord,
    Record,
    RedrivenRecord,
    RestoredRecord,
    SubscribedRecord,
    VoidRecord,
    VoteRecord,
)
from protocol.step import StepRecord
from protocol.words import HeldRecord, PausedRecord, TierRecord


class PeerMachine:
    """The protocol around one agent. See `protocol.machine.Machine`."""

    def __init__(
        self, agent: AgentId, limits: Limits | None = None, knows: Callable[[AgentId], bool] = lambda agent: True,
        shelf: Shelf | None = None,
    ) -> None:  # fmt: skip
        limits = limits or Limits()
        self.core = Core(agent, limits, knows, Outbox(limits, shelf or MemoryShelf()))
        self.effects = Effects(self.core)
        self.proposer = Proposer(self.core)
        self.timing = Timing(self.core, self.effects)
        self.grouping = Grouping(self.core)
        self.requesting = Requesting(self.core, self.effects, self.grouping)
        self.core.holds = self.requesting.holds
        self.stepping = Stepping(self.core, self.effects, self.proposer, self.timing)
        self.intake = Intake(self.core, self.stepping)
        self.settling = Settling(self.core, self.effects)
        self.redriving = Redriving(self.core)
        self.calling_off = CallingOff(self.core, self.effects, self.stepping)
        self.pausing = Pausing(self.core)
        self.holding = Holding(self.core)
        self.tiering = Tiering(self.core)
        self.disposal = Disposal(self.core, self.effects, self.stepping)
        self.rollback = Rollback(self.core, self.effects, self.stepping, self.disposal)
        self.placing = Placing(self.core)
        self.loss = Loss(self.core, self.effects, self.stepping)
        self.sharing = Sharing(self.core)
        self.bases = Bases(
            self.core, self.effects, self.proposer, self.stepping, self.rollback, self.grouping, self.tiering
        )
        self.cutting = Cutting(self.core, self.effects, self.rollback, self.loss, self.bases, self.stepping)
        self.restoring = Restoring(self.core, self.effects, self.rollback, self.disposal)
        self.dormancy = Dormancy(
            self.core, self.effects, self.proposer, self.stepping, self.rollback, self.grouping, self.sharing
        )
        self.looking = Looking(self.core, self.stepping, self.rollback, self.proposer, self.requesting)
        self._timed = (
            self.stepping,
            self.rollback,
            self.proposer,
            self.effects,
            self.placing,
            self.timing,
            self.requesting,
            self.grouping,
        )
        self._alive = False

    @property
    def deadline_us(self) -> int | None:
        """When to feed `Elapsed`."""
        deadline_us = self.core.outbox.deadline_us()
        # Asked after each event, when nearly always only the outbox has one.
        for part in self._timed:
            due_us = part.deadline_us()
            if due_us is not None and (deadline_us is None or due_us < deadline_us):
                deadline_us = due_us
        return deadline_us

    def handle(self, event: Event, now_us: int) -> list[Action]:
        """Take in one event; what it says may leave is in the actions."""
        core = self.core
        core.now_us = max(core.now_us, now_us)
        match event:
            case Received():
                self._received(event.sender, event.message)
            case Appended():
                core.appended(event.ticket)
            case StepRan():
                self.stepping.ran(event)
            case ToolWanted():
                running = self.stepping.running
                if running is not None and running[0] == event.run:
                    told = self.requesting.told_of if event.was_requested else self.effects.wanted
                    told(event, running[2])
            case EffectAsked():
                self.settling.asked(event)
            case ReleaseAsked():
                self.requesting.asked(event)
            case LetterAsked():
                self.redriving.asked(event)
            case CallOffAsked():
                self.calling_off.asked(event)
            case PauseAsked():
                self.pausing.asked(event)
            case HoldAsked():
                self.holding.asked(event)
            case TierAsked():
                self.tiering.asked(event)
            case ToolUsed():
                self.effects.used(event.intent, event.verb, event.answer, event.result)
            case Merged():
                self.sharing.merged(event)
            case Elapsed():
                core.flush()
                self.rollback.work()
                self.proposer.work()
            case Consulted():
                self.rollback.consulted(event)
            case SubscriberSeen():
                self.sharing.seen(event)
            case Submitted():
                self.intake.submitted(event)
            case ProposeWanted():
                self.proposer.wanted(event)
            case Reached():
                core.unplaced.hear(event.agent)
                core.outbox.nudge(event.agent, core.now_us)
                core.flush([event.agent])
            case Learned():
                if isinstance(event.fact, Began) and event.fact.agent != core.agent:
                    self.loss.learned(event.fact)
                    self.stepping.heard()
                    self.sharing.heard()
            case CutWanted():
                self.cutting.wanted(event)
            case Settled():
                self.cutting.settled(event)
                self.stepping.heard()
                self.sharing.heard()
            case RestorePending():
                core.colours.paused(event.pending)
            case LogStalled():
                core.is_stalled = event.pending
            case RestoreDecided():
                self.restoring.decided(event)
            case Recovered():
                self._recovered(event)
            case _:
                assert_never(event)
        if self._alive:
            self.sharing.work()
            self.effects.work()
            self.requesting.work()
            self.timing.work()
            self.stepping.work()
            self.placing.work()
        actions, core.actions = core.actions, []
        return actions

    def _received(self, sender: AgentId, message: Message) -> None:
        core = self.core
        match message:
            case Data():
                self.stepping.data_came(sender, message.input)
            case Ack():
                for number, named in message.consumed:
                    if core.lives.is_lost(sender, named.incarnation, named.seq):
                        continue
                    # CP-3: this host names an outsider in its next cut, which then settles the consumer.
                    consumer = named if named.epoch >= 0 else named._replace(epoch=core.colours.epoch)
                    self.effects.void_acked(sender, message.incarnation, number)
                    if core.outbox.acked(sender, message.incarnation, number, consumer, core.now_us):
                        core.note_ack(sender, message.incarnation, number, consumer)
                core.flush([sender])
            case Ballot():
                self.rollback.balloted(sender, message)
                if message.proposal.id not in self.rollback.decided:
                    self.proposer.balloted(sender, message)
            case Void():
                self.stepping.void_came(sender, message)
            case Propose():
                self.rollback.proposed(sender, message)
            case Done():
                self.proposer.done(sender, message)
                self.rollback.heard_end(sender, message)
            case GroupVotes():
                self.grouping.heard(sender, message)
            case Shared() | Sync():
                core.tell("refused", sender, "a space message must be merged before it is fed")
            case _:
                assert_never(message)

    # -- recovery --------------------------------------------------------------------------------------------------

    def _recovered(self, event: Recovered) -> None:
        core = self.core
        core.replay()
        bases, begin = self.bases.start_of(event.records)
        if bases:
            self.bases.load(bases)
        for record in event.records[begin:]:
            self._apply(record)
        core.replayed()
        core.actions.clear()
        self._alive = True
        if event.lost or not event.records:
            self.loss.birth(event.lost, event.incarnation, event.unheard)
        else:
            self.loss.publish()
        self.placing.recovered()
        core.outbox.release_all()
        self.effects.recovered()
        self.requesting.recovered()
        self.grouping.recovered()
        core.flush()
        self.rollback.recovered()
        self.proposer.recovered()

    def _apply(self, record: Record) -> None:
        core = self.core
        match record:
            case StepRecord():
                self.stepping.apply_step(record)
            case AckedRecord():
                for receiver, incarnation, number, consumer in record.acks:
                    core.outbox.acked(receiver, incarnation, number, consumer)
            case IntentRecord():
                core.intents.take(record)
            case EffectRecord():
                self.requesting.apply_effect(record)
            case ApprovedRecord():
                self.requesting.apply_approved(record)
            case GroupVotedRecord():
                self.grouping.apply_voted(record)
            case GroupDecidedRecord():
                self.grouping.apply_decided(record)
            case PausedRecord():
                self.pausing.apply(record)
            case HeldRecord():
                self.holding.apply(record)
            case TierRecord():
                self.tiering.apply(record)
            case AcceptedRecord():
                self.intake.apply_accepted(record)
            case VoteRecord():
                self.rollback.apply_vote(record)
            case DecisionRecord():
                self.rollback.apply_decision(record)
            case VoidRecord():
                self.effects.apply_void(record)
            case DeadRecord():
                self.stepping.apply_dead(record)
            case SubscribedRecord():
                self.sharing.apply_subscribed(record)
            case ForcedRecord():
                self.loss.apply_forced(record)
            case ProposedRecord():
                self.proposer.apply_proposed(record)
            case OutcomeRecord():
                self.proposer.apply_outcome(record)
            case BirthRecord():
                self.loss.apply_birth(record)
            case CutRecord():
                self.cutting.apply_cut(record)
            case PlacedRecord():
                self.placing.apply(record)
            case RedrivenRecord():
                self.redriving.apply(record)
            case RestoredRecord():
                self.restoring.apply(record)
            case BaseRecord():
                # Recovery begins after the last one; tests replay logs from their beginning too.
                pass
            case _:
                assert_never(record)

    # -- looking ---------------------------------------------------------------------------------------------------

    def under_way(self) -> list[str]:
        """Name what is not finished; an idle peer has nothing to name."""
        return list(self.looking.under_way())

    def is_idle(self) -> bool:
        """Tell whether nothing is under way: no input, no message, no proposal, no undo."""
        return not self.under_way()

    def is_dormant(self) -> bool:
        """Tell whether cuts and commits are nothing to this peer until it handles anything: it may sleep (CP-13)."""
        return self._alive and self.deadline_us is None and self.dormancy.is_complete()

    def check(self) -> None:
        """Assert what holds after every event."""
        core = self.core
        core.inbox.check()
        core.outbox.check()
        core.timers.check()
        core.cone.check(core.lives.incarnation, core.lives.seq)
        self.rollback.check()
