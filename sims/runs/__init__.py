"""Worlds drawn from a seed: played, replayed, made smaller, told."""
