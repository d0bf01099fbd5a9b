"""A program with a cluster that is told to end: its hosts end in order, and the exit code names the signal.

SIGTERM is what docker and systemd send, SIGINT is Ctrl-C. Either cancels the task that has started the cluster, as
`asyncio.run` does on Ctrl-C, so that its blocks end from the inside; then it becomes an exit. A second signal ends the
process as it would without a cluster: logs are whole at any time.
"""

import asyncio
import os
import signal
import threading
from typing import Any
from weakref import WeakKeyDictionary, ref

EXIT = 128
"""Added to a signal's number: what shells say of a process that a signal has ended. 143: SIGTERM, 130: SIGINT."""


class Interrupted(KeyboardInterrupt, SystemExit):
    """Ctrl-C: a KeyboardInterrupt for whoever catches one, an exit without a traceback for whoever does not."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code  # which only SystemExit itself would set


class _Signals:
    """The signals of one loop: heeded while a cluster runs in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not the loop itself: it is the key by which this is kept, and would never go.
        self._loop = ref(loop)
        self._tasks: dict[asyncio.Task[Any], int] = {}
        """Those that have started clusters, and how many each."""
        self._before: dict[int, Any] = {}
        self.came: int | None = None
        """The signal that has come."""

    def begin(self, task: asyncio.Task[Any]) -> None:
        """A task starts a cluster."""
        if not self._tasks:
            self.came = None
            self._take()
        self._tasks[task] = self._tasks.get(task, 0) + 1

    def end(self, task: asyncio.Task[Any]) -> None:
        """The cluster of a task has ended."""
        self._tasks[task] -= 1
        if not self._tasks[task]:
            del self._tasks[task]
        if not self._tasks:
            self._give_back()

    def _here(self) -> asyncio.AbstractEventLoop:
        loop = self._loop()
        assert loop is not None, "whoever has begun runs in it"
        return loop

    def _take(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # only there Python lets anybody handle signals
        for number, is_free in ((signal.SIGTERM, _is_free_to_terminate), (signal.SIGINT, _is_asyncios)):
            before = signal.getsignal(number)
            if not is_free(before):
                continue  # whoever has asked for it decides what it means
            try:
                self._here().add_signal_handler(number, self._comes, number)
            except NotImplementedError:
                continue  # a loop that can't, as on Windows
            self._before[number] = before

    def _give_back(self) -> None:
        while self._before:
            number, before = self._before.popitem()
            self._here().remove_signal_handler(number)
            signal.signal(number, before)

    def _comes(self, number: int) -> None:
        tasks = [task for task in self._tasks if not task.done()]
        if self.came is not None or not tasks:
            self._give_back()
            os.kill(os.getpid(), number)
            return
        self.came = number
        for task in tasks:
            task.cancel()


def _is_free_to_terminate(handler: Any) -> bool:
    """Tell whether SIGTERM would just end the process, as Ray's own handler does, and that of the command line."""
    return handler is signal.SIG_DFL or getattr(handler, "__module__", "").startswith(("ray.", "peer.cli."))


def _is_asyncios(handler: Any) -> bool:
    """Tell whether Ctrl-C is `asyncio.run`'s to handle. In a notebook it is not, and interrupts a cell."""
    return getattr(getattr(handler, "func", None), "__qualname__", "") == "Runner._on_sigint"


_OF: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Signals]" = WeakKeyDictionary()


class Watch:
    """What one cluster knows of signals, from its beginning to its end."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._signals = _OF.setdefault(loop, _Signals(loop))
        self._signals.begin(task)

    def end(self, error: BaseException | None) -> None:
        """The cluster has ended, with what its block has raised.

        Raises: SystemExit, or Interrupted, if a signal has ended the block. What else it has raised goes on.
        """
        self._signals.end(self._task)
        came = self._signals.came
        if came is None or not (error is None or isinstance(error, asyncio.CancelledError)):
            return
        raise (Interrupted if came == signal.SIGINT else SystemExit)(EXIT + came) from error
