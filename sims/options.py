"""Options that several commands take: sizes, and the folder where results go.

A folder is looked at before the work that fills it, so that no minutes of it are lost.
"""

from pathlib import Path
from tempfile import TemporaryFile

import typer


def sizes(text: str, option: str, least: int, most: int) -> tuple[int, ...]:
    """Return the numbers, in order and each once.

    Raises: BadParameter, naming the option, if one is none, or out of bounds.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and least <= int(part) <= most for part in parts):
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers from {least} to {most:,}, as in 100,1000", param_hint=option
        )
    return tuple(sorted({int(part) for part in parts}))


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
