"""Log records as JSON, an object a line: for whoever collects the logs of many processes.

`EBBTIDE_LOG=json` has the processes of `ebbtide up`, of its hosts and of `ebbtide people serve` log so, on stderr.
"""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any, TextIO

from peer.agents.whose import mark_records
from peer.errors import ConfigInvalid

VARIABLE = "EBBTIDE_LOG"
TEXT, JSON = "text", "json"
TEXT_CHARS_MAX = 16_384
"""Of what a record says, and of its traceback."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; what is not known of it is left out.

    Args:
        host: the host whose process this is; empty, where it is that of several: then records name their own.
    """

    def __init__(self, host: str = "") -> None:
        super().__init__()
        self._host = host

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "host": self._host or getattr(record, "host", ""),
            "agent": getattr(record, "whose", "") or getattr(record, "agent", ""),
            **{name: getattr(record, name, "") for name in ("step", "lineage", "intent", "notice", "subject")},
        }
        line = {name: value for name, value in line.items() if value}
        line["text"] = _said(record)[:TEXT_CHARS_MAX]
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = self.formatException(record.exc_info)[-TEXT_CHARS_MAX:]
        return json.dumps(line, ensure_ascii=False, default=str)


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001  # arguments that do not fit: the line is told all the same
        return f"{record.msg} ({type(error).__name__}: {error})"


def is_json(form: str | None = None) -> bool:
    """Tell whether log lines are to be JSON.

    Args:
        form: `json` or `text`; None: as the environment has it.

    Raises: ConfigInvalid, for another form.
    """
    wanted = form if form is not None else os.environ.get(VARIABLE) or TEXT
    if wanted not in (TEXT, JSON):
        raise ConfigInvalid(f"{VARIABLE} or --log {wanted!r} is none of {TEXT}, {JSON}. Nothing was started.")
    return wanted == JSON


def log_as_json(stream: TextIO, host: str = "", level: int = logging.INFO) -> None:
    """Have this process log as JSON, and nobody else's handler show its records besides."""
    mark_records()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(host))
    logging.basicConfig(level=level, handlers=[handler], force=True)
