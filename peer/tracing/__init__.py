"""What a run did as traces of OpenTelemetry: a span a step, from its logs alone, while it runs or afterwards."""

from peer.tracing.exporting import export_traces, spans_of

__all__ = ["export_traces", "spans_of"]
