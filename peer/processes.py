"""Ends a process of another program, and makes sure that it is the one that was meant."""

import os
import select
import signal
import time
from collections.abc import Callable

LOOK_S = 0.05


def end_process(number: int, is_it: Callable[[], bool], timeout_s: float) -> bool:
    """Send a process SIGTERM, and wait until it has ended.

    Args:
        number: the process.
        is_it: tells whether the process of that number is the one that is meant.
        timeout_s: how long to wait.

    Returns: whether it has ended.
    """
    if not hasattr(os, "pidfd_open"):
        if is_it():
            os.kill(number, signal.SIGTERM)
        until = time.monotonic() + timeout_s
        while is_it() and time.monotonic() < until:
            time.sleep(LOOK_S)
        return not is_it()
    try:
        # It names one process for good: by its number another could be met, that has it by now.
        handle = os.pidfd_open(number)
    except ProcessLookupError:
        return True
    try:
        if not is_it():
            return True
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        return bool(select.select([handle], [], [], timeout_s)[0])
    finally:
        os.close(handle)
