"""Log records as JSON: an object a line, with what is known of a record and no more."""

import json
import logging
from collections.abc import Iterator

import pytest

from peer.agents.whose import WHOSE, Whose, mark_records
from peer.errors import ConfigInvalid
from peer.observing.json_lines import VARIABLE, JsonLines, is_json


@pytest.fixture(autouse=True)
def _marked() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    mark_records()
    yield
    logging.setLogRecordFactory(before)


def line(text: str, *args: object, process: str = "host-1", **more: object) -> dict[str, object]:
    record = logging.getLogger("shop").makeRecord("shop", logging.INFO, __file__, 1, text, args, None, extra=more)
    return json.loads(JsonLines(process).format(record))


def test_a_record_says_whose_it_is_and_leaves_out_what_is_not_known() -> None:
    token = WHOSE.set(Whose("till", "till/1/3", "ext:a#1"))
    try:
        found = line("sold for %d", 4)
    finally:
        WHOSE.reset(token)
    assert found.pop("time")
    assert found == {
        "level": "INFO", "logger": "shop", "host": "host-1", "agent": "till", "step": "till/1/3", "lineage": "ext:a#1",
        "text": "sold for 4",
    }  # fmt: skip
    assert set(line("we open", process="")) == {"time", "level", "logger", "text"}


def test_a_notice_names_its_host_its_agent_and_its_subject() -> None:
    about = {"host": "0a0b", "whose": "till", "notice": "dead-letter", "subject": "ext:a#1"}
    found = line("till: dead-letter ext:a#1 too dear", process="", **about)
    assert {name: found[name] for name in ("host", "agent", "notice", "subject")} == {
        "host": "0a0b", "agent": "till", "notice": "dead-letter", "subject": "ext:a#1"}  # fmt: skip


def test_what_has_several_lines_is_one_line_and_a_traceback_a_field() -> None:
    formatter = JsonLines()
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "two\nlines", (), (type(error), error, None))
    text = formatter.format(record)
    assert "\n" not in text
    assert json.loads(text)["error"] == "ValueError"
    assert json.loads(text)["text"] == "two\nlines"


def test_arguments_that_do_not_fit_are_told_all_the_same() -> None:
    assert "TypeError" in str(line("%d of them", "many")["text"])


def test_another_form_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_json()
    monkeypatch.setenv(VARIABLE, "json")
    assert is_json()
    assert not is_json("text")
    monkeypatch.setenv(VARIABLE, "xml")
    with pytest.raises(ConfigInvalid, match=r"'xml' is none of text, json"):
        is_json()
