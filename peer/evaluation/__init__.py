"""What was good about a run's rollbacks, and what was lost: measures of a trail (docs/evaluation.md)."""

from peer.evaluation.evaluating import evaluated
from peer.evaluation.measures import Measures
from peer.evaluation.truth import read_truth
from peer.evaluation.utility import Linear, Utility

__all__ = ["Linear", "Measures", "Utility", "evaluated", "read_truth"]
