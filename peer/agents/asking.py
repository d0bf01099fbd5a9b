"""What a host lends tools that ask others: a stand-in, until a host lends the real thing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from peer import errors

Ask = Callable[[str, str, bytes], Awaitable[bytes]]
"""Asks something of an agent's host: the agent, what, and with what; `peer.host.questions` has the forms."""


@asynccontextmanager
async def asking() -> AsyncIterator[Ask]:
    """Stand for what a host lends: a way to ask whichever agent's host."""
    raise errors.ResourceFailed("no host lends this")
    yield
