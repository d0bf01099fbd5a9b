"""Tells who holds a loop: an async handler or tool that computes, or waits without await, stops its host meanwhile."""

import asyncio
import logging
import sys
import threading
import traceback
from types import CodeType, FrameType
from weakref import WeakSet, ref

from peer.agents.consent import Consent
from peer.agents.failures import TRACE_CHARS_MAX, clean
from peer.agents.invoking import Invoker
from peer.agents.runner import Runner

logger = logging.getLogger("ebbtide")

HELD_S = 1.0
"""For which a loop has answered nothing: others on the host, and other hosts, notice that."""
LOOK_S = 0.25
"""From one answer of the loop to the next question."""

_WATCHED: "WeakSet[asyncio.AbstractEventLoop]" = WeakSet()
_HANDLERS: tuple[CodeType, ...] = (Runner.handled.__code__, Invoker.invoke.__code__, Consent.looked.__code__)
"""Where user code begins on a loop's stack."""


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Watch a loop that runs in a thread, until it is closed. Once is enough."""
    if loop not in _WATCHED:
        _WATCHED.add(loop)
        threading.Thread(target=_watch, args=(ref(loop),), name="ebbtide-watchdog", daemon=True).start()


def _watch(watched: "ref[asyncio.AbstractEventLoop]") -> None:
    pause, answered, thread = threading.Event(), threading.Event(), list[int]()

    def answer() -> None:
        thread[:] = [threading.get_ident()]
        answered.set()

    while True:
        answered.clear()
        loop = watched()
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(answer)
        except RuntimeError:
            return  # closed at this very moment
        if not answered.wait(HELD_S) and thread and loop.is_running():
            _tell(loop, thread[0])
        del loop
        # One line for one time that it is held, however long.
        while not answered.wait(HELD_S):
            held = watched()
            if held is None or held.is_closed():
                return
            del held
        pause.wait(LOOK_S)


def _tell(loop: asyncio.AbstractEventLoop, thread: int) -> None:
    """Tell whose code a loop's thread is in, and where it stands."""
    inner = sys._current_frames().get(thread)
    frame: FrameType | None = inner
    while frame is not None and frame.f_code not in _HANDLERS:
        frame = frame.f_back
    if inner is None or frame is None:
        return  # nobody's handler: the runtime itself, or a task that it has left running
    holder = frame.f_locals.get("self")
    if not isinstance(holder, Runner | Invoker | Consent):
        return
    file, line = inner.f_code.co_filename, inner.f_lineno
    text = clean(
        f"{holder.what(frame.f_locals)} has held its host's loop for {HELD_S:g} s: it stands at {file}:{line} in"
        f" {inner.f_code.co_name}. Nothing else goes on there meanwhile. Await what takes long (asyncio.to_thread), or"
        " write it as a plain def, which runs in a thread."
    )
    logger.warning("%s\n%s", text, clean("".join(traceback.format_stack(inner)), TRACE_CHARS_MAX))
    loop.call_soon_threadsafe(holder.tell_held, text)
