"""What single formats need besides: an extra of the package, imported only when it is used."""

from importlib import import_module
from typing import Any

from peer.errors import ConfigInvalid


def needed(module: str, what: str) -> Any:
    """Import a module of the extra.

    Raises: ConfigInvalid, naming the module, what it is for, and the remedy.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigInvalid(
            f"{what} needs the Python package {module.split('.')[0]!r}, which is not installed ({error})."
            " Nothing was written. pip install 'ebbtide[audit]'"
        ) from error
