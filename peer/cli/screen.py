"""Where commands print for people: what a terminal would obey is shown, and not done."""

from typing import Any

from rich.console import Console
from rich.text import Text

_OBEYED = (
    *range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0),  # controls: escapes move the cursor, and clear
    *range(0x202A, 0x202F), *range(0x2066, 0x206A),  # these turn the order of what is read around
)  # fmt: skip
_NO_CHARACTERS = range(0xD800, 0xE000)
_SHOWN = {code: ascii(chr(code))[1:-1] for code in (*_OBEYED, *_NO_CHARACTERS)}


def harmless(text: str) -> str:
    """Return a text as a terminal may have it: controls, but for line ends and tabs, are written as Python does.

    Agents and strangers write much of what people look at. An escape in it could draw over the question that somebody
    is about to answer; half a character can't be printed at all.
    """
    return text.translate(_SHOWN)


class Screen(Console):
    """A console that shows all texts harmlessly."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as it is printed."""
        return super().render_str(harmless(text), **options)
