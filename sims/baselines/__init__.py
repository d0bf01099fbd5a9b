"""Rollback protocols of the literature, and Ebbtide's, on the same work: docs/baselines.md."""
