"""How often a process that is a host's own looks for garbage.

A host keeps what its agents have done: some twenty small objects a step, none of them in a cycle. Looking through them
again and again for garbage takes a third of the processor time of a thousand agents, and finds next to nothing.
"""

import gc

YOUNG_MAX = 50_000
"""New objects before the collector looks at them, instead of Python's 700: some thousand steps, a few MB."""


def collect_seldom() -> None:
    """Let the collector rest longer; for processes that are a host's own, since it holds for all of a process."""
    _, *older = gc.get_threshold()
    gc.set_threshold(YOUNG_MAX, *older)
