"""Whose code runs: what stands before the lines that it prints, where many agents' lines come together."""

from contextvars import ContextVar

WHOSE: ContextVar[str] = ContextVar("WHOSE", default="")
"""A step, or the intent of a tool's call, each of which begins with its agent; empty where no user code runs."""
