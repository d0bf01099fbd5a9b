"""Tools that ask an HTTP service, by httpx (extra `http`): keyed by the intent, taken back by a second request.

What the answer says is told apart from what nobody knows: a refusal (4xx, or no connection) has not happened. No
answer, or another one, may mean that it has, so the lookup is asked.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from string import Formatter
from typing import Any, Unpack
from urllib.parse import quote

from peer.adapters.options import NoAnswer, Options, keyed, told
from peer.adapters.retry_after import seconds_to_wait
from peer.agents.tool import PURE, Call, Happened, NotHappened, Tool, Unknown, tool
from peer.errors import DeclarationRefused
from peer.extras import needed

WAIT_S = 1.0
"""Waited after 429 and 503 where the server does not say for how long."""
SHOWN_CHARS = 200
"""Of an answer, in an error."""
_GONE = frozenset({404, 410})


@dataclass(frozen=True)
class Undo:
    """The request that takes another one back. A 404 or 410 means that there is nothing left to take back."""

    method: str
    url: str
    """A template, as of `request`; it may name the answer's members too: `/orders/{answer[id]}`."""
    body: Callable[[Call], Any] | None = None
    """Returns what is sent as JSON; its call's `result` is the answer."""


@dataclass(frozen=True)
class Lookup:
    """The GET that tells whether a request took effect: 2xx, it did, and returned this; 404 or 410, it did not.

    It is believed: whoever answers 404 must not carry out the request later.
    """

    url: str
    """A template, as of `request`; it may name the key of the call too: `/orders/by-key/{key}`."""
    stands: Callable[[Any], bool] | None = None
    """Takes the answer's body and tells whether the effect stands: `lambda order: order["state"] != "cancelled"`."""


@dataclass(frozen=True)
class _Wants:
    """A request, and how it is tried again."""

    name: str
    method: str
    url: str
    key_header: str | None
    tries: int
    wait_max_s: float


def request(
    name: str, client: Callable[[], Any], method: str, url: str, *, undo: Undo | None = None,
    lookup: Lookup | None = None, kind: str | None = None, key_header: str | None = "Idempotency-Key", tries: int = 3,
    wait_max_s: float = 30.0, scope: str = "", **options: Unpack[Options],
) -> Tool[..., Any]:  # fmt: skip
    """Return a tool that makes a request.

    It is called with a body, sent as JSON, if there is one, and the names of the template:
    `await ctx.call(order, {"item": "tea"}, shop="north")`. It returns a dict: `status`, `body` (of JSON what that
    holds, else the text, None if it is empty) and `location` (that header, or None).

    Args:
        name: what logs call the tool.
        client: opens an `httpx.AsyncClient`, kept in a variable of its module, as
            `partial(httpx.AsyncClient, base_url=...)`. Its `timeout` bounds each try.
        method: such as `POST`.
        url: a template of what is added to the client's base: `/shops/{shop}/orders`. Values are quoted.
        undo: takes it back.
        lookup: tells whether it took effect, after a crash or where no answer came. Without one nobody can tell.
        kind: as of any tool, where there is no undo: of a GET `pure`, of a PUT mostly `idempotent`.
        key_header: carries the call's key. None, if the service knows no such header; then only a 429 is tried again.
        tries: at most, where the service answers 429 or 503, or not at all.
        wait_max_s: seconds for which it is waited between two tries at most. A service that asks for more (Retry-After)
            is not asked again.
        scope: set before the intent in the key: needed where several clusters ask one service.
        options: timeout (seconds), retry, concurrency: as of any tool.

    The handler gets `ToolFailed` where the service has refused, with its status and the beginning of its answer.

    Raises: ConfigInvalid, if httpx is not installed; DeclarationRefused, as `tool` does, or for bad `tries`.
    """
    httpx = needed("httpx", "HTTP", "http")
    if type(tries) is not int or tries < 1 or not wait_max_s >= 0:
        raise DeclarationRefused(f"tool {name}: tries={tries!r}, wait_max_s={wait_max_s!r}: an int from 1 on, seconds")
    wants = _Wants(name, method.upper(), url, key_header, tries, wait_max_s)
    shared: dict[str, Any] = {"kind": kind, "name": name, "resources": {"client": client}, **options}

    if kind == PURE:

        async def read(body: Any = None, /, *, client: Any, **names: Any) -> Any:
            return _told(await _asked(httpx, client, wants, _filled(url, names), body, None))

        return tool(**shared)(read)

    async def call(body: Any = None, /, *, intent: str, client: Any, **names: Any) -> Any:
        return _told(await _asked(httpx, client, wants, _filled(url, names), body, keyed(scope, intent)))

    async def take_back(call: Call, *, client: Any) -> None:
        if undo is not None:
            await _taken_back(httpx, client, wants, undo, lookup, call, keyed(scope, call.intent))

    async def check(call: Call, *, client: Any) -> Happened | NotHappened | Unknown:
        return await _looked_up(client, lookup, call, keyed(scope, call.intent)) if lookup else Unknown()

    return tool(undo=take_back if undo else None, check=check if lookup else None, **shared)(call)


class Refused(NotHappened):
    """The service has said no, by a status."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.status = status


class _Quoting(Formatter):
    """Fills templates; no value can leave its place in a path."""

    def format_field(self, value: Any, format_spec: str) -> str:
        said = quote(format(value, format_spec), safe="")
        if said in ("", ".", ".."):
            raise ValueError(f"{value!r} can't be a part of a path")
        return said


def _filled(template: str, names: Mapping[str, Any]) -> str:
    try:
        return _Quoting().vformat(template, (), names)
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise NotHappened(
            f"{template} can't be filled from {', '.join(map(repr, names)) or 'no names'}: {told(error)}"
        ) from error


async def _asked(httpx: Any, client: Any, wants: _Wants, url: str, body: Any, key: str | None) -> Any:
    """Make a request, and return an answer that is no refusal.

    Raises: NotHappened, if it is known that nothing has happened; NoAnswer, if nobody can tell.
    """
    headers = {} if wants.key_header is None or key is None else {wants.key_header: key}
    may_repeat = bool(headers) or wants.method in ("GET", "HEAD")
    doubt, status = "", 0
    for left in range(wants.tries - 1, -1, -1):
        try:
            answer = await client.request(wants.method, url, json=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            said, status, is_sent, wait_s = told(error), 0, False, None
        except httpx.TransportError as error:
            said, status, is_sent, wait_s = told(error), 0, True, None
        else:
            if answer.is_success:
                return answer
            said = f"{answer.status_code} {answer.text[:SHOWN_CHARS]}".strip()
            wait_s = seconds_to_wait(answer.headers.get("Retry-After"), answer.headers.get("Date"))
            status = answer.status_code
            # A redirection may be how it says that it has done it.
            is_sent = not 400 <= status < 500
            if status not in (429, 503):
                left = 0
        where = f"{wants.method} {url}: {said}"
        # What may have happened at one try is not denied by another one's refusal.
        doubt = doubt or (where if is_sent else "")
        if wait_s is not None and wait_s > wants.wait_max_s:
            where, left = f"{where} (it asks to wait {wait_s:g} s, more than {wants.wait_max_s:g} s)", 0
        if not left or (doubt and not may_repeat):
            raise NoAnswer(doubt) if doubt else Refused(where, status)
        await asyncio.sleep(min(WAIT_S, wants.wait_max_s) if wait_s is None else wait_s)
    raise NotHappened(f"{wants.method} {url} was not tried")  # there is one try at least


async def _taken_back(
    httpx: Any, client: Any, wants: _Wants, undo: Undo, lookup: Lookup | None, call: Call, key: str
) -> None:
    if call.result is None and lookup is not None:
        found = await _looked_up(client, lookup, call, key)
        if isinstance(found, NotHappened):
            return
        if isinstance(found, Happened):
            call = Call(call.intent, call.args, call.kwargs, found.result)
    if call.result is None and "{answer" in undo.url:
        raise NoAnswer(
            f"{undo.url} wants the call's answer, which nobody knows. Look, then settle {call.intent} by hand"
        )
    url = _filled(undo.url, {**call.kwargs, "key": key, "answer": (call.result or {}).get("body")})
    back = _Wants(wants.name, undo.method.upper(), url, wants.key_header, wants.tries, wants.wait_max_s)
    try:
        await _asked(httpx, client, back, url, undo.body(call) if undo.body else None, f"{key}:undo")
    except Refused as error:
        if error.status not in _GONE:
            raise


async def _looked_up(client: Any, lookup: Lookup, call: Call, key: str) -> Happened | NotHappened | Unknown:
    answer = await client.get(_filled(lookup.url, {**call.kwargs, "key": key}))
    if answer.status_code in _GONE:
        return NotHappened()
    if not answer.is_success:
        return Unknown()
    found = _told(answer)
    if lookup.stands is not None and not lookup.stands(found["body"]):
        return NotHappened()
    return Happened(found)


def _told(answer: Any) -> dict[str, Any]:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    is_json = kind == "application/json" or kind.endswith("+json")
    body = answer.text or None
    if is_json and body is not None:
        # What calls itself JSON and is none is a text: the request has been carried out all the same.
        with suppress(ValueError):
            body = answer.json()
    return {"status": answer.status_code, "body": body, "location": answer.headers.get("Location")}
