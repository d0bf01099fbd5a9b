"""Ebbtide: agents that take a step back together. Public names only."""

from peer.agent import Agent, handles
from peer.cluster import Cluster, Outcome, Plan
from peer.context import Context
from peer.declared import Hidden, bulky, derived, secret
from peer.errors import (
    AgentUnknown,
    AskTimeout,
    BlobLost,
    CallerError,
    ConfigInvalid,
    DeclarationRefused,
    EbbtideError,
    EffectInDoubt,
    HandlerMissing,
    LogBusy,
    LogCorrupt,
    MigrationFailed,
    PeerError,
    ReadOnly,
    RestoreRefused,
    RollbackTimeout,
    SecretChanged,
    StepUnknown,
    ToolFailed,
    Unready,
    VaultFailed,
    VersionUnknown,
)
from peer.host import AgentSpec
from peer.personal import Erased, Personal, hashed
from peer.storage import Storage
from peer.tool import Call, Happened, NotHappened, Tool, Unknown, tool
from peer.versioning import migrates, versioned
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.proposal import Proposal

__all__ = [
    "Agent",
    "AgentSpec",
    "AgentUnknown",
    "AskTimeout",
    "BlobLost",
    "Call",
    "CallerError",
    "Cluster",
    "ConfigInvalid",
    "Context",
    "DeclarationRefused",
    "EbbtideError",
    "EffectInDoubt",
    "Erased",
    "HandlerMissing",
    "Happened",
    "Hidden",
    "Limits",
    "LogBusy",
    "LogCorrupt",
    "MigrationFailed",
    "NotHappened",
    "Outcome",
    "PeerError",
    "Personal",
    "Plan",
    "Proposal",
    "ReadOnly",
    "RestoreRefused",
    "RollbackTimeout",
    "SecretChanged",
    "StepId",
    "StepUnknown",
    "Storage",
    "Tool",
    "ToolFailed",
    "Unknown",
    "Unready",
    "VaultFailed",
    "VersionUnknown",
    "bulky",
    "derived",
    "handles",
    "hashed",
    "migrates",
    "secret",
    "tool",
    "versioned",
]
