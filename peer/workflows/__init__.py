"""Workflows: who hangs on whom, what a rollback can reach, where it is too late for one (docs/guide/workflows.md)."""

from peer.workflows.checking import Check, check
from peer.workflows.classes import workflow_of_classes
from peer.workflows.coverability import MANY, Covered, covered
from peer.workflows.drawing import mermaid
from peer.workflows.fold import folded
from peer.workflows.graph import Graph, Loop, Reach
from peer.workflows.invariants import place_invariants
from peer.workflows.livelock import LiveLoop, loops_in
from peer.workflows.logged import activity_of, workflow_of
from peer.workflows.markings import Reached, reached
from peer.workflows.net import Marking, Net, Transition
from peer.workflows.netting import net_of
from peer.workflows.repeated import Repeated
from peer.workflows.source import workflow_at
from peer.workflows.workflow import Activity, Handling, Link, Rule, Workflow

__all__ = [
    "MANY",
    "Activity",
    "Check",
    "Covered",
    "Graph",
    "Handling",
    "Link",
    "LiveLoop",
    "Loop",
    "Marking",
    "Net",
    "Reach",
    "Reached",
    "Repeated",
    "Rule",
    "Transition",
    "Workflow",
    "activity_of",
    "check",
    "covered",
    "folded",
    "loops_in",
    "mermaid",
    "net_of",
    "place_invariants",
    "reached",
    "workflow_at",
    "workflow_of",
    "workflow_of_classes",
]
