"""Whose code runs: what stands before the lines that it prints, and in each record that it logs."""

import logging
from contextvars import ContextVar
from typing import Any, NamedTuple

from protocol.ids import AgentId, Lineage


class Whose(NamedTuple):
    """For whom code runs; empty where no user code does."""

    agent: AgentId = ""
    step: str = ""
    """The step, if it comes to stand; empty for hooks and undos."""
    lineage: Lineage = ""
    """The input's name, which it keeps however often it is handled."""
    intent: str = ""
    """Of a tool's call, undo or check."""

    def __str__(self) -> str:
        return self.intent or self.step or self.agent

    @classmethod
    def of_intent(cls, intent: str, caller: "Whose") -> "Whose":
        """Return whose a tool's call is: the caller's, if that handles its input."""
        agent, _, rest = intent.partition("/")
        lineage = rest.rpartition("/")[0]
        return cls(agent, caller.step if caller.lineage == lineage else "", lineage, intent)


NOBODY = Whose()
WHOSE: ContextVar[Whose] = ContextVar("WHOSE", default=NOBODY)


class _Marking:
    """Makes records as before, and marks each with whose code logs it."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        record.agent, record.step, record.lineage, record.intent = WHOSE.get()
        return record


def mark_records() -> None:
    """Have each record of this process say whose it is: `agent`, `step`, `lineage`, `intent`; empty for nobody's."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Marking):
        logging.setLogRecordFactory(_Marking(make))
