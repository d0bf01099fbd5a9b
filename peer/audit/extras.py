"""What single formats need besides: an extra of the package, imported only when it is used."""

from typing import Any

from peer import extras


def needed(module: str, what: str) -> Any:
    """Import a module of the extra.

    Raises: ConfigInvalid, naming the module, what it is for, and the remedy.
    """
    return extras.needed(module, what, "audit", "Nothing was written.")
