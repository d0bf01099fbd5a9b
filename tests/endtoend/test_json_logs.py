"""Logs as JSON, an object a line: of `ebbtide up`, and of hosts that are processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.commands import EBBTIDE, HERE, LOCAL, Run

ENDS = Path(__file__).parent / "ends"


def read(line: str) -> dict[str, Any]:
    """Return what a line says; nothing, if it is none of ours."""
    return json.loads(line) if line.startswith("{") else {}


def test_up_logs_as_json_what_agents_and_hosts_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run", capsys, monkeypatch)
    program = subprocess.Popen(
        [EBBTIDE, "up", HERE / "corner_shop.py", *LOCAL, "--log", "json"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert program.stdout is not None
        assert any(line == "the shop is open\n" for line in program.stdout)
        run.do("submit", "cashier", "--", "-1")
        assert program.stderr is not None
        lines = []
        for line in program.stderr:
            lines.append(read(line))
            if lines[-1].get("notice") == "dead-letter":
                break
        assert {name: lines[-1][name] for name in ("agent", "level", "logger")} == {
            "agent": "cashier", "level": "INFO", "logger": "ebbtide"}  # fmt: skip
        assert lines[-1]["subject"].startswith("ext:")
        failed, *_ = [line for line in lines if "a handler failed" in line.get("text", "")]
        assert (failed["agent"], failed["level"]) == ("cashier", "WARNING")
        assert failed["step"].startswith("cashier/1/")
    finally:
        program.kill()
        program.wait()


def test_another_form_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "run", capsys, monkeypatch)
    assert "'xml' is none of text, json" in run.do("up", HERE / "corner_shop.py", *LOCAL, "--log", "xml", code=2)


@pytest.mark.ray
def test_hosts_on_ray_log_as_json_with_their_names(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "talk.py", "ray", tmp_path / "died"], cwd=ENDS, capture_output=True, text=True, timeout=120,
        env=os.environ | {"EBBTIDE_LOG": "json"}, check=True,
    )  # fmt: skip
    lines = [found for line in done.stderr.splitlines() if (found := read(line))]
    (logged,) = [line for line in lines if line["text"] == "logged 3"]
    assert {name: logged[name] for name in ("host", "agent", "step", "level", "logger")} == {
        "host": "host-1", "agent": "talker", "step": "talker/1/3", "level": "INFO", "logger": "talker"}  # fmt: skip
