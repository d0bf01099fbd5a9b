"""Bytes from strangers, members and damaged disks: what may come of them, and what must never (see CONTRIBUTING.md)."""
