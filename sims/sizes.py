"""Sizes on the command line: one number, or several with commas."""

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
