"""What a run looked like: an export folder as one self-contained page, and its rollback as a picture."""

from peer.report.lines import ReportError
from peer.report.page import write_report
from peer.report.svg import write_svg

__all__ = ["ReportError", "write_report", "write_svg"]
