"""Write a run down for the outside, in the format of docs/export.md."""

from peer.export.live import export

__all__ = ["export"]
