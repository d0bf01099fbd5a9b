"""Who notices that a step was wrong: each a small value that looks at steps one by one (docs/guide/detectors.md)."""

from peer.detectors.port import Detector, Trainable, Watch
from peer.detectors.seen import Finding, Seen

__all__ = ["Detector", "Finding", "Seen", "Trainable", "Watch"]
