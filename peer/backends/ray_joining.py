"""Joins a Ray that runs, for a moment."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from peer import errors
from peer.backends import ray_address
from peer.backends.ray_import import ray


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Be a program of a Ray's.

    Raises: BackendFailed, in one line.
    """
    if address != "auto":
        ray_address.probe(address)
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
    except Exception as error:
        ray.shutdown()
        raise errors.BackendFailed(ray_address.told(address, error)) from error
    try:
        yield
    finally:
        ray.shutdown()
