"""`ebbtide traces`: what agents do, as traces of OpenTelemetry, from the logs of a run that is over or goes on."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from peer.audit import views
from peer.audit.console import PARTIAL, errors
from peer.extras import needed
from peer.running.console import FOLDER, HERE, said
from peer.tracing.exporting import Traces

LOOK_S = 0.5
"""From one look at the logs to the next, when they are followed."""


def traces(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="[FOLDER]", envvar=FOLDER, help="A host's folder, or the cluster's.", show_default="here"
        ),
    ] = HERE,
    otlp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where OTLP is taken over HTTP, as http://127.0.0.1:4318/v1/traces."),
    ] = None,
    service: Annotated[str, typer.Option(metavar="NAME", help="The name of the service.")] = "ebbtide",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as steps come, until interrupted.")] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="With --follow: what is there already, too.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print spans as JSON, one a line, also with --otlp.")] = False,
) -> None:
    """Export steps as spans: a trace for each input from outside, with links to what else a step hangs on.

    Without --otlp they are printed as JSON, one a line. Nothing is locked, and the hosts may be running. A step that is
    undone is told by a span of its own, `undone AGENT`, that links to it. Needs `pip install 'ebbtide[observe]'`.

    Examples: `ebbtide traces run | jq -r .name`, `ebbtide traces run --otlp http://127.0.0.1:4318/v1/traces --follow`
    """
    exporter: Any = None
    if otlp is not None:
        library = needed("opentelemetry.exporter.otlp.proto.http.trace_exporter", "--otlp", "observe")
        exporter = library.OTLPSpanExporter(endpoint=otlp)
    found = Traces(folder, exporter, service=service, from_start=from_start or not follow)
    count = 0
    while True:
        began = time.monotonic()
        spans = found.look(is_last=not follow)
        count += len(spans)
        if json_ or otlp is None:
            for span in spans:
                sys.stdout.write(span.to_json(indent=None) + "\n")
            sys.stdout.flush()
        views.noted(found.notes(), (), errors())
        if not follow:
            break
        time.sleep(max(LOOK_S, time.monotonic() - began))
    if otlp is not None and not json_:
        said(f"{count} spans are exported to {otlp}")
    if found.gaps:
        raise typer.Exit(PARTIAL)
