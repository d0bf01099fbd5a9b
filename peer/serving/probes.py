"""What probes and Prometheus ask over HTTP: whether all is well, and numbers.

`/healthz` and `/readyz` answer whoever asks, and say no more than why not. `/metrics` names hosts and counts what they
do, so it wants a signature as all else does, unless whoever serves says that it need not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from peer import errors
from peer.cluster.attached import Attached
from peer.cluster.standing import DOWN, hosts, names_of
from peer.extras import needed
from peer.observing.prometheus import exposition
from peer.serving.door import SCHEME, Door, Refused, look_act
from peer.store.probing import write_s

logger = logging.getLogger("ebbtide")

T = TypeVar("T")

ANSWER_S = 2.0
"""How long a host may take to say how it is: who probes does not wait for long, either."""
FRESH_S = 1.0
"""For so long an answer serves all who ask: those who ask often, or many at once, cost the hosts no more than one."""
NAMED = 12
"""Reasons that are told at most."""


class Verdict(NamedTuple):
    """Whether all is well, and why not."""

    whys: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Tell whether there is nothing to say against it."""
        return not self.whys


class _Shared(Generic[T]):
    """What was found out lately, for all who ask."""

    def __init__(self, look: Callable[[], Awaitable[T]]) -> None:
        self._look = look
        self._task: asyncio.Task[T] | None = None
        self._until = 0.0

    async def get(self) -> T:
        """Return it; found out anew, if that was not done lately, once for all who wait."""
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now >= self._until):
            self._task = asyncio.ensure_future(self._look())
            self._task.add_done_callback(self._found)
        return await asyncio.shield(self._task)

    def _found(self, task: asyncio.Task[T]) -> None:
        self._until = asyncio.get_running_loop().time() + FRESH_S
        if not task.cancelled():
            task.exception()  # whoever waits is told; if nobody does any more, nobody has to be


class Probes:
    """Answers probes and Prometheus.

    Args:
        cluster: whose hosts are asked.
        door: lets in those who have signed.
        open_metrics: `/metrics` is for those too who have not.
    """

    def __init__(self, cluster: Attached, door: Door, open_metrics: bool) -> None:
        self._cluster = cluster
        self._door = door
        self._open_metrics = open_metrics
        self._alive, self._ready = _Shared(self._look_alive), _Shared(lambda: readiness(cluster))
        self._numbers = _Shared(self._measure)

    def routes(self) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        """Return what answers, by path."""
        return {"healthz": self._health, "readyz": self._readiness, "metrics": self._metrics}

    async def _health(self, request: Any) -> Any:
        return _told(await self._alive.get())

    async def _readiness(self, request: Any) -> Any:
        return _told(await self._ready.get())

    async def _metrics(self, request: Any) -> Any:
        response = needed("starlette.responses", "People over HTTP", "serve").Response
        try:
            if not self._open_metrics:
                self._door.who(request.headers.get("authorization", ""), look_act("metrics", request.url.query))
            found = await self._numbers.get()
            return response(found.body, 200, {"content-type": found.content_type})
        except Refused as error:
            text = f"{error.text} Or serve with --open-metrics."
            body = msgspec.json.encode({"error": error.error, "text": text})
            return response(body, error.status, {"www-authenticate": SCHEME}, "application/json")
        except errors.EbbtideError as error:
            body = msgspec.json.encode({"error": type(error).__name__, "text": str(error)})
            return response(body, 503, None, "application/json")

    async def _measure(self) -> Any:
        names, found = names_of(self._cluster), await self._cluster.measures(timeout_s=ANSWER_S)
        told = {
            names.get(host, host): None if isinstance(each, errors.EbbtideError) else each
            for host, each in found.items()
        }
        return exposition(told)

    async def _look_alive(self) -> Verdict:
        """Look at this process alone: that it answers, and that what people say can be kept."""
        try:
            await asyncio.to_thread(write_s, self._cluster.folder)
        except OSError as error:
            logger.warning("%s can't be written: %s", self._cluster.folder, error)
            return Verdict(("the cluster's folder can't be written",))
        return Verdict(())


async def readiness(cluster: Attached) -> Verdict:
    """Tell whether every host of a cluster is up, with all of its agents, and takes inputs; in few words why not."""
    names, whys = names_of(cluster), list[str]()
    for row in hosts(cluster):
        if row["state"] == DOWN:
            whys.append(f"{row['host']} is down")
    found = await cluster.health(timeout_s=ANSWER_S)
    if not found and not whys:
        whys.append("there are no agents")
    for host, each in found.items():
        name = names.get(host, host)
        if isinstance(each, errors.EbbtideError):
            whys.append(f"{name} does not answer")
        else:
            whys += [f"{name}: {why}" for why in each.in_short()]
    return Verdict(tuple(whys))


def _told(verdict: Verdict) -> Any:
    response = needed("starlette.responses", "People over HTTP", "serve").Response
    body: dict[str, Any] = {"status": "ok" if verdict.is_well else "failing"}
    if verdict.whys:
        more = len(verdict.whys) - NAMED
        body["why"] = [*verdict.whys[:NAMED], *([f"and {more} more"] if more > 0 else [])]
    return response(
        msgspec.json.encode(body), 200 if verdict.is_well else 503, {"cache-control": "no-store"}, "application/json"
    )
