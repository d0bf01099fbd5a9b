"""Client libraries and servers of single uses: each is an extra of the package, imported only when it is used."""

from importlib import import_module
from typing import Any

from peer.errors import ConfigInvalid


def needed(module: str, what: str, extra: str, remark: str = "Nothing was done.") -> Any:
    """Import a module of an extra.

    Args:
        module: its name, dotted.
        what: what it is for, as the subject of a sentence.
        extra: the extra of this package that brings it.
        remark: what did not happen, for the error.

    Raises: ConfigInvalid, naming the module, what it is for, and the remedy.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigInvalid(
            f"{what} needs the Python package {module.split('.')[0]!r}, which is not installed ({error})."
            f" {remark} pip install 'ebbtide[{extra}]'"
        ) from error
