"""Sweeps over parameters and seeds, and policies that learn."""
