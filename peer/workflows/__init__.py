"""Workflows: who hangs on whom, what a rollback can reach, where it is too late for one (docs/guide/workflows.md)."""

from peer.workflows.coverability import MANY, Covered, covered
from peer.workflows.invariants import place_invariants
from peer.workflows.markings import Reached, reached
from peer.workflows.net import Marking, Net, Transition

__all__ = ["MANY", "Covered", "Marking", "Net", "Reached", "Transition", "covered", "place_invariants", "reached"]
