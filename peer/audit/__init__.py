"""What a run's agents did, and what became of it, told from the logs in their hosts' folders (docs/audit.md)."""

from peer.audit.edges import Cause, Edges
from peer.audit.logs import hosts_in
from peer.audit.reader import read_trail
from peer.audit.trail import Trail

__all__ = ["Cause", "Edges", "Trail", "hosts_in", "read_trail"]
