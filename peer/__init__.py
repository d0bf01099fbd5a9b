"""Ebbtide: agents that take a step back together. Public names only."""

from peer.agents.agent import Agent, handles
from peer.agents.context import Context
from peer.agents.spec import AgentSpec
from peer.agents.tool import Call, Happened, NotHappened, Tool, Unknown, tool
from peer.cluster.cluster import Cluster, Outcome, Plan
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
from peer.store.storage import Storage
from peer.values.declared import Hidden, bulky, derived, secret
from peer.values.personal import Erased, Personal, hashed
from peer.values.versioning import migrates, versioned
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
