"""Ebbtide: agents that take a step back together. This is the module to import from: `from ebbtide import Agent`.

The runtime lies in the packages `peer` and `protocol` beside this file. Their names are common ones. If Python finds
somebody else's package under one of them, importing this module fails and says so, before anything is half imported.
"""

import os
import sys
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path


def _check_neighbours() -> None:
    """Check that `peer` and `protocol` are the ones that belong to this file.

    Raises: ImportError, naming both places and the remedy.
    """
    here = os.path.realpath(Path(__file__).parent)
    for name in ("peer", "protocol"):
        own, found = os.path.join(here, name, "__init__.py"), _place_of(name)
        if found is None:
            raise ImportError(
                f"Ebbtide's package {name!r} is missing: Python finds none. It belongs at {own}, beside {__file__}."
                " Install Ebbtide again: pip install --force-reinstall ebbtide",
                name=name,
            )
        if (
            os.path.realpath(os.path.dirname(os.path.dirname(found))) != here
            or os.path.basename(found) != "__init__.py"
        ):
            raise ImportError(
                f"Ebbtide needs its own package {name!r}, at {own}. But 'import {name}' finds another one first,"
                f" at {found}. If that file is yours, rename it. If another distribution installed it,"
                f" use a virtual environment that has Ebbtide and not {_distributions(name)}.",
                name=name,
                path=found,
            )
        if not _is_ours(found):
            raise ImportError(
                f"Ebbtide's package {name!r}, beside {__file__}, was overwritten: {found} is not Ebbtide's file."
                f" Another distribution installs a package of that name: {_distributions(name)}."
                " Uninstall that one, then pip install --force-reinstall ebbtide; or use two virtual environments.",
                name=name,
                path=found,
            )


def _place_of(name: str) -> str | None:
    """Return the file that a top-level import would run, or its folder if there is no file, or None."""
    try:
        spec = find_spec(name)
    except ValueError:  # it is in sys.modules, and nobody knows whence
        return str(getattr(sys.modules[name], "__file__", None) or sys.modules[name])
    if spec is None:
        return None
    return spec.origin if spec.has_location else next(iter(spec.submodule_search_locations or ()), None)


def _is_ours(file: str) -> bool:
    """Return whether a package's first file says that it is Ebbtide's; what can't be read is believed."""
    try:
        return Path(file).read_bytes().startswith(b'"""Ebbtide')
    except OSError:
        return True


def _distributions(name: str) -> str:
    """Return which other distributions install a package of that name, for people."""
    others = sorted({found for found in packages_distributions().get(name, ()) if found != "ebbtide"})
    return ", ".join(others) or "that one"


_check_neighbours()

import peer  # noqa: E402
from peer import *  # noqa: E402, F403

__all__: list[str] = []
__all__ += peer.__all__


def main() -> None:
    """Run the command line: the console command `ebbtide`."""
    from peer.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
