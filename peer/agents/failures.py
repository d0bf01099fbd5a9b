"""What user code has ended with, in a text that can be stored, sent and shown, whatever it was."""

import asyncio
import traceback
from collections.abc import Iterator

TEXT_CHARS_MAX = 4_000
"""Of what is told of a failure: it stands in dead letters, notices and lines, which people read."""
TRACE_CHARS_MAX = 20_000
GIVEN_UP_S = 0.2
"""From the end of a task that was cancelled to taking that for a failure of its own."""


class Ended(Exception):  # it stands for an error of another kind
    """Stands for what ended user code and is no Exception: `sys.exit`, a cancelled task, a group of these."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(told(error))


def told(error: BaseException) -> str:
    """Return what an error says, with its type; those of a group are named too. Never fails."""
    if isinstance(error, Ended):
        return str(error)
    text = _said(error)
    if isinstance(error, BaseExceptionGroup):
        text = f"{text} [{'; '.join(_said(inner) for inner in leaves(error))}]"
    return clean(text)


def traced(error: BaseException) -> str:
    """Return an error's traceback, cut to what people read. Never fails."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001  # groups in groups too deep for Python, or notes that can't be written
        text = "".join(traceback.format_tb(error.__traceback__)) + told(error)
    return clean(text, TRACE_CHARS_MAX)


def where(error: BaseException, module: str) -> str:
    """Return the place that an error comes from, as `file:line in function`: the innermost in a module, or of all.

    Empty, if only whoever caught it stands in its traceback.
    """
    frames = list(traceback.walk_tb(error.__traceback__))[1:]
    own = [each for each in frames if each[0].f_globals.get("__name__") == module] or frames
    if not own:
        return ""
    frame, line = own[-1]
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def one_line(text: str) -> str:
    """Return a text as one line."""
    return " ".join(text.split())


def clean(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Return a text without what is no character, and no longer than people read."""
    if len(text) > chars_max:
        half = chars_max // 2
        text = f"{text[:half]} ... ({len(text)} characters) ... {text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, or those of a group, however deep its groups are."""
    left = [error]
    while left:
        each = left.pop()
        if isinstance(each, BaseExceptionGroup):
            left += reversed(each.exceptions)
        else:
            yield each


def is_ours(error: BaseException) -> bool:
    """Tell whether something that ended user code is meant for the program: somebody wants to stop it whole.

    `sys.exit` is not: in a handler or a tool it ends that alone. A task that was cancelled itself is, and not one that
    has awaited another which was. A coroutine that is closed is, as nothing runs then.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    if isinstance(error, GeneratorExit):
        try:
            return asyncio.current_task() is None
        except RuntimeError:
            return True
    return isinstance(error, KeyboardInterrupt)


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as failed:  # noqa: BLE001  # a text that can't be had is no reason to lose the failure
        text = f"(its text can't be had: {type(failed).__name__})"
    # The middle is cut here already: a group may hold many.
    return clean(f"{type(error).__name__}: {text}" if text else type(error).__name__)
