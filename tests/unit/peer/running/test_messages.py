"""What people write on the command line is JSON, or else a text."""

from typing import Any

import pytest

from peer.running.messages import plain_or_text

TEXTS = {
    "number": ("4", 4),
    "object": ('{"a": [1]}', {"a": [1]}),
    "text": ("by ship", "by ship"),
    "too deep": ("[" * 100_000, "[" * 100_000),
    "too many digits": ("9" * 5_000, "9" * 5_000),
}


@pytest.mark.parametrize(("text", "value"), TEXTS.values(), ids=TEXTS)
def test_what_is_no_json_that_can_be_read_is_a_text(text: str, value: Any) -> None:
    assert plain_or_text(text) == value
