"""What an input stands for, however often it is run again (ST-5).

An external input's lineage is its own id. A message's is a hash of the lineage of the producing step's input, the
producer, the receiver and the ordinal among the producer's outputs to that receiver; an output of a re-run inherits
the lineage of the old output that it matches.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b

from protocol.ids import AgentId, Lineage
from protocol.step import Output, OutputDraft


def lineage_of(parent: Lineage, producer: AgentId, receiver: AgentId, ordinal: int) -> Lineage:
    """Return the lineage of the `ordinal`th output (from 0) to `receiver` of whatever handles `parent`."""
    text = "\x1f".join((parent, producer, receiver, str(ordinal)))
    return blake2b(text.encode(), digest_size=12).hexdigest()


def inherited(
    parent: Lineage, producer: AgentId, drafts: Sequence[OutputDraft], old: Sequence[Output]
) -> tuple[list[Lineage], list[tuple[AgentId, Lineage]]]:
    """Give a run's outputs their lineages.

    Args:
        parent: lineage of the input.
        producer: the agent that ran.
        drafts: what this run sends.
        old: what earlier, undone runs of the same input sent, oldest first.

    Returns: a lineage for each draft, and the old lineages (with their receivers) that no draft claimed.
    """
    left: dict[tuple[AgentId, Lineage], Output] = {}
    for output in old:
        left[output.receiver, output.lineage] = output
    lineages: list[Lineage | None] = [None] * len(drafts)
    if left:
        _claim(lineages, drafts, left, lambda draft, output: draft.key is not None and draft.key == output.key)
        _claim(
            lineages,
            drafts,
            left,
            lambda draft, output: draft.key is None and draft.payload == output.payload,
        )
        _claim(lineages, drafts, left, lambda draft, output: draft.key is None and output.key is None)
    used = {lineage for lineage in lineages if lineage is not None}
    taken = used | {lineage for _, lineage in left}
    ordinals: dict[AgentId, int] = {}
    final: list[Lineage] = []
    for draft, lineage in zip(drafts, lineages, strict=True):
        while lineage is None:
            ordinal = ordinals.get(draft.receiver, 0)
            ordinals[draft.receiver] = ordinal + 1
            fresh = lineage_of(parent, producer, draft.receiver, ordinal)
            # An ordinal whose lineage an old output holds stands for that output, claimed or void.
            if fresh not in taken:
                lineage = fresh
        taken.add(lineage)
        final.append(lineage)
    return final, list(left)


def _claim(
    lineages: list[Lineage | None],
    drafts: Sequence[OutputDraft],
    left: dict[tuple[AgentId, Lineage], Output],
    fits: Callable[[OutputDraft, Output], bool],
) -> None:
    for at, draft in enumerate(drafts):
        if lineages[at] is None:
            for name, output in left.items():
                is_alike = (draft.after_us is None) == (output.number > 0)  # a timer stands for a timer
                if name[0] == draft.receiver and is_alike and fits(draft, output):
                    lineages[at] = output.lineage
                    del left[name]
                    break
