"""Virtual time: nothing waits, order is kept, and what would wait forever says so."""

import asyncio
import time
from random import Random

import pytest

from sims.virtual.chance import Constant, Exponential, LogNormal, Pareto, Uniform
from sims.virtual.clock import EPOCH_US, VirtualClock
from sims.virtual.loop import NothingToDo, TimeStands, VirtualLoop


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.close()


def test_a_day_passes_in_no_time_and_what_is_due_together_keeps_its_order(loop):
    seen = []
    began = time.monotonic()

    async def sleeper(name):
        await asyncio.sleep(86_400)
        seen.append((name, loop.time()))

    async def everyone():
        await asyncio.gather(*(sleeper(name) for name in range(100)))

    loop.run_until_complete(everyone())
    assert seen == [(name, 86_400.0) for name in range(100)]
    assert time.monotonic() - began < 10


def test_whoever_waits_for_what_never_comes_is_told(loop):
    with pytest.raises(NothingToDo, match="nothing is scheduled"):
        loop.run_until_complete(loop.create_future())


def test_who_lets_no_time_pass_is_stopped(loop, monkeypatch):
    monkeypatch.setattr("sims.virtual.loop.TURNS_MAX", 1000)

    def again():
        loop.call_soon(again)

    loop.call_soon(again)
    with pytest.raises(TimeStands):
        loop.run_to(None)


def test_running_to_a_time_leaves_what_comes_later(loop):
    seen = []
    loop.call_at(1.0, seen.append, "one")
    loop.call_at(2.0, seen.append, "two")
    assert not loop.run_to(1_500_000)
    assert (seen, loop.time()) == (["one"], 1.5)
    assert loop.run_to(None, lambda: len(seen) == 2)
    assert loop.time() == 2.0


def test_a_cancelled_timer_never_rings_and_is_swept_out(loop, monkeypatch):
    monkeypatch.setattr("sims.virtual.loop.CANCELLED_MAX", 10)
    seen = []
    for number in range(100):
        timer = loop.call_later(1 + number, seen.append, number)
        if number != 50:
            timer.cancel()
    assert len(loop._timers) < 60
    loop.run_to(200_000_000)
    assert seen == [50]


def test_a_thread_runs_in_the_loop_and_answers_later(loop):
    def work():
        return loop.now_us

    async def ask():
        at_us = await asyncio.to_thread(work)
        return at_us, loop.now_us

    worked_us, answered_us = loop.run_until_complete(ask())
    assert 0 < worked_us < answered_us


def test_a_cancelled_threads_work_may_have_happened(loop):
    done = []

    async def ask():
        await asyncio.to_thread(done.append, "effect")

    task = loop.create_task(ask())
    loop.run_to(None, lambda: bool(done))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert done == ["effect"]


def test_what_a_callback_raises_is_kept(loop):
    loop.call_soon(lambda: 1 / 0)
    loop.run_to(10)
    assert isinstance(loop.failures[0], ZeroDivisionError)


@pytest.mark.parametrize(("skew_us", "drift_ppm"), [(0, 0), (5_000_000, 0), (-700, 300), (12_345, -4_000)])
def test_a_wrong_clock_wakes_when_it_shows_the_time(loop, skew_us, drift_ppm):
    clock = VirtualClock(loop, skew_us, drift_ppm)
    loop.run_to(3_000_000)
    shown = []
    for ahead_us in (0, 1, 999, 123_456, 7_000_000):
        at_us = clock.now_us() + ahead_us
        clock.wake(at_us, lambda at_us=at_us: shown.append((at_us, clock.now_us())))
    loop.run_to(20_000_000)
    assert len(shown) == 5
    for at_us, now_us in shown:
        assert at_us <= now_us <= at_us + 1
    assert clock.now_us() - EPOCH_US - skew_us == 20_000_000 + 20_000_000 * drift_ppm // 1_000_000


def test_distributions_are_what_they_say():
    rng = Random(1)
    draws = {
        spread: sorted(spread.draw(rng) for _ in range(2000))
        for spread in (Constant(7), Uniform(10, 20), Exponential(1000), LogNormal(1000, 1.0), Pareto(100, 1.1, 10**6))
    }
    assert set(draws[Constant(7)]) == {7}
    assert (draws[Uniform(10, 20)][0], draws[Uniform(10, 20)][-1]) == (10, 20)
    assert 900 < sum(draws[Exponential(1000)]) / 2000 < 1100
    assert 900 < draws[LogNormal(1000, 1.0)][1000] < 1100
    heavy = draws[Pareto(100, 1.1, 10**6)]
    assert heavy[0] >= 100
    assert heavy[-1] > 50 * heavy[1000]
