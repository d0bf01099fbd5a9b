"""A host's part in checkpoints, restores and successions."""
