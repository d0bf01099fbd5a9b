"""Watchers: agents that look at others' steps, and decide what comes of what they notice (docs/guide/detectors.md)."""

from peer.watching.case import Case, Foresight, Ruling
from peer.watching.cuts import CutFinding, check_cut
from peer.watching.doubted import Doubted, doubted
from peer.watching.invariant import Broken, Invariant
from peer.watching.limits import Estimate, Labelled, Learned, off_policy
from peer.watching.policy import Always, ConfirmFirst, Costs, LeastCost, Policy
from peer.watching.watcher import Watcher

__all__ = [
    "Always", "Broken", "Case", "ConfirmFirst", "Costs", "CutFinding", "Doubted", "Estimate", "Foresight", "Invariant",
    "Labelled", "Learned", "LeastCost", "Policy", "Ruling", "Watcher", "check_cut", "doubted", "off_policy",
]  # fmt: skip
