"""Threads for user code that would hold the loop: plain handlers, plain tools, undos and checks.

Each kind of agent has pools of its own, so that what hangs holds up its own kind alone, and never the host: looking at
state, gossip and the log go on. The threads are daemons: a program that ends does not wait for them.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

logger = logging.getLogger("ebbtide")

THREADS_MAX = 64
"""Of one pool. Beyond that calls wait: that many at once, of one kind of agent, mostly means that they hang."""
LINE_EVERY_S = 60.0
"""How soon after a line that says that all threads are taken there may be another."""

_Job = tuple["Future[Any]", Callable[[], Any]]


_ALL: "WeakSet[Threads]" = WeakSet()


def _forked() -> None:
    """In a child of a fork no thread of its parent runs: pools begin anew, else their jobs would wait for ever."""
    for pool in list(_ALL):
        pool._begin()


os.register_at_fork(after_in_child=_forked)


class Threads(Executor):
    """A pool of daemon threads, begun as they are needed."""

    def __init__(self, name: str, most: int = THREADS_MAX) -> None:
        self.name = name
        self.most = most
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        self.count = 0
        """Threads so far; none ends."""
        self._jobs: deque[_Job] = deque()
        self._free = 0
        """Threads that wait for a job, or are about to."""
        self._change = threading.Condition()
        self._next_line_s = 0.0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Run something in a thread; it waits while all are taken.

        Raises: RuntimeError, if there is none, and none can be begun.
        """
        future: Future[Any] = Future()
        with self._change:
            self._jobs.append((future, lambda: fn(*args, **kwargs)))
            if len(self._jobs) <= self._free:
                self._change.notify()
            elif self.count == self.most or not self._grow():
                if not self.count:
                    self._jobs.pop()
                    raise RuntimeError(f"no thread can be begun for {self.name}. Nothing was called.")
                if monotonic() >= self._next_line_s:
                    self._next_line_s = monotonic() + LINE_EVERY_S
                    logger.warning(
                        "all %s threads of %s are taken: calls wait for one to return", self.count, self.name
                    )
        return future

    def _grow(self) -> bool:
        """Begin one more thread; False if the machine has none left for this process."""
        try:
            threading.Thread(target=self._work, name=f"{self.name}-{self.count + 1}", daemon=True).start()
        except RuntimeError:
            return False
        self.count += 1
        self._free += 1
        return True

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._jobs:
                    self._change.wait()
                future, work = self._jobs.popleft()
                self._free -= 1
            if not future.set_running_or_notify_cancel():
                self._rests()
                continue
            value, error = None, None
            try:
                value = work()
            except BaseException as caught:  # noqa: BLE001  # whoever awaits it has it
                error = caught
            # Before it is told: whoever hears of it may come with the next job at once.
            self._rests()
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
            del future, work, value, error

    def _rests(self) -> None:
        with self._change:
            self._free += 1


class _Ended(NamedTuple):
    """What came of a call; errors travel as values, since some can't be raised through a future."""

    value: Any
    error: BaseException | None


_POOLS: "WeakKeyDictionary[type, dict[str, Threads]]" = WeakKeyDictionary()
HOUSE = Threads("ebbtide")
"""For the runtime's own work: no user code ever waits in it."""


def pool_of(kind: type, purpose: str) -> Threads:
    """Return the pool of a class of agents for a purpose, such as its handlers."""
    pools = _POOLS.setdefault(kind, {})
    if purpose not in pools:
        pools[purpose] = Threads(f"{kind.__name__}.{purpose}")
    return pools[purpose]


async def in_thread(pool: Threads, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function in a pool's thread, with the caller's context variables; return or raise what it does.

    Whoever is cancelled meanwhile learns nothing more of it; the function goes on.
    """
    context = copy_context()

    def call() -> _Ended:
        try:
            return _Ended(context.run(function, *args, **kwargs), None)
        except BaseException as error:  # noqa: BLE001  # raised where it is awaited
            return _Ended(None, error)

    ended: _Ended = await asyncio.get_running_loop().run_in_executor(pool, call)
    if ended.error is not None:
        raise ended.error
    return ended.value
