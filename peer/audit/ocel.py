"""A trail in OCEL 2.0, the standard of object-centric process mining, in its JSON form.

Steps, votes, decisions and undoings are events; agents, messages, keys, effects and proposals are the objects that
they touch. Source: Berti et al. 2024, "OCEL (Object-Centric Event Log) 2.0 Specification".
"""

import json
from pathlib import Path
from typing import Any

from peer.audit.telling import iso, told, votes_of
from peer.audit.trail import Rollback, Trail
from peer.export.lines import state_word
from protocol.ids import AgentId

OBJECT_TYPES = {
    "agent": {"log records": "integer"},
    "message": {"type": "string", "size": "integer", "hash": "string"},
    "key": {"shared": "boolean"},
    "effect": {"tool": "string", "kind": "string", "state": "string"},
    "proposal": {"mode": "string", "reason": "string", "decision": "string"},
}
_STEP = {
    "epoch": "integer", "era": "integer", "attempt": "integer", "model": "string", "confidence": "float",
    "undone by": "string",
}  # fmt: skip
_UNDO = {"by": "string", "kind": "string", "reason": "string"}
_VOTE = {"accepts": "boolean", "why": "string", "steps": "integer"}
_CUT = {"epoch": "integer"}
_DECISION = {"decision": "string", "steps undone": "integer"}

_Links = list[tuple[str, str]]
"""Objects, each with what it has to do with the event."""

_START = "1970-01-01T00:00:00Z"
"""The standard's time of an attribute that an object has from the beginning."""


def ocel_of(trail: Trail) -> dict[str, Any]:
    """Return a trail as the standard's JSON object."""
    return _Ocel(trail).whole()


def write_ocel(trail: Trail, file: Path) -> None:
    """Write a trail as one JSON file."""
    file.write_text(json.dumps(ocel_of(trail), ensure_ascii=False), encoding="utf-8")


def _key_of(agent: AgentId, key: str) -> str:
    """Name a key everywhere: those of an agent's own state are local to it."""
    return key if key.startswith("space:") else f"{agent}:{key}"


class _Ocel:
    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._objects: dict[str, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._types: dict[str, dict[str, str]] = {}
        self._relations: dict[str, _Links] = {}

    def whole(self) -> dict[str, Any]:
        """Tell every agent, effect, step and proposal, in that order: each object is there before it is named."""
        for log in self._trail.logs:
            self._agent(log.agent)
            self._value(f"agent:{log.agent}", "log records", log.records)
        for effect in self._trail.effects.values():
            name = self._object("effect", effect.intent, {"tool": effect.tool, "kind": effect.kind})
            self._relate(name, self._agent(effect.agent), "of")
            for state, _, time_us in effect.history:
                self._value(name, "state", state_word(state), iso(time_us) if time_us else _START)
        for step in self._trail.steps.values():
            self._step(told(self._trail, step))
        for rollback in self._trail.rollbacks.values():
            self._rollback(rollback)
        for agent, cuts in self._trail.cuts.items():
            for cut in cuts:
                values, links = {"epoch": cut.epoch}, [(self._agent(agent), "by")]
                self._event(f"cut:{agent}/{cut.epoch}", "cut", cut.time_us, values, _CUT, links)
        for name, links in self._relations.items():
            self._objects[name]["relationships"] = _relations(links)
        return {
            "eventTypes": [_declared(name, attributes) for name, attributes in self._types.items()],
            "objectTypes": [_declared(name, attributes) for name, attributes in OBJECT_TYPES.items()],
            "events": sorted(self._events, key=lambda event: (event["time"], event["id"])),
            "objects": list(self._objects.values()),
        }

    def _step(self, line: dict[str, Any]) -> None:
        agent, item = line["agent"], line["input"]
        links = [(self._agent(agent), "by")]
        received = self._message(item["id"] if item["producer"] else f"{agent}<{item['id']}", item)
        self._relate(received, self._agent(agent), "to")
        links.append((received, "handles"))
        for send in line["sends"]:
            sent = self._message(send["id"], send)
            self._relate(sent, self._agent(agent), "from")
            self._relate(sent, self._agent(send["to"]), "to")
            links.append((sent, "sends"))
        reads = [*(read["key"] for read in line["reads"]), *(sums["key"] for sums in line["tolerated"])]
        for verb, keys in (
            ("reads", reads),
            ("observes", line["observed"]),
            ("writes", [w["key"] for w in line["writes"]]),
        ):
            links += [(self._key(agent, key), verb) for key in keys]
        links += [(self._object("effect", call["intent"], {}), "calls") for call in line["calls"]]
        undone = line["undone"]
        values = {name: line[name] for name in ("epoch", "era", "model", "confidence")}
        values |= {"attempt": item["attempt"], "undone by": undone and undone["by"]}
        self._event(f"step:{line['step']}", f"handle {item['type']}".strip(), line["time"], values, _STEP, links)
        if undone is None:
            return
        back = [(name, verb) for name, verb in links if verb in ("by", "sends", "writes", "calls")]
        if undone["by"] in self._trail.rollbacks:
            back.append((self._object("proposal", undone["by"], {}), "undone by"))
        self._event(
            f"undone:{line['step']}", f"undo {item['type']}".strip(), undone["time"],
            {name: undone[name] for name in _UNDO}, _UNDO, back,
        )  # fmt: skip

    def _rollback(self, rollback: Rollback) -> None:
        proposal = rollback.proposal
        values = {"mode": proposal.inputs, "reason": proposal.reason, "decision": rollback.decision}
        name = self._object("proposal", proposal.id, values)
        self._relate(name, self._agent(proposal.proposer), "proposed by")
        links = [(self._agent(proposal.proposer), "by"), (name, "proposes")]
        links += [(self._agent(root.agent), "owner of a root") for root in proposal.roots]
        self._event(f"proposed:{proposal.id}", "propose rollback", proposal.began_us, {}, {}, links)
        for vote in votes_of(rollback):
            voter = self._agent(vote["voter"])
            self._relate(name, voter, "elector")
            at_us = rollback.voted_us[vote["voter"]]
            values = {"accepts": vote["accepts"], "why": vote["why"], "steps": vote["steps"]}
            links = [(voter, "by"), (name, "votes on")]
            self._event(f"voted:{proposal.id}/{vote['voter']}", "vote on rollback", at_us, values, _VOTE, links)
        for agent, record in rollback.decisions.items():
            values = {"decision": record.decision, "steps undone": len(record.retracted)}
            links = [(self._agent(agent), "by"), (name, "decides")]
            self._event(
                f"decided:{proposal.id}/{agent}", "decide rollback", record.decided_us, values, _DECISION, links
            )

    def _agent(self, agent: AgentId) -> str:
        return self._object("agent", agent, {})

    def _key(self, agent: AgentId, key: str) -> str:
        return self._object("key", _key_of(agent, key), {"shared": key.startswith("space:")})

    def _message(self, name: str, told: dict[str, Any]) -> str:
        return self._object("message", name, {part: told[part] for part in ("type", "size", "hash")})

    def _object(self, kind: str, name: str, values: dict[str, Any]) -> str:
        """Return an object's id, with its kind in front: ids are unique among all kinds."""
        id_ = f"{kind}:{name}"
        if id_ not in self._objects:
            self._objects[id_] = {"id": id_, "type": kind, "attributes": [], "relationships": []}
        if values and not self._objects[id_]["attributes"]:
            for attribute, value in values.items():
                self._value(id_, attribute, value)
        return id_

    def _value(self, id_: str, attribute: str, value: Any, time: str = _START) -> None:
        self._objects[id_]["attributes"].append({"name": attribute, "value": value, "time": time})

    def _relate(self, id_: str, other: str, qualifier: str) -> None:
        self._relations.setdefault(id_, []).append((other, qualifier))

    def _event(
        self, id_: str, kind: str, time_us: int, values: dict[str, Any], types: dict[str, str], links: _Links
    ) -> None:
        self._types.setdefault(kind, types)
        self._events.append(
            {
                "id": id_,
                "type": kind,
                "time": iso(time_us),
                # What is not known is left out: the standard has no null.
                "attributes": [{"name": name, "value": value} for name, value in values.items() if value is not None],
                "relationships": _relations(links),
            }
        )


def _relations(links: _Links) -> list[dict[str, str]]:
    """Return one relation for each object: `reads and writes`, say. Tools keep no more than one of two."""
    verbs: dict[str, dict[str, None]] = {}
    for name, verb in links:
        verbs.setdefault(name, {})[verb] = None
    return [{"objectId": name, "qualifier": " and ".join(each)} for name, each in verbs.items()]


def _declared(name: str, attributes: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "attributes": [{"name": part, "type": kind} for part, kind in attributes.items()]}
