"""Steps as spans: a trace follows what came in from outside, and links tell what else each step hangs on.

Names of spans follow from the steps, so whoever reads the same logs again makes the same ones, and a step that is
undone later is told by another span that links to it. Source: OpenTelemetry's semantic conventions for generative AI.
"""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from peer.audit.events import Happening
from peer.extras import needed

KNOWN_MAX = 200_000
"""Steps of which it is remembered to which trace they belong; of others that follows from their name alone."""
LINKS_MAX = 128
"""As OpenTelemetry's own libraries have it."""
SCOPE = "ebbtide"


class Spans:
    """Makes spans of what happened.

    Args:
        service: the name of the service, as backends of traces list it.

    Raises: ConfigInvalid, where OpenTelemetry's SDK is not installed.
    """

    def __init__(self, service: str = "ebbtide") -> None:
        self._api: Any = needed("opentelemetry.trace", "A trace", "observe")
        self._sdk: Any = needed("opentelemetry.sdk.trace", "A trace", "observe")
        resources: Any = needed("opentelemetry.sdk.resources", "A trace", "observe")
        scopes: Any = needed("opentelemetry.sdk.util.instrumentation", "A trace", "observe")
        self._resource = resources.Resource.create({"service.name": service})
        self._scope = scopes.InstrumentationScope(SCOPE)
        self._roots: OrderedDict[str, str] = OrderedDict()
        """By step, what its trace is named after."""
        self._due_us: OrderedDict[str, int] = OrderedDict()
        """By message that is a timer, when it is due."""
        self._waiting: dict[str, list[Happening]] = {}
        """By step that is not known yet, those that its messages have led to."""

    def take(self, happening: Happening) -> Iterator[Any]:
        """Yield the spans of what happened; of a step whose cause is not known yet, once it is, or with `rest`."""
        if happening.kind == "step.undone":
            yield self._undone(happening)
        elif happening.kind == "step":
            producer = happening.data["input"]["producer"]
            if producer is not None and producer not in self._roots:
                self._waiting.setdefault(producer, []).append(happening)
                return
            yield from self._told(happening)

    def rest(self) -> Iterator[Any]:
        """Yield the spans of steps whose cause did not come: it is compacted, or its log is not here."""
        while self._waiting:
            producer = next(iter(self._waiting))
            for happening in self._waiting.pop(producer):
                yield from self._told(happening)

    def _told(self, happening: Happening) -> Iterator[Any]:
        todo = [happening]
        while todo:
            each = todo.pop(0)
            yield from self._step(each)
            todo += self._waiting.pop(each.subject, [])

    # -- steps -----------------------------------------------------------------------------------------------------

    def _step(self, happening: Happening) -> Iterator[Any]:
        step, line, item = happening.subject, happening.data, happening.data["input"]
        producer = item["producer"]
        root = item["lineage"] if producer is None else self._root(producer)
        _remember(self._roots, step, root)
        for send in line["sends"]:
            if "due" in send:
                _remember(self._due_us, send["id"], send["due"])
        end_us = line["time"]
        begun_us = max(item.get("sent") or 0, self._due_us.get(item["id"], 0)) or end_us
        about = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "ebbtide",
            "gen_ai.agent.name": line["agent"],
            "gen_ai.agent.id": line["agent"],
            "gen_ai.conversation.id": root,
            "gen_ai.request.model": line["model"],
            "ebbtide.step": step,
            "ebbtide.lineage": item["lineage"],
            "ebbtide.input": item["id"],
            "ebbtide.input.type": item["type"],
            "ebbtide.attempt": item["attempt"],
            "ebbtide.confidence": line["confidence"],
            "ebbtide.checkpoint": line["epoch"],
            "ebbtide.sent": len(line["sends"]),
        }
        parent = None if producer is None else self._context(producer)
        yield self._span(
            f"invoke_agent {line['agent']}", step, root, parent, begun_us, end_us, about, self._links(line)
        )
        for call in line["calls"]:
            yield self._call(call, step, root, end_us)

    def _call(self, call: dict[str, Any], step: str, root: str, at_us: int) -> Any:
        about = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call["tool"],
            "gen_ai.tool.call.id": call["intent"],
            "gen_ai.tool.type": "function",
            "ebbtide.step": step,
            "ebbtide.effect.kind": call["effect"],
        }
        name = f"{step}!{call['intent']}"
        return self._span(f"execute_tool {call['tool']}", name, root, self._context(step), at_us, at_us, about, ())

    def _undone(self, happening: Happening) -> Any:
        step, data, agent = happening.data["step"], happening.data, happening.agent
        about = {
            "gen_ai.agent.name": agent,
            "ebbtide.step": step,
            "ebbtide.undone.by": data["by"],
            "ebbtide.undone.kind": data["kind"],
            "ebbtide.undone.reason": data["reason"],
        }
        context, at_us = self._context(step), happening.time_us
        link = self._api.Link(context, {"ebbtide.relation": "undoes"})
        return self._span(
            f"undone {agent}", f"{step}/undone", self._root(step), context, at_us, at_us, about, (link,)
        )  # fmt: skip

    def _links(self, line: dict[str, Any]) -> tuple[Any, ...]:
        """Return what a step hangs on besides the one that has sent its input."""
        why: dict[str, tuple[str, str]] = {}
        for read in line["reads"]:
            if read["writer"] is not None and read["writer"] != line["step"]:
                why.setdefault(read["writer"], ("read", read["key"]))
        for sums in line["tolerated"]:
            for part in sums["parts"]:
                if part["writer"] != line["step"]:
                    why.setdefault(part["writer"], ("tolerated", sums["key"]))
        return tuple(
            self._api.Link(self._context(step), {"ebbtide.relation": how, "ebbtide.key": key, "ebbtide.step": step})
            for step, (how, key) in list(why.items())[:LINKS_MAX]
        )

    # -- names -----------------------------------------------------------------------------------------------------

    def _root(self, step: str) -> str:
        return self._roots.get(step, f"step:{step}")

    def _context(self, step: str) -> Any:
        return self._context_of(step, self._root(step))

    def _context_of(self, name: str, root: str) -> Any:
        return self._api.SpanContext(
            trace_id=_number("trace", root, 16), span_id=_number("span", name, 8), is_remote=False,
            trace_flags=self._api.TraceFlags(self._api.TraceFlags.SAMPLED),
        )  # fmt: skip

    def _span(
        self, text: str, name: str, root: str, parent: Any, begun_us: int, end_us: int, about: dict[str, Any],
        links: tuple[Any, ...],
    ) -> Any:  # fmt: skip
        return self._sdk.ReadableSpan(
            text, self._context_of(name, root), parent, self._resource,
            {key: value for key, value in about.items() if value not in (None, "")}, (), links,
            self._api.SpanKind.INTERNAL, instrumentation_scope=self._scope,
            status=self._api.Status(self._api.StatusCode.UNSET),
            start_time=min(begun_us, end_us) * 1000, end_time=end_us * 1000,
        )  # fmt: skip


def _number(kind: str, name: str, size: int) -> int:
    """Return a number that follows from a name; never 0, which stands for none."""
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=size, person=f"ebb-{kind}".encode()).digest()
    return int.from_bytes(digest, "big") or 1


def _remember(known: "OrderedDict[str, Any]", name: str, value: Any) -> None:
    known[name] = value
    if len(known) > KNOWN_MAX:
        known.popitem(last=False)
