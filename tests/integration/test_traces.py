"""Steps as spans: a trace follows an input from outside, links tell what else a step hangs on, undoing is a span."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typer.testing import CliRunner

from peer import Agent, BackendFailed, Call, Cluster, Context, handles, tool
from peer.cli.main import app
from peer.tracing import export_traces, spans_of
from peer.tracing.exporting import LOOKS, Traces

PAID: dict[str, int] = {}


def refund(call: Call) -> None:
    PAID.pop(call.intent, None)


@tool(undo=refund)
def charge(amount: int, *, intent: str) -> None:
    PAID[intent] = amount


class Buyer(Agent):
    @handles(int)
    async def buy(self, message: int, ctx: Context) -> None:
        self.state["spent"] = self.state.get("spent", 0) + message
        ctx.report(confidence=0.5, model="m-1")
        ctx.send("till", message)

    @handles(str)
    async def later(self, message: str, ctx: Context) -> None:
        ctx.after(0.2, 7)


class Till(Agent):
    @handles(int)
    async def take(self, message: int, ctx: Context) -> None:
        self.state["sum"] = self.state.get("sum", 0) + message
        await ctx.call(charge, message)


async def played(folder: Path) -> None:
    async with Cluster("local", folder=folder) as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("till", Till)
        await cluster.submit("buyer", 1, 2, key="k")
        await cluster.quiet()
        await cluster.rollback("buyer/1/2", inputs="discard", reason="too much")
        await cluster.quiet()


def named(spans: Any, name: str) -> list[Any]:
    return [span for span in spans if span.name == name]


async def test_a_trace_follows_an_input_from_outside_and_links_tell_the_rest(tmp_path: Path) -> None:
    await played(tmp_path)
    exporter = InMemorySpanExporter()
    count = export_traces(tmp_path, exporter)
    spans = exporter.get_finished_spans()
    assert count == len(spans) == 2 + 2 + 2 + 2  # steps of each, calls, undone ones
    buys, takes = named(spans, "invoke_agent buyer"), named(spans, "invoke_agent till")
    for buy, take in zip(buys, takes, strict=True):
        assert buy.parent is None
        assert take.parent == buy.context
        assert take.context.trace_id == buy.context.trace_id
        assert take.start_time == buy.end_time <= take.end_time
    assert buys[0].context.trace_id != buys[1].context.trace_id
    # The second one has read what the first has written, in another trace.
    assert [link.context for link in buys[1].links] == [buys[0].context]
    assert dict(buys[1].links[0].attributes) == {
        "ebbtide.relation": "read", "ebbtide.key": "spent", "ebbtide.step": "buyer/1/1"}  # fmt: skip
    assert [link.context for link in takes[1].links] == [takes[0].context]
    about = buys[0].attributes
    assert {name: about[name] for name in about if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "ebbtide", "gen_ai.agent.name": "buyer",
        "gen_ai.agent.id": "buyer", "gen_ai.conversation.id": "ext:key:k#1", "gen_ai.request.model": "m-1",
    }  # fmt: skip
    assert (about["ebbtide.step"], about["ebbtide.confidence"]) == ("buyer/1/1", 0.5)
    assert buys[0].resource.attributes["service.name"] == "ebbtide"


async def test_a_call_of_a_tool_is_a_span_below_its_step(tmp_path: Path) -> None:
    await played(tmp_path)
    spans = spans_of(tmp_path, service="shop")
    step, *_ = named(spans, "invoke_agent till")
    call, *_ = [span for span in spans if span.attributes.get("gen_ai.operation.name") == "execute_tool"]
    assert call.parent == step.context
    assert call.name == f"execute_tool {call.attributes['gen_ai.tool.name']}"
    assert call.attributes["gen_ai.tool.name"].endswith("charge")
    assert call.attributes["gen_ai.tool.call.id"].startswith("till/")
    assert call.resource.attributes["service.name"] == "shop"


async def test_an_undone_step_is_told_by_a_span_that_links_to_it(tmp_path: Path) -> None:
    await played(tmp_path)
    spans = spans_of(tmp_path)
    undone = {span.attributes["ebbtide.step"]: span for span in spans if span.name.startswith("undone ")}
    assert set(undone) == {"buyer/1/2", "till/1/2"}
    step = named(spans, "invoke_agent buyer")[1]
    found = undone["buyer/1/2"]
    assert [link.context for link in found.links] == [step.context]
    assert found.context.trace_id == step.context.trace_id
    assert found.attributes["ebbtide.undone.kind"] == "rollback"
    assert found.attributes["ebbtide.undone.reason"] == "too much"
    assert found.start_time >= step.end_time


async def test_the_same_logs_make_the_same_spans_again(tmp_path: Path) -> None:
    await played(tmp_path)
    assert [span.to_json() for span in spans_of(tmp_path)] == [span.to_json() for span in spans_of(tmp_path)]


async def test_a_timer_is_a_span_from_when_it_was_due(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("till", Till)
        await (await cluster.submit("buyer", "remind me")).done()
        while (await cluster.status("till")).steps == 0:  # a timer of 0.2 s
            await cluster.quiet()
    setting, rung = named(spans_of(tmp_path), "invoke_agent buyer")
    assert rung.parent == setting.context
    assert rung.start_time >= setting.end_time + 200_000_000


async def test_steps_are_exported_as_they_come(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("buyer", Buyer)
        await cluster.spawn("till", Till)
        await cluster.submit("buyer", 1)
        await cluster.quiet()
        traces = Traces(tmp_path, exporter, from_start=False)
        assert traces.look() == []
        await cluster.submit("buyer", 2)
        await cluster.quiet()
        for _ in range(LOOKS):
            traces.look()
        found = {span.attributes["ebbtide.step"] for span in exporter.get_finished_spans()}
        assert found == {"buyer/1/2", "till/1/2"}
        await cluster.rollback("buyer/1/2", inputs="discard")
        traces.look()
        assert len([span for span in exporter.get_finished_spans() if span.name.startswith("undone")]) == 2


async def test_a_step_whose_cause_is_not_here_is_told_all_the_same(tmp_path: Path) -> None:
    await played(tmp_path)
    (host,) = [place for place in tmp_path.glob("host-*") if any(
        span.name == "invoke_agent till" for span in spans_of(place))]  # fmt: skip
    takes = named(spans_of(host), "invoke_agent till")
    assert len(takes) == 2
    assert all(take.parent is not None and take.parent.trace_id == take.context.trace_id for take in takes)


async def test_spans_that_are_not_taken_are_told(tmp_path: Path) -> None:
    class Full(InMemorySpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.FAILURE

    await played(tmp_path)
    with pytest.raises(BackendFailed, match="Full has not taken 8 of 8 spans"):
        export_traces(tmp_path, Full())


async def test_the_command_prints_spans_or_hands_them_over_as_otlp(tmp_path: Path) -> None:
    await played(tmp_path)
    got: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        run = CliRunner()
        shown = run.invoke(app, ["traces", str(tmp_path)])
        assert [json.loads(line)["name"] for line in shown.stdout.splitlines()].count("invoke_agent buyer") == 2
        url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        assert "8 spans are exported" in run.invoke(app, ["traces", str(tmp_path), "--otlp", url]).stdout
    finally:
        server.shutdown()
        server.server_close()
    names = [span.name for each in got for some in each.resource_spans for scope in some.scope_spans
             for span in scope.spans]  # fmt: skip
    assert len(names) == 8
