"""What agents and strangers have written is shown on a terminal, which obeys none of it."""

import io

import pytest
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from peer.cli.screen import Screen, harmless

ODD = {
    "clears the screen": ("\x1b[2J", r"\x1b[2J"),
    "sets the title": ("\x1b]0;t\x07", r"\x1b]0;t\x07"),
    "eight bits": ("\x9b2J", r"\x9b2J"),
    "back to the line's start": ("pay 1\rpay 9", r"pay 1\rpay 9"),
    "nul": ("a\0b", r"a\x00b"),
    "right to left": ("\u202e9 yap", r"\u202e9 yap"),
    "half a character": ("\ud800", r"\ud800"),
    "markup": ("[red]x[/]", "[red]x[/]"),
    "letters": ("é 😀 日本", "é 😀 日本"),
}


@pytest.mark.parametrize(("given", "shown"), ODD.values(), ids=ODD)
def test_a_terminal_obeys_no_text(given: str, shown: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    screen = Screen(file=out, width=80, force_terminal=False, emoji=False)
    table, tree = Table(), Tree(escape(given))
    table.add_column("what")
    table.add_row(escape(given))
    for each in (table, tree):
        screen.print(each)
    screen.print(given, markup=False, highlight=False)
    out.flush()
    lines = out.buffer.getvalue().decode().splitlines()
    assert sum(shown in line for line in lines) == 3, lines
    assert not any(control in line for line in lines for control in "\x1b\x9b\0\r\u202e")


def test_lines_and_tabs_stay() -> None:
    assert harmless("a\n\tb") == "a\n\tb"
