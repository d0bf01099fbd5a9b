"""Ebbtide: agents that take a step back together. Public names only."""

from peer.agents.agent import Agent, handles
from peer.agents.approval import Approval, Wanted
from peer.agents.conditions import precondition
from peer.agents.context import Context
from peer.agents.drill import Drilled, drill
from peer.agents.earlier import CalledBefore, EarlierRun, LeftOut, SentBefore
from peer.agents.every import every
from peer.agents.group import Group
from peer.agents.oversight import Overseer
from peer.agents.question import Answer
from peer.agents.rehearsal import Rehearsed
from peer.agents.request import Result
from peer.agents.retry import Retry
from peer.agents.rolled_back import RolledBack
from peer.agents.saga import Saga, SagaFailed, SagaScope
from peer.agents.spaces import Counter, SharedMap, SharedSet, Space
from peer.agents.spec import AgentSpec
from peer.agents.state import State, View
from peer.agents.terms import answers
from peer.agents.tier import Tier
from peer.agents.tool import Call, Canary, Happened, NotHappened, Tool, Unknown, tool
from peer.agents.whose import mark_records
from peer.cluster.access import Access, Membership
from peer.cluster.attached import Attached
from peer.cluster.branching import Branch, Difference
from peer.cluster.cluster import Cluster
from peer.cluster.doubting import Overturned
from peer.cluster.effects import Effect
from peer.cluster.happenings import Happenings
from peer.cluster.inlet import Receipt
from peer.cluster.letters import DeadLetter
from peer.cluster.moving import Moved
from peer.cluster.outcome import Attempt, Compensation, Outcome, Plan, PlannedUndo, Restored
from peer.cluster.replanning import Refused, RollbackRequest, amend_with, ask_person, forward, narrower
from peer.cluster.requests import PendingRequest
from peer.cluster.sagas import SagaSeen
from peer.cluster.steps import Step, StepCall, StepRead, Steps, StepSent
from peer.errors import (
    AddressBusy,
    AgentAbsent,
    AgentBroken,
    AgentUnknown,
    AskTimeout,
    BackendFailed,
    BlobLost,
    CallerError,
    ConfigInvalid,
    DeclarationRefused,
    EbbtideError,
    EffectInDoubt,
    FrameInvalid,
    HandlerMissing,
    HandlerTimeout,
    HostDraining,
    InputHandled,
    InputsDiffer,
    InputsOutOfOrder,
    InputUnknown,
    LogBusy,
    LogCorrupt,
    LogFailed,
    MailboxFull,
    MigrationFailed,
    NotEntitled,
    NotInTier,
    NotMade,
    NotUp,
    PayloadInvalid,
    PayloadTooLarge,
    PayloadUnsupported,
    PeerError,
    ProcessEnded,
    ReadOnly,
    ResourceFailed,
    RestoreRefused,
    ResultLost,
    RollbackTimeout,
    SecretChanged,
    StepRanAgain,
    StepUnknown,
    ToolFailed,
    UndoPending,
    Unready,
    VaultFailed,
    VersionUnknown,
)
from peer.host.condition import About
from peer.host.happenings import (
    CheckpointMade,
    DeadLettered,
    EffectChanged,
    Happening,
    HostChanged,
    Missed,
    Noticed,
    RestoreMade,
    RollbackDecided,
    RollbackProposed,
    StepMade,
)
from peer.host.health import Health
from peer.host.questions import (
    Ballots,
    Costs,
    CutsAnswer,
    EpochsAnswer,
    Notice,
    Profile,
    Status,
    StepsAnswer,
    TiersAnswer,
)
from peer.observing.json_lines import JsonLines
from peer.people.person import Person
from peer.store.storage import Storage
from peer.trust.grant import Grant
from peer.values.declared import Hidden, KeyKind, bulky, derived, secret
from peer.values.payload import hashed
from peer.values.personal import Erased, Personal
from peer.values.shared_view import SharedView
from peer.values.versioning import migrates, versioned
from protocol.ids import MessageId, StepId
from protocol.limits import Limits
from protocol.proposal import Finding, Proposal, Restore, Vote
from protocol.records import Cut, OutcomeRecord
from protocol.step import Input, StepRecord

mark_records()

__all__ = [
    "About",
    "Access",
    "AddressBusy",
    "Agent",
    "AgentAbsent",
    "AgentBroken",
    "AgentSpec",
    "AgentUnknown",
    "Answer",
    "Approval",
    "AskTimeout",
    "Attached",
    "Attempt",
    "BackendFailed",
    "Ballots",
    "BlobLost",
    "Branch",
    "Call",
    "CalledBefore",
    "CallerError",
    "Canary",
    "CheckpointMade",
    "Cluster",
    "Compensation",
    "ConfigInvalid",
    "Context",
    "Costs",
    "Counter",
    "Cut",
    "CutsAnswer",
    "DeadLetter",
    "DeadLettered",
    "DeclarationRefused",
    "Difference",
    "Drilled",
    "EarlierRun",
    "EbbtideError",
    "Effect",
    "EffectChanged",
    "EffectInDoubt",
    "EpochsAnswer",
    "Erased",
    "Finding",
    "FrameInvalid",
    "Grant",
    "Group",
    "HandlerMissing",
    "HandlerTimeout",
    "Happened",
    "Happening",
    "Happenings",
    "Health",
    "Hidden",
    "HostChanged",
    "HostDraining",
    "Input",
    "InputHandled",
    "InputUnknown",
    "InputsDiffer",
    "InputsOutOfOrder",
    "JsonLines",
    "KeyKind",
    "LeftOut",
    "Limits",
    "LogBusy",
    "LogCorrupt",
    "LogFailed",
    "MailboxFull",
    "Membership",
    "MessageId",
    "MigrationFailed",
    "Missed",
    "Moved",
    "NotEntitled",
    "NotHappened",
    "NotInTier",
    "NotMade",
    "NotUp",
    "Notice",
    "Noticed",
    "Outcome",
    "OutcomeRecord",
    "Overseer",
    "Overturned",
    "PayloadInvalid",
    "PayloadTooLarge",
    "PayloadUnsupported",
    "PeerError",
    "PendingRequest",
    "Person",
    "Personal",
    "Plan",
    "PlannedUndo",
    "ProcessEnded",
    "Profile",
    "Proposal",
    "ReadOnly",
    "Receipt",
    "Refused",
    "Rehearsed",
    "ResourceFailed",
    "Restore",
    "RestoreMade",
    "RestoreRefused",
    "Restored",
    "Result",
    "ResultLost",
    "Retry",
    "RollbackDecided",
    "RollbackProposed",
    "RollbackRequest",
    "RollbackTimeout",
    "RolledBack",
    "Saga",
    "SagaFailed",
    "SagaScope",
    "SagaSeen",
    "SecretChanged",
    "SentBefore",
    "SharedMap",
    "SharedSet",
    "SharedView",
    "Space",
    "State",
    "Status",
    "Step",
    "StepCall",
    "StepId",
    "StepMade",
    "StepRanAgain",
    "StepRead",
    "StepRecord",
    "StepSent",
    "StepUnknown",
    "Steps",
    "StepsAnswer",
    "Storage",
    "Tier",
    "TiersAnswer",
    "Tool",
    "ToolFailed",
    "UndoPending",
    "Unknown",
    "Unready",
    "VaultFailed",
    "VersionUnknown",
    "View",
    "Vote",
    "Wanted",
    "amend_with",
    "answers",
    "ask_person",
    "bulky",
    "derived",
    "drill",
    "every",
    "forward",
    "handles",
    "hashed",
    "migrates",
    "narrower",
    "precondition",
    "secret",
    "tool",
    "versioned",
]
