"""Watchers: agents that look at others' steps, and decide what comes of what they notice (docs/guide/detectors.md)."""

from peer.watching.case import Case, Foresight, Ruling
from peer.watching.doubted import Doubted, doubted
from peer.watching.limits import Estimate, Labelled, Learned, off_policy
from peer.watching.policy import Always, ConfirmFirst, Costs, LeastCost, Policy
from peer.watching.watcher import Watcher

__all__ = [
    "Always", "Case", "ConfirmFirst", "Costs", "Doubted", "Estimate", "Foresight", "Labelled", "Learned", "LeastCost",
    "Policy", "Ruling", "Watcher", "doubted", "off_policy",
]  # fmt: skip
