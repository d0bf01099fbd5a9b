"""Lines that hosts print and log are kept in bounded files, and read while they are written."""

import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from peer.agents.whose import WHOSE, Whose, mark_records
from peer.backends import kept_lines
from peer.backends.kept_lines import FOLDER, HostLines, KeptLines, files_in
from peer.backends.output import MarkedLines, kept

BUYER = Whose("buyer", "buyer/1/3", "ext:x#1")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[KeptLines]:
    factory, level = logging.getLogRecordFactory(), logging.getLogger().level
    found = KeptLines(tmp_path, "host-1")
    yield found
    found.end()
    logging.setLogRecordFactory(factory)
    logging.getLogger().setLevel(level)


@contextmanager
def running(whose: Whose) -> Iterator[None]:
    """Have code run for somebody."""
    token = WHOSE.set(whose)
    try:
        yield
    finally:
        WHOSE.reset(token)


def texts(folder: Path) -> list[str]:
    (file,) = files_in(folder)
    return [line["text"] for line in HostLines(file).read()]


def test_a_line_says_whose_it_is_and_when(lines: KeptLines, tmp_path: Path) -> None:
    lines.printed("stdout", "tea", BUYER)
    (line,) = HostLines(files_in(tmp_path)[0]).read()
    assert line.pop("time") > 1e15
    assert line == {
        "host": "host-1", "stream": "stdout", "level": "", "logger": "", "agent": "buyer", "step": "buyer/1/3",
        "lineage": "ext:x#1", "intent": "", "text": "tea",
    }  # fmt: skip


def test_files_are_bounded_and_the_newest_lines_are_kept(
    lines: KeptLines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_lines, "FILE_BYTES_MAX", 2_000)
    for number in range(200):
        lines.printed("stdout", f"line {number}", Whose())
    sizes = [file.stat().st_size for file in (tmp_path / FOLDER).iterdir()]
    assert len(sizes) == kept_lines.FILES_MAX
    assert max(sizes) <= 2_000
    found = texts(tmp_path)
    assert found == [f"line {number}" for number in range(200 - len(found), 200)]
    assert len(found) > 30


def test_whoever_reads_on_misses_nothing_when_a_file_is_full(
    lines: KeptLines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_lines, "FILE_BYTES_MAX", 2_000)
    lines.printed("stdout", "line 0", Whose())
    reader = HostLines(files_in(tmp_path)[0])
    found = [line["text"] for line in reader.read()]
    for number in range(1, 50):
        lines.printed("stdout", f"line {number}", Whose())
        found += [line["text"] for line in reader.read()]
    assert found == [f"line {number}" for number in range(50)]
    reader.close()


def test_half_a_line_waits_for_its_end_and_one_cut_short_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "host-1.jsonl"
    file.write_text('{"text": "a"}\n{"text": "b')
    reader = HostLines(file)
    assert [line["text"] for line in reader.read()] == ["a"]
    with file.open("a") as out:
        out.write('c"}\n{"te\n{"text": "d"}\n')
    assert [line["text"] for line in reader.read()] == ["bc", "d"]
    reader.close()


def test_a_full_disk_ends_nobody_and_what_was_lost_is_counted(
    lines: KeptLines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines.printed("stdout", "before", Whose())
    write = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_lines.os, "write", full)
    for _ in range(3):
        lines.printed("stdout", "lost", Whose())
    monkeypatch.setattr(kept_lines.os, "write", write)
    lines.printed("stdout", "after", Whose())
    assert texts(tmp_path) == ["before", "3 lines before this could not be kept", "after"]


def test_what_is_logged_is_kept_once_with_its_level_and_traceback(lines: KeptLines, tmp_path: Path) -> None:
    mark_records()
    lines.begin()
    out = io.StringIO()
    stream = MarkedLines(out, "host-1", "stderr", lines)
    shows = logging.StreamHandler(stream)
    logger = logging.getLogger("shop.till")
    logger.addHandler(shows)
    logger.setLevel(logging.INFO)
    try:
        with running(BUYER):
            logger.info("sold %s", "tea")
            try:
                raise ValueError("no jam")
            except ValueError:
                logger.exception("nothing")
            logger.debug("not by itself")
            print("printed", file=stream)
    finally:
        logger.removeHandler(shows)
        logger.setLevel(logging.NOTSET)
    found = list(HostLines(files_in(tmp_path)[0]).read())
    assert [(line["level"], line["logger"], line["stream"]) for line in found] == [
        ("INFO", "shop.till", "log"), ("ERROR", "shop.till", "log"), ("", "", "stderr"),
    ]  # fmt: skip
    assert found[0]["text"] == "sold tea"
    assert found[1]["text"].endswith("ValueError: no jam")
    assert {line["step"] for line in found} == {"buyer/1/3"}
    assert out.getvalue().startswith("[buyer/1/3] sold tea\n[buyer/1/3] nothing\n")


def test_records_say_whose_they_are_in_threads_with_the_context_too() -> None:
    mark_records()
    seen: list[Any] = []

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((record.agent, record.step, record.lineage))  # type: ignore[attr-defined]

    logger, handler = logging.getLogger("whose"), Seen()
    logger.addHandler(handler)
    logger.warning("nobody's")
    with running(BUYER):
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(logger.warning, "in a thread"))
        thread.start()
        thread.join()
    logger.removeHandler(handler)
    assert seen == [("", "", ""), ("buyer", "buyer/1/3", "ext:x#1")]


def test_a_process_with_all_hosts_shows_its_lines_as_before(
    lines: KeptLines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with kept(tmp_path):
        with running(BUYER):
            print("half", end=" ")
            print("a line")
        print("oh", file=sys.stderr)
    assert capsys.readouterr() == ("half a line\n", "oh\n")
    assert texts(tmp_path) == ["half a line", "oh"]
