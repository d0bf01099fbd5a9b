"""Where results go: looked at before the work that makes them, so that no minutes of it are lost."""

from pathlib import Path
from tempfile import TemporaryFile

import typer


def writable(folder: Path, option: str = "--out") -> None:
    """Make a folder, unless it is there, and see whether files can be written to it.

    Raises: BadParameter, naming the option.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise typer.BadParameter(
            f"nothing can be written to {str(folder)!r} ({error.strerror}). Nothing was run; give another folder.",
            param_hint=option,
        ) from error
