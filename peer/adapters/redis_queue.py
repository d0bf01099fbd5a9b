"""Queues as Redis streams, by redis-py (extra `redis`): the entry and its key are written by one script, or neither."""

from typing import Any

from peer.adapters.queues import LATE
from peer.agents.tool import NotHappened
from peer.errors import DeclarationRefused
from peer.extras import needed

CANCELLED = "-"
"""Stands for the name of an entry, where that was cancelled."""

_APPEND = """
local name = redis.call('GET', KEYS[2])
if name then return name end
name = redis.call('XADD', KEYS[1], '*', 'key', ARGV[1], 'body', ARGV[2])
redis.call('SET', KEYS[2], name)
if ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
return name
"""

# An entry was handed out if a group of consumers has come as far.
_CANCEL = """
local name = redis.call('GET', KEYS[2])
local function place(text)
    local ms, number = string.match(text, '(%d+)-(%d+)')
    return tonumber(ms), tonumber(number)
end
local function is_out(name)
    if ARGV[3] == '1' or redis.call('EXISTS', KEYS[1]) == 0 then return true end
    local ms, number = place(name)
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
        for at = 1, #group, 2 do
            if group[at] == 'last-delivered-id' then
                local group_ms, group_number = place(group[at + 1])
                if group_ms > ms or (group_ms == ms and group_number >= number) then return true end
            end
        end
    end
    return false
end
if name and name ~= '-' and (is_out(name) or redis.call('XDEL', KEYS[1], name) == 0) then
    redis.call('XADD', KEYS[1], '*', 'key', ARGV[1], 'cancels', name)
end
redis.call('SET', KEYS[2], '-')
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
"""


class RedisQueue:
    """A stream of Redis, or of a server that speaks its language: a resource, `partial(RedisQueue, url, "orders")`.

    An entry has the fields `key` and `body`; one that cancels another has `key` and `cancels`, the other's name.
    Beside the stream lies a key for each call (`{orders}:key:...`), by which it is known again.

    Args:
        url: where the server is: `redis://host:6379/0`, `rediss://...`, `unix:///...`.
        stream: its name.
        keep_s: seconds after which a call's key is dropped. 0: never. A call that comes again after that is appended
            again, and one is not undone any more: give more than what a rollback may reach back.
        plain_readers: somebody reads without a group of consumers, which leaves no trace: so every undo appends an
            entry that cancels, and none is removed.
        wait_s: seconds for which an answer is waited for.

    Raises: ConfigInvalid, if redis-py is not installed; DeclarationRefused, for bad `keep_s`.
    """

    def __init__(
        self, url: str, stream: str, *, keep_s: float = 0.0, plain_readers: bool = False, wait_s: float = 10.0
    ) -> None:
        redis = needed("redis", "a queue of Redis", "redis")
        if not keep_s >= 0:
            raise DeclarationRefused(f"RedisQueue({stream!r}): keep_s={keep_s!r}: seconds, or 0 for ever")
        self._client: Any = redis.Redis.from_url(url, socket_timeout=wait_s, socket_connect_timeout=wait_s)
        self._stream = stream
        self._keep_ms = int(keep_s * 1_000)
        self._plain_readers = plain_readers
        self._append = self._client.register_script(_APPEND)
        self._cancel = self._client.register_script(_CANCEL)

    def __enter__(self) -> "RedisQueue":
        """See that the server answers. Raises: redis.RedisError."""
        self._client.ping()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._client.close()

    def append(self, key: str, body: bytes) -> str:
        """As of `Queue`. Raises: NotHappened; redis.RedisError, if nobody can tell."""
        name = self._append(keys=self._keys(key), args=[key, body, self._keep_ms]).decode()
        if name == CANCELLED:
            raise NotHappened(f"entry of {key}: {LATE}")
        return name

    def find(self, key: str) -> str | None:
        """As of `Queue`. Raises: redis.RedisError."""
        name = self._client.get(self._keys(key)[1])
        return None if name is None or name.decode() == CANCELLED else name.decode()

    def cancel(self, key: str) -> None:
        """As of `Queue`. Raises: redis.RedisError."""
        self._cancel(keys=self._keys(key), args=[key, self._keep_ms, int(self._plain_readers)])

    def _keys(self, key: str) -> list[str]:
        # In braces: on a cluster of servers both lie on one.
        return [self._stream, f"{{{self._stream}}}:key:{key}"]
