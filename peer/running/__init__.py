"""The commands that start a cluster, end it, and act on it while it runs: each is one more peer for a moment."""
