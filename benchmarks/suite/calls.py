"""Ray alone, to compare with: calls from one actor to another, and what an actor takes. Needs a Ray that is up."""

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.suite.form import Setting
from peer.backends import ray_address
from peer.backends.ray_import import ray
from peer.errors import BackendFailed
from sims.scale.memory import rss_bytes


class Catcher:
    """An actor that counts what it is called with."""

    def __init__(self) -> None:
        self.caught = 0

    def catch(self, ballast: bytes) -> int:
        """Count one."""
        self.caught += 1
        return len(ballast)

    def rss_bytes(self) -> int:
        """Return what this actor's process takes."""
        return rss_bytes()


class Thrower:
    """An actor that calls another one."""

    def throw(self, catcher: Any, at_once: int, size: int, seconds: float) -> float:
        """Keep so many calls under way; return how many were answered a second."""
        ballast = bytes(size)
        waiting = [catcher.catch.remote(ballast) for _ in range(at_once)]
        answered, began = 0, time.monotonic()
        while time.monotonic() < began + seconds:
            done, waiting = ray.wait(waiting, num_returns=1)
            answered += len(done)
            waiting += [catcher.catch.remote(ballast) for _ in done]
        return answered / (time.monotonic() - began)


@contextmanager
def joined(setting: Setting) -> Iterator[None]:
    """Join the cluster's Ray, or start one, for all that is measured meanwhile: it takes seconds to start.

    Raises: BackendFailed, if there is none at that address.
    """
    options: dict[str, Any] = {"address": setting.address}
    if not setting.address:
        # Not what Ray would find by itself: a Ray that runs here for others.
        options = {"address": "local", "num_cpus": 2, "include_dashboard": False}
    elif setting.address != "auto":
        # Ray itself waits a minute for one that does not answer.
        ray_address.probe(setting.address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, configure_logging=False, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        ray.shutdown()
        raise BackendFailed(ray_address.told(setting.address or None, error)) from error
    finally:
        # Ray's own ends the process with a crash dump, or a code that says nothing.
        signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


def _actor(kind: type) -> Any:
    remote: Any = ray.remote(num_cpus=0)
    return remote(kind).remote()


def calls_per_s(at_once: int, size: int, seconds: float) -> float:
    """Return the calls a second from one Ray actor to another, answers included."""
    catcher, thrower = _actor(Catcher), _actor(Thrower)
    ray.get(catcher.catch.remote(b""))
    per_s: Any = ray.get(thrower.throw.remote(catcher, at_once, size, seconds))
    for each in (catcher, thrower):
        ray.kill(each)
    return per_s


def actors(count: int) -> tuple[float, float]:
    """Start so many actors; return how many came up a second, and the resident bytes of one."""
    ray.get(_actor(Catcher).catch.remote(b""))
    began = time.monotonic()
    made = [_actor(Catcher) for _ in range(count)]
    sizes = ray.get([each.rss_bytes.remote() for each in made])
    seconds = time.monotonic() - began
    for each in made:
        ray.kill(each)
    return count / seconds, sum(sizes) / count
