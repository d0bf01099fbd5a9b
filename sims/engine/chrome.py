"""A world's trace as Chrome's trace events, which Perfetto and chrome://tracing show.

Hosts are processes, agents are threads, steps are slices, messages are flows from slice to slice. What the importers of
these tools ask for, so that every flow is bound and every slice stays:

- slices of one thread lie one after the other: one ends where the next begins, also if it was durable only later;
- a flow's name is a number that it shares with no other; it has one beginning and one end. So a message that ran again
  has one for each time that it was handled, and one that nobody has handled has none;
- a flow begins and ends within its slices, not at their edge; every process and thread that is named is declared.

Source: "Trace Event Format" (the Catapult project); Perfetto's JSON importer.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from protocol.ids import AgentId, StepId
from protocol.step import StepRecord
from sims.engine.trace import Trace

NOWHERE = "no host"
"""The process of what is at no host that is known."""


class _Slice(NamedTuple):
    """A step on its thread, in microseconds."""

    record: StepRecord
    begin_us: float
    end_us: float


def chrome_of(trace: Trace, homes: Mapping[AgentId, str], retracted_by: Mapping[StepId, str]) -> dict[str, Any]:
    """Return a world's trace.

    Args:
        trace: what has happened.
        homes: by agent, its host.
        retracted_by: by step, what has undone it.
    """
    return _Chrome(trace, homes, retracted_by).whole()


def write_chrome(trace: Trace, path: Path, homes: Mapping[AgentId, str], retracted_by: Mapping[StepId, str]) -> None:
    """Write a world's trace to a file; arguments as for `chrome_of`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(chrome_of(trace, homes, retracted_by)), encoding="utf-8")


class _Chrome:
    def __init__(self, trace: Trace, homes: Mapping[AgentId, str], retracted_by: Mapping[StepId, str]) -> None:
        self._trace = trace
        self._retracted_by = retracted_by
        hosts = sorted({*homes.values(), *(item.host for item in trace.happenings if item.host)})
        self._hosts = {name: number for number, name in enumerate((*hosts, NOWHERE), 1)}
        steps = [*trace.steps(), *trace.lost]
        agents = sorted({*homes, *(record.step.agent for record in steps), *(each[1] for each in trace.decided_us)})
        self._places = {
            agent: {"pid": self._hosts[homes.get(agent, NOWHERE)], "tid": number}
            for number, agent in enumerate(agents, 1)
        }
        self._slices = self._laid_out(steps)

    def _laid_out(self, steps: list[StepRecord]) -> dict[StepId, _Slice]:
        """Return every step's slice; those of one agent lie one after the other."""
        by_agent: dict[AgentId, list[tuple[int, int, StepRecord]]] = {}
        for record in steps:
            end_us = self._trace.durable_us[record.step]
            begin_us = min(self._trace.began_us.get(record.step, end_us), end_us)
            by_agent.setdefault(record.step.agent, []).append((begin_us, end_us, record))
        found: dict[StepId, _Slice] = {}
        for items in by_agent.values():
            items.sort(key=lambda item: (*item[:2], item[2].step[1:]))
            free_us = 0.0
            for at, (began_us, durable_us, record) in enumerate(items):
                begin_us = max(float(began_us), free_us)
                next_us = items[at + 1][0] if at + 1 < len(items) else durable_us + 1
                free_us = max(begin_us + 1, min(durable_us, next_us))
                found[record.step] = _Slice(record, begin_us, free_us)
        return found

    def whole(self) -> dict[str, Any]:
        events = [*self._declared(), *self._steps(), *self._flows(), *self._instants()]
        return {"traceEvents": events, "displayTimeUnit": "ms"}

    def _declared(self) -> list[dict[str, Any]]:
        hosts = [
            {"ph": "M", "name": "process_name", "pid": number, "tid": 0, "args": {"name": name}}
            for name, number in self._hosts.items()
        ]
        agents = [
            {"ph": "M", "name": "thread_name", **place, "args": {"name": agent}}
            for agent, place in self._places.items()
        ]
        return [*hosts, *agents]

    def _steps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for step, (record, begin_us, end_us) in self._slices.items():
            undone = self._retracted_by.get(step, "")
            args = {"input": str(record.input), "undone by": undone, "durable at": self._trace.durable_us[step]}
            found.append(
                {"ph": "X", "name": str(step), "cat": "undone" if undone else "step", "ts": begin_us,
                 "dur": end_us - begin_us, **self._places[step.agent], "args": args}
            )  # fmt: skip
        return found

    def _flows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        number = 0
        for step, (record, begin_us, end_us) in self._slices.items():
            producer = record.input.producer
            sent = None if producer is None else self._slices.get(producer)
            if producer is None or sent is None:
                continue  # from outside, or of a step that nobody remembers
            number += 1
            flow = {"id": number, "name": "message", "cat": "message"}
            name = {"args": {"message": str(record.input.message)}}
            began_us = sent.end_us - min(1.0, sent.end_us - sent.begin_us) / 2
            ended_us = max(begin_us + min(1.0, end_us - begin_us) / 2, began_us)
            found.append({"ph": "s", "ts": began_us, **flow, **self._places[producer.agent], **name})
            found.append({"ph": "f", "bp": "e", "ts": ended_us, **flow, **self._places[step.agent], **name})
        return found

    def _instants(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for at_us, agent, record in self._trace.decided_us:
            name = f"{record.decision} {record.proposal.id}"
            found.append({"ph": "i", "s": "t", "name": name, "cat": "decision", "ts": at_us, **self._places[agent]})
        for item in self._trace.happenings:
            pid = self._hosts.get(item.host, self._hosts[NOWHERE])
            found.append(
                {"ph": "i", "s": "p" if item.host else "g", "name": item.what, "cat": "fault", "ts": item.at_us,
                 "pid": pid, "tid": 0, "args": {"detail": item.detail}}
            )  # fmt: skip
        return found
