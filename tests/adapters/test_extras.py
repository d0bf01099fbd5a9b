"""Whoever lacks a client library is told which, what for, and how to get it."""

import sys
from functools import partial

import pytest

from peer.adapters import http, options
from peer.adapters.postgres import Postgres
from peer.adapters.redis_queue import RedisQueue
from peer.errors import ConfigInvalid
from peer.extras import needed


@pytest.mark.parametrize(
    ("make", "package", "extra"),
    [
        (lambda: http.request("look", dict, "GET", "/", kind="pure"), "httpx", "http"),
        (lambda: Postgres("dbname=books"), "psycopg", "postgres"),
        (lambda: RedisQueue("redis://localhost", "orders"), "redis", "redis"),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, make: partial[object], package: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package] + [package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ConfigInvalid, match=rf"'{package}', which is not installed .* pip install 'ebbtide\[{extra}\]'"
    ):
        make()


def test_a_library_that_is_there_is_returned_and_errors_are_one_line() -> None:
    assert needed("json", "this", "none").loads("1") == 1
    assert options.told(ValueError("a\n b")) == "ValueError: a b"
    assert options.told(ValueError()) == "ValueError"
