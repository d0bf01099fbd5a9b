"""Sparse vector clocks over data dependencies, with incarnations (CL-1, CL-2).

A step's clock is the join of the clocks of what it depends on, plus its own entry. An entry is
`(incarnation, seq)`, compared in that order. "The clock does not cover X" proves that a step is outside X's cone;
"covers X" makes it a suspect, and the logged edges decide.

Source: Mattern 1989 (vector time); Strom and Yemini 1985, Damani and Garg 1996 (incarnations in the entries).
"""

from collections.abc import Iterable, Mapping

from protocol.ids import AgentId, Number, StepId

Entry = tuple[Number, Number]
Clock = Mapping[AgentId, Entry]


def joined(clocks: Iterable[Clock]) -> dict[AgentId, Entry]:
    """Return the least clock that covers all of `clocks`."""
    result: dict[AgentId, Entry] = {}
    for clock in clocks:
        if not result:
            result.update(clock)
            continue
        for agent, entry in clock.items():
            mine = result.get(agent)
            if mine is None or mine < entry:
                result[agent] = entry
    return result


def covers(clock: Clock, step: StepId) -> bool:
    """Tell whether the owner of `clock` may depend on `step`; False is proof that it does not."""
    entry = clock.get(step.agent)
    return entry is not None and entry >= (step.incarnation, step.seq)


def names_lost(clock: Clock, agent: AgentId, incarnation: int, first: int) -> bool:
    """Tell whether the clock proves an orphan of steps lost from `first` on in an old incarnation (FR-2).

    An entry inside the open interval is proof: whoever merges a newer incarnation's entry has heard of its
    beginning first, and refused the lost steps.
    """
    entry = clock.get(agent)
    return entry is not None and entry[0] == incarnation and entry[1] >= first
