"""Posts what comes to wait for people to the addresses that were given, at least once each, over restarts.

What waits is found by looking: at the start, when hosts say that somebody is asked, and now and then. So nothing hangs
on a notice that was missed, and an escalation is posted when its time has come. What was taken is kept on disk, by an
id that is the same at every look: whoever gets a second copy can tell. What waits no more is posted no longer.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from peer import errors
from peer.cluster.member import Member
from peer.cluster.requests import PendingRequest
from peer.extras import needed
from peer.host.happenings import Missed, Noticed
from peer.serving.kept import Kept
from peer.serving.rows import Row, request_row

logger = logging.getLogger("ebbtide")

LOOK_S = 30.0
"""How often it is looked anyhow."""
AGAIN_S = 2.0
"""How soon after a look that has failed."""
GATHER_S = 0.1
"""How long more is waited for, when somebody is asked, before it is looked."""
POST_S = 10.0
"""How long a receiver may take."""
WAIT_S_MAX = 60.0
"""From one try to the next: by chance up to a second, two, four, and so on up to this."""
AT_ONCE = 4
"""Posts to one address at a time."""
WAITING_MAX = 1_000
"""Posts to one address that wait; the rest is found by a later look."""


class NotTaken(Exception):  # tried again, and told
    """A receiver has not taken a post."""


def checked_urls(urls: list[str]) -> list[str]:
    """Return the addresses of receivers. Raises: ConfigInvalid, for what is none."""
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.ConfigInvalid(f"--webhook {url!r} is no http:// or https:// address. Nothing was started.")
    return list(dict.fromkeys(urls))


def calls_of(each: PendingRequest, now_us: int) -> Iterator[Row]:
    """Yield what is posted of something that waits: when it comes, and each time that others are asked."""
    row, is_rollback = request_row(each), each.tool == "rollback"
    times = sorted({after_us for _, after_us in each.stages} or {0})
    for after_us in times:
        if each.since_us + after_us > now_us:
            return
        asked = [name for name, at_us in each.stages if at_us == after_us]
        said = f"{each.agent}\0{each.name}\0{each.step}\0{after_us}"
        kind = "rollback" if is_rollback else "question" if each.kind == "person" else "approval"
        yield {
            "id": blake2b(said.encode(), digest_size=16).hexdigest(),
            "kind": kind,
            "is_reminder": after_us > 0,
            "asked": asked,
            **{name: row[name] for name in ("agent", "request", "step", "tool", "question", "options")},
            **{name: row[name] for name in ("since_us", "until_us", "since", "until")},
        }


class Webhooks:
    """Posts what waits to each address; one that does not answer holds up nobody.

    Args:
        cluster: is asked what waits.
        urls: the addresses.
        told: the ids that were taken, each with the address.
    """

    def __init__(self, cluster: Member, urls: list[str], told: Kept) -> None:
        self._cluster = cluster
        self._urls = urls
        self._told = told
        self._posting: dict[str, asyncio.Task[None]] = {}
        """By address and id, what is being posted."""
        self._room = {url: asyncio.Semaphore(AT_ONCE) for url in urls}
        self._silent: set[str] = set()
        """Addresses of which people were told that they take nothing."""
        self._wake = asyncio.Event()
        self._httpx: Any = needed("httpx", "A webhook", "serve")

    async def run(self) -> None:
        """Look and post, until cancelled."""
        async with self._httpx.AsyncClient(timeout=POST_S) as client:
            watching = asyncio.create_task(self._watch())
            try:
                while True:
                    wait_s = await self._look(client)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), wait_s)
                        await asyncio.sleep(GATHER_S)
                    self._wake.clear()
            finally:
                tasks = [watching, *self._posting.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        """Look again as soon as hosts say that somebody is asked."""
        while True:
            try:
                async with self._cluster.watch(["notices"]) as happenings:
                    async for happening in happenings:
                        if isinstance(happening, Missed) or (
                            isinstance(happening, Noticed) and happening.notice in ("asked", "approved", "rejected")
                        ):
                            self._wake.set()
            except errors.EbbtideError as error:
                logger.warning("what waits for people is looked for every %g s only: %s", LOOK_S, error)
            await asyncio.sleep(LOOK_S)

    async def _look(self, client: Any) -> float:
        """Begin to post what waits and was not posted; return after how many seconds to look again."""
        now_us = self._cluster.host.clock.now_us()
        try:
            waiting = [row for each in await self._cluster.inbox() for row in calls_of(each, now_us)]
        except errors.EbbtideError as error:
            logger.warning("what waits for people can't be told now: %s", error)
            return AGAIN_S
        except Exception:
            logger.exception("what waits for people can't be told now")
            return LOOK_S
        wanted = {f"{_digest(url)}/{row['id']}": (url, row) for row in waiting for url in self._urls}
        for name in [name for name in self._told.names() if name not in wanted]:
            self._told.drop(name)
        for name in [name for name in self._posting if name not in wanted]:
            self._posting.pop(name).cancel()
        self._told.tidy(now_us)
        counts = dict.fromkeys(self._urls, 0)
        for name, (url, _) in wanted.items():
            counts[url] += name in self._posting
        for name, (url, row) in wanted.items():
            if name not in self._told and name not in self._posting and counts[url] < WAITING_MAX:
                counts[url] += 1
                self._posting[name] = asyncio.create_task(self._post(client, name, url, row))
        return LOOK_S

    async def _post(self, client: Any, name: str, url: str, row: Row) -> None:
        body = msgspec.json.encode(row)
        headers = {"content-type": "application/json", "idempotency-key": row["id"]}
        try:
            async for attempt in AsyncRetrying(
                wait=wait_random_exponential(multiplier=1, max=WAIT_S_MAX),
                retry=retry_if_exception_type((NotTaken, self._httpx.HTTPError, OSError)),
                after=lambda state: self._failed(url, state),
            ):
                with attempt:
                    async with self._room[url]:
                        answer = await client.post(url, content=body, headers=headers)
                    if not answer.is_success:
                        raise NotTaken(f"it says {answer.status_code}")
                    await self._told.add(name)
            if url in self._silent:
                self._silent.discard(url)
                logger.warning("webhook %s takes posts again", shown(url))
        except Exception:
            logger.exception("webhook %s: what waits can't be posted", shown(url))
        finally:
            if self._posting.get(name) is asyncio.current_task():
                del self._posting[name]

    def _failed(self, url: str, state: RetryCallState) -> None:
        if url not in self._silent and state.outcome is not None:
            self._silent.add(url)
            logger.warning(
                "webhook %s takes nothing, and is tried again: %s", shown(url),
                state.outcome.exception() or "no reason",
            )  # fmt: skip


def shown(url: str) -> str:
    """Return an address without what may be a secret in it."""
    parts = urlsplit(url)
    place = parts.hostname or ""
    return urlunsplit((parts.scheme, f"{place}:{parts.port}" if parts.port else place, parts.path, "", ""))


def _digest(url: str) -> str:
    return blake2b(url.encode(), digest_size=8).hexdigest()
