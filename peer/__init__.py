"""Ebbtide: agents that take a step back together. Public names only."""

from peer.agent import Agent, handles
from peer.cluster import Cluster, Outcome, Plan
from peer.context import Context
from peer.errors import (
    AgentUnknown,
    AskTimeout,
    CallerError,
    EbbtideError,
    EffectInDoubt,
    HandlerMissing,
    LogBusy,
    LogCorrupt,
    PeerError,
    RollbackTimeout,
    StepUnknown,
    ToolFailed,
)
from peer.host import AgentSpec
from peer.storage import Storage
from peer.tool import Call, Happened, NotHappened, Tool, Unknown, tool
from protocol.ids import StepId
from protocol.limits import Limits
from protocol.proposal import Proposal

__all__ = [
    "Agent",
    "AgentSpec",
    "AgentUnknown",
    "AskTimeout",
    "Call",
    "CallerError",
    "Cluster",
    "Context",
    "EbbtideError",
    "EffectInDoubt",
    "HandlerMissing",
    "Happened",
    "Limits",
    "LogBusy",
    "LogCorrupt",
    "NotHappened",
    "Outcome",
    "PeerError",
    "Plan",
    "Proposal",
    "RollbackTimeout",
    "StepId",
    "StepUnknown",
    "Storage",
    "Tool",
    "ToolFailed",
    "Unknown",
    "handles",
    "tool",
]
