"""Write a run down for the outside, in the format of docs/export.md: steps, proposals, checkpoints."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peer.asks import CutsAnswer, StepsAnswer
from peer.cluster import Cluster
from protocol.ids import AgentId, MessageId, ProposalId, StepId
from protocol.proposal import Proposal, Restore
from protocol.step import StepRecord

_STATES = {"open": "claimed", "doubt": "in-doubt", "failed": "in-doubt"}
"""The journal's states in the export's words, where they differ."""


async def export(cluster: Cluster, folder: Path, agents: Iterable[AgentId] | None = None) -> None:
    """Ask every agent for its steps, ballots and cuts, and write them to a folder.

    Args:
        cluster: who asks.
        folder: made if missing; the three files are replaced.
        agents: whose steps; all that were launched from the cluster if left out.
    """
    names = list(cluster.agents if agents is None else agents)
    lines: list[dict[str, Any]] = []
    for name in names:
        for page in await cluster.steps(name):
            lines.extend(_step(page, at) for at in range(len(page.records)))
    lines.sort(key=lambda line: (line["time"], StepId.parse(line["step"])))
    proposals = await proposals_of(cluster, names)
    checkpoints = checkpoints_of({name: await cluster.cuts(name) for name in names})
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "steps.jsonl", lines)
    _write(folder / "proposals.jsonl", proposals)
    _write(folder / "checkpoints.jsonl", checkpoints)


async def proposals_of(cluster: Cluster, agents: Iterable[AgentId]) -> list[dict[str, Any]]:
    """Return every proposal that any of the agents knows, put together from what each of them knows."""
    proposals: dict[ProposalId, Proposal] = {}
    decided: dict[ProposalId, list[tuple[AgentId, str, int]]] = {}
    electors: dict[ProposalId, set[AgentId]] = {}
    rejects: dict[ProposalId, set[tuple[AgentId, str]]] = {}
    costs: dict[ProposalId, list[int]] = {}
    hosts: set[str] = set()
    for agent in agents:
        ballots = await cluster.ballots(agent)
        for proposal, vote in ballots.votes:
            proposals[proposal.id] = proposal
            electors.setdefault(proposal.id, set()).add(agent)
            if not vote.accepts:
                rejects.setdefault(proposal.id, set()).add((agent, vote.why))
        for pid, decision, at_us, names, _ in ballots.decided:
            decided.setdefault(pid, []).append((agent, decision, at_us))
            electors.setdefault(pid, set()).update(names)
        host = (await cluster.status(agent)).host
        if host not in hosts:
            hosts.add(host)
            for pid, (count, size) in (await cluster.costs(agent)).rollbacks.items():
                total = costs.setdefault(pid, [0, 0])
                total[0], total[1] = total[0] + count, total[1] + size
    return [
        {
            "id": pid,
            "roots": [str(root) for root in proposal.roots],
            "mode": proposal.inputs,
            "reason": proposal.reason,
            "decision": decided[pid][0][1] if pid in decided else "undecided",
            "electors": sorted(electors.get(pid, ())),
            "rejects": [{"voter": voter, "why": why} for voter, why in sorted(rejects.get(pid, ()))],
            "messages": costs.get(pid, [0, 0])[0],
            "bytes": costs.get(pid, [0, 0])[1],
            "began": proposal.began_us,
            "decided": max((at_us for _, _, at_us in decided[pid]), default=None) if pid in decided else None,
        }
        for pid, proposal in sorted(proposals.items(), key=lambda item: (item[1].began_us, item[0]))
    ]


def checkpoints_of(answers: Mapping[AgentId, CutsAnswer]) -> list[dict[str, Any]]:
    """Return every committed checkpoint and every restore, put together from what each agent knows of its own cuts."""
    committed = max((answer.committed for answer in answers.values()), default=0)
    cuts: dict[int, dict[AgentId, dict[str, Any]]] = {}
    restores: dict[int, tuple[Restore, list[int]]] = {}
    for agent, answer in sorted(answers.items()):
        for cut in answer.cuts:
            last = str(StepId(agent, cut.incarnation, cut.seq)) if cut.seq else None
            if cut.epoch <= committed:
                cuts.setdefault(cut.epoch, {})[agent] = {"last": last, "era": cut.era, "time": cut.time_us}
        for restore, at_us in answer.restores:
            restores.setdefault(restore.number, (restore, []))[1].append(at_us)
    heard = {
        epoch: [answer.committed_us[epoch] for answer in answers.values() if epoch in answer.committed_us]
        for epoch in cuts
    }
    return [
        *(
            {
                "kind": "checkpoint",
                "epoch": epoch,
                "begun": min(cut["time"] for cut in cuts[epoch].values()),
                "committed": min(heard[epoch], default=None),
                "cuts": cuts[epoch],
            }
            for epoch in sorted(cuts)
        ),
        *(
            {
                "kind": "restore",
                "number": number,
                "epoch": restore.epoch,
                "inputs": restore.inputs,
                "reason": restore.reason,
                "decided": min(times),
                "done": max(times),
            }
            for number, (restore, times) in sorted(restores.items())
        ),
    ]


def _step(page: StepsAnswer, at: int) -> dict[str, Any]:
    record: StepRecord = page.records[at]
    item = record.input
    keys = [*(write.key for write in record.writes), *dict.fromkeys(entry.key for entry in record.entries)]
    return {
        "step": str(record.step),
        "input": {
            "id": str(item),
            "producer": None if item.producer is None else str(item.producer),
            "lineage": item.lineage,
        },
        "reads": [{"key": r.key, "writer": None if r.writer is None else str(r.writer)} for r in record.reads],
        "observed": list(record.observed),
        "tolerated": [
            {
                "key": sums.key,
                "limit": sums.limit,
                "parts": [{"writer": str(writer), "amount": amount} for writer, amount in sums.parts],
            }
            for sums in record.tolerated
        ],
        "writes": [{"key": key} for key in keys],
        "sends": [
            {"id": str(MessageId(record.step, index)), "to": output.receiver}
            for index, output in enumerate(record.outputs)
        ],
        "calls": [_call(page, intent) for intent in record.calls],
        "clock": {agent: list(entry) for agent, entry in sorted(record.clock.items())},
        "time": record.time_us,
        "epoch": record.epoch,
        "era": record.era,
        "floor": record.floor,
        "retracted_by": page.retracted_by[at] or None,
    }


def _call(page: StepsAnswer, intent: str) -> dict[str, str]:
    tool, kind, state = page.effects.get(intent, ("unknown", "unknown", "unknown"))
    return {"tool": tool, "intent": intent, "effect": kind, "state": _STATES.get(state, state)}


def _write(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
