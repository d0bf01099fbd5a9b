"""A trail in W3C PROV: who made what from what, and what was invalidated, as PROV-JSON.

Steps and rollbacks are activities; messages, versions of keys and effects are entities; agents are agents. Source:
Moreau and Missier 2013, "PROV-DM: The PROV Data Model".
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from peer.audit.extras import needed
from peer.audit.telling import moment, told
from peer.audit.trail import Rollback, Step, Trail
from protocol.ids import AgentId, MessageId

SPACES = ("agent", "step", "message", "version", "effect", "rollback")
"""Namespaces of names: `urn:ebbtide:NAME:`."""
TERMS = "urn:ebbtide:terms:"
"""Namespace of what a record says that PROV has no word for."""


def provenance_of(trail: Trail, progress: Callable[[int, int], None] | None = None) -> Any:
    """Return a trail as a `prov.model.ProvDocument`.

    Raises: ConfigInvalid, where `prov` is not installed.
    """
    return _Provenance(trail, needed("prov.model", "PROV")).whole(progress)


def write_provenance(trail: Trail, file: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a trail as PROV-JSON."""
    document = provenance_of(trail, progress)
    with file.open("w", encoding="utf-8") as out:
        document.serialize(out, format="json")


class _Provenance:
    def __init__(self, trail: Trail, prov: Any) -> None:
        self._trail = trail
        self._document: Any = prov.ProvDocument()
        for name in SPACES:
            self._document.add_namespace(name, f"urn:ebbtide:{name}:")
        self._document.add_namespace("ebbtide", TERMS)
        self._known: set[str] = set()

    def whole(self, progress: Callable[[int, int], None] | None) -> Any:
        """Tell every agent, step, effect and rollback."""
        for log in self._trail.logs:
            self._agent(log.agent)
        for rollback in self._trail.rollbacks.values():
            self._rollback(rollback)
        for count, step in enumerate(self._trail.steps.values(), 1):
            self._step(step, told(self._trail, step))
            if progress is not None and count % 200 == 0:
                progress(count, len(self._trail.steps))
        return self._document

    def _step(self, step: Step, line: dict[str, Any]) -> None:
        document, agent, at = self._document, line["agent"], moment(line["time"])
        values = {name: line[name] for name in ("epoch", "model", "confidence") if line[name] is not None}
        values["input"] = line["input"]["id"]
        activity = f"step:{_local(line['step'])}"
        document.activity(activity, at, at, _terms(values))
        document.wasAssociatedWith(activity, self._agent(agent))
        item = line["input"]
        received = self._entity("message", item["id"] if item["producer"] else f"{agent}<{item['id']}", _about(item))
        document.used(activity, received, at)
        if item["producer"]:
            document.wasInformedBy(activity, f"step:{_local(item['producer'])}")
        for read in line["reads"]:
            if read["writer"] is not None:
                document.used(activity, self._version(agent, read["key"], read["writer"], {}), at)
        made = [self._version(agent, write["key"], line["step"], _about(write)) for write in line["writes"]]
        for index, send in enumerate(line["sends"]):
            made.append(self._entity("message", str(MessageId(step.id, index)), _about(send)))
        for entity in made:
            document.wasGeneratedBy(entity, activity, at)
            document.wasAttributedTo(entity, self._agent(agent))
        # Other steps may stand behind the same effect: who runs again claims it. So the intent is what this one used.
        for call in line["calls"]:
            about = {"tool": call["tool"], "effect": call["effect"], "state": call["state"]}
            document.used(activity, self._entity("effect", call["intent"], about), at)
        if step.undone is not None:
            undos = [f"effect:{_local(call['intent'])}" for call in line["calls"] if call["state"] == "undone"]
            self._undone(step, made + undos)

    def _undone(self, step: Step, made: list[str]) -> None:
        undone = step.undone
        assert undone is not None
        activity = self._activity(undone.by)
        at = moment(undone.time_us) if undone.time_us else None
        for entity in made:
            self._document.wasInvalidatedBy(entity, activity, at)
        # PROV invalidates entities alone: a step is an activity, which is influenced by what undid it.
        about = _terms({"reason": undone.reason, "kind": undone.kind, "undone": True})
        self._document.wasInfluencedBy(f"step:{_local(str(step.id))}", activity, None, about)

    def _rollback(self, rollback: Rollback) -> None:
        proposal, decided = rollback.proposal, rollback.decided_us
        about = {"reason": proposal.reason, "mode": proposal.inputs, "decision": rollback.decision}
        activity = f"rollback:{_local(proposal.id)}"
        self._known.add(activity)
        ended = None if decided is None else moment(decided)
        self._document.activity(activity, moment(proposal.began_us), ended, _terms(about))
        self._document.wasAssociatedWith(
            activity, self._agent(proposal.proposer), None, None, _terms({"part": "proposer"})
        )
        for voter, vote in sorted(rollback.votes.items()):
            said = _terms({"part": "elector", "accepts": vote.accepts, "why": vote.why})
            self._document.wasAssociatedWith(activity, self._agent(voter), None, None, said)

    def _activity(self, by: str) -> str:
        """Return what undid a step, if it was not a rollback that these logs tell of: a restore, or a loss."""
        activity = f"rollback:{_local(by)}"
        if activity not in self._known:
            self._known.add(activity)
            self._document.activity(activity)
        return activity

    def _agent(self, agent: AgentId) -> str:
        name = f"agent:{_local(agent)}"
        if name not in self._known:
            self._known.add(name)
            self._document.agent(name, {"prov:type": "prov:SoftwareAgent"})
        return name

    def _version(self, agent: AgentId, key: str, writer: str, about: dict[str, Any]) -> str:
        """Return a key as a step has left it; keys of an agent's own state are local to it."""
        whole = key if key.startswith("space:") else f"{agent}:{key}"
        return self._entity("version", f"{whole}@{writer}", {"key": key} | about)

    def _entity(self, space: str, name: str, about: dict[str, Any]) -> str:
        entity = f"{space}:{_local(name)}"
        if entity not in self._known:
            self._known.add(entity)
            self._document.entity(entity, _terms(about))
        return entity


def _about(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("type", "size", "hash") if told.get(name) not in (None, "")}


def _terms(values: dict[str, Any]) -> dict[str, Any]:
    return {f"ebbtide:{name}": value for name, value in values.items()}


def _local(name: str) -> str:
    """Return a name as it may stand in a qualified name: what has a meaning there is escaped."""
    return quote(name, safe="/-._~")
