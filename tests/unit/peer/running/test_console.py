"""Tables of commands are for people: what is very long is cut, and said to be."""

import pytest

from peer.running.console import CHARS_MAX, table


def test_a_long_text_in_a_list_is_cut_in_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table([{"args": ["short", "x" * 100_000]}], ("args",), "nothing")
    out = capsys.readouterr().out
    assert "short" in out
    assert "(100,000 characters)" in out.replace("\n", "")
    assert out.count("x") == CHARS_MAX
