"""An asyncio event loop in virtual time: nothing waits, and the same things happen in the same order in every run.

When nothing is ready the loop jumps to its next timer. There are no sockets and no threads: what is meant for a
thread (`asyncio.to_thread`) runs in the loop, a little later. Source: the autojump clock of trio, and madsim.
"""

import asyncio
import gc
from asyncio import BaseEventLoop, Handle, TimerHandle
from collections.abc import Callable
from contextvars import Context
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any

from sims.virtual.chance import AnySpread, Uniform

TURNS_MAX = 500_000
"""Turns of the loop in one instant: more is something that spins and lets no time pass."""
CANCELLED_MAX = 10_000
"""Cancelled timers that may lie about before they are swept out, if they are more than half."""


_Timer = tuple[int, int, TimerHandle | None, Callable[..., object], tuple[Any, ...]]
"""When, a number by which no two are equal, a handle if it may be cancelled, what to call."""
GARBAGE = 100_000
"""Allocations between two searches for garbage while a loop runs: a world keeps most of what it makes, so looking
often costs a fifth of the time and finds little."""


class NothingToDo(RuntimeError):
    """The caller waits, but nothing is ready and nothing is scheduled: it would wait forever."""


class TimeStands(RuntimeError):
    """Something goes on and on without letting any time pass."""


class VirtualLoop(BaseEventLoop):
    """Virtual time, in whole microseconds since the loop was made."""

    def __init__(self, rng: Random | None = None, thread: AnySpread | None = None) -> None:
        """Make a loop at time 0.

        Args:
            rng: decides how long what is meant for a thread takes.
            thread: from the call of a thread to its work, and again from there to its answer.
        """
        super().__init__()
        self.now_us = 0
        self.turns = 0
        """Callbacks run so far: a measure of work that no machine's speed changes."""
        self.failures: list[BaseException] = []
        """What callbacks and forgotten tasks have raised: a simulation must not lose it in a log."""
        self.outside: Any = None
        """The world outside, for tools that run here (`sims.virtual.tools`)."""
        self._rng = rng or Random(0)
        self._thread: AnySpread = thread or Uniform(100, 400)
        self._timers: list[_Timer] = []
        self._number = 0
        self._cancelled = 0
        self._limit_us: int | None = None
        self._instant: Callable[[], bool] | None = None
        self._turns_then = 0
        self.set_exception_handler(self._failed)

    # -- the caller's side -----------------------------------------------------------------------------------------

    def run_to(self, limit_us: int | None, is_enough: Callable[[], bool] | None = None) -> bool:
        """Run until the time is `limit_us` or, after some instant, `is_enough`; return whether that was so.

        Raises: NothingToDo, if there is no limit, and nothing left to happen; TimeStands.
        """
        if is_enough is not None and is_enough():
            return True
        self._limit_us, self._instant, self._was_enough = limit_us, is_enough, False
        before = gc.get_threshold()
        gc.set_threshold(GARBAGE, *before[1:])
        try:
            self.run_forever()
        finally:
            gc.set_threshold(*before)
            self._limit_us, self._instant = None, None
        return self._was_enough

    def run_forever(self) -> None:
        """Run until stopped; also from within another loop, as in a notebook: that one stands still meanwhile."""
        self._turns_then = self.turns
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            super().run_forever()
        finally:
            asyncio._set_running_loop(outer)

    def _check_running(self) -> None:
        # Another loop may run: `run_forever` lets it stand still.
        if self.is_running():
            raise RuntimeError("this virtual loop runs already: World.run was called from within the world")

    # -- time ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now_us / 1e6

    def next_us(self) -> int | None:
        """Return when something is next due, in virtual microseconds; None: nothing is scheduled."""
        if self._ready:  # type: ignore[attr-defined]
            return self.now_us
        return min((due[0] for due in self._timers if due[2] is None or not due[2].cancelled()), default=None)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """Call back at a virtual time in seconds; what is due at one time comes in the order of the calls."""
        return self._push(max(self.now_us, round(when * 1e6)), callback, args, context)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        """Call back after virtual seconds."""
        return self._push(self.now_us + max(0, round(delay * 1e6)), callback, args, context)

    def let(self, at_us: int, callback: Callable[..., object], *args: Any) -> None:
        """Let something happen at a virtual time in microseconds, that nobody will ever want to cancel."""
        self._number += 1
        heappush(self._timers, (max(self.now_us, at_us), self._number, None, callback, args))

    def call_at_us(self, at_us: int, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Call back at a virtual time in microseconds."""
        return self._push(max(self.now_us, at_us), callback, args, None)

    def _push(
        self, at_us: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> TimerHandle:
        self._check_closed()  # type: ignore[attr-defined]
        timer = TimerHandle(at_us / 1e6, callback, args, self, context)
        timer._scheduled = True
        self._number += 1
        heappush(self._timers, (at_us, self._number, timer, callback, args))
        return timer

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        self._cancelled += 1
        if self._cancelled > CANCELLED_MAX and self._cancelled > len(self._timers) // 2:
            self._timers = [entry for entry in self._timers if entry[2] is None or not entry[2].cancelled()]
            heapify(self._timers)
            self._cancelled = 0

    # -- turning ---------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:
        """Run what is ready; if nothing is, jump to the next timer."""
        ready = self._ready  # type: ignore[attr-defined]
        if not ready and not self._jump():
            return
        timers = self._timers
        now_us = self.now_us
        while timers and timers[0][0] <= now_us:
            due = heappop(timers)
            timer = due[2]
            if timer is None:
                ready.append(due)
                continue
            timer._scheduled = False
            if timer._cancelled:
                self._cancelled -= 1
            else:
                ready.append(timer)
        for _ in range(len(ready)):
            handle: Handle | _Timer = ready.popleft()
            if type(handle) is tuple:
                self.turns += 1
                try:
                    handle[3](*handle[4])
                except Exception as error:  # noqa: BLE001  # as a handle does: the world ends with it
                    self.failures.append(error)
            elif not handle._cancelled:  # type: ignore[union-attr]
                self.turns += 1
                handle._run()  # type: ignore[union-attr]
        if self.turns - self._turns_then > TURNS_MAX:
            raise TimeStands(f"{TURNS_MAX} callbacks ran at {self.now_us} us, and no time passed")

    def _jump(self) -> bool:
        """Let time pass up to the next timer; False if the caller has seen enough."""
        if self._instant is not None and self._instant():
            self._was_enough = True
            self.stop()
            return False
        timers = self._timers
        while timers and (timer := timers[0][2]) is not None and timer._cancelled:
            heappop(timers)
            timer._scheduled = False
            self._cancelled -= 1
        at_us = timers[0][0] if timers else None
        if self._limit_us is not None and (at_us is None or at_us > self._limit_us):
            self.now_us = max(self.now_us, self._limit_us)
            self.stop()
            return False
        if at_us is None:
            raise NothingToDo(
                f"at {self.now_us} us nothing is ready and nothing is scheduled, so what is awaited will never come"
            )
        self.now_us = max(self.now_us, at_us)
        self._turns_then = self.turns
        return True

    # -- no sockets, no threads ------------------------------------------------------------------------------------

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run what is meant for a thread in the loop: a little later, and its answer comes later still.

        Whoever is cancelled between the two never learns that it has happened, as with a real thread.
        """
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                answer, error = func(*args), None
            except Exception as caught:  # noqa: BLE001  # it is the caller's, who awaits the future
                answer, error = None, caught
            self.call_at_us(self.now_us + self._thread.draw(self._rng), answered, answer, error)

        def answered(answer: Any, error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

        self.call_at_us(self.now_us + self._thread.draw(self._rng), work)
        return future

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call back in the next turn: there is no other thread."""
        return self.call_soon(callback, *args, context=context)

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(context.get("exception") or RuntimeError(str(context.get("message"))))
