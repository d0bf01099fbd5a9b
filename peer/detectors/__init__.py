"""Who notices that a step was wrong: each a small value that looks at steps one by one (docs/guide/detectors.md)."""

from peer.detectors.port import Detector, Trainable, Watch
from peer.detectors.seen import Finding, Seen
from peer.detectors.suspicion import LookAgain, Suspicion, Verdict

__all__ = ["Detector", "Finding", "LookAgain", "Seen", "Suspicion", "Trainable", "Verdict", "Watch"]
