"""Damaged logs: whatever can be read is told, and what can't is named, and is never just not there."""

import json
import random
import shutil
from pathlib import Path

import pytest
from shop import played
from typer.testing import CliRunner, Result

from peer.audit import cli, read_trail
from peer.audit.follow import Follower
from peer.audit.formats import FORMATS
from peer.store import writing

TRIALS, PARTS = 240, 6


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with several segments a host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "SEGMENT_BYTES", 2_500)
        folder = played(tmp_path_factory.mktemp("gaps")).folder
    assert all(len(list((folder / f"host-{number}" / "log").glob("*.seg"))) > 1 for number in (1, 2, 3))
    return folder


def log(*arguments: object) -> Result:
    return CliRunner().invoke(cli.group, [str(argument) for argument in arguments])


def rows(*arguments: object) -> tuple[list[str], int, str]:
    """Return the lines, the exit code and what was said besides."""
    done = log(*arguments)
    assert done.exit_code in (0, 3), done.output
    return done.stdout.splitlines(), done.exit_code, done.stderr


def damage(run: Path, rng: random.Random) -> str:
    """Flip a bit, or put zeros or noise over a stretch, somewhere in one segment."""
    file = rng.choice(sorted(run.rglob("*.seg")))
    data = bytearray(file.read_bytes())
    at, length = rng.randrange(len(data)), rng.choice([1, 1, 1, 1, 40, 600])
    kind = rng.choice(["flip", "flip", "flip", "zero", "cut"])
    if kind == "flip":
        for place in range(at, min(at + length, len(data))):
            data[place] ^= 1 << rng.randrange(8)
    elif kind == "zero" and any(data[at : at + length]):
        data[at : at + length] = bytes(len(data[at : at + length]))
    else:
        del data[at : at + length]
    file.write_bytes(data)
    return f"{file.relative_to(run)}: {kind} {length} at {at}"


@pytest.mark.parametrize("part", range(PARTS))
def test_damage_is_told_or_every_row_is_there(whole: Path, tmp_path: Path, part: int) -> None:
    run, partial = tmp_path / "run", 0
    before = rows("show", whole, "--json")[0]
    for seed in range(part, TRIALS, PARTS):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole, run)
        what = f"seed {seed}: {damage(run, random.Random(seed))}"
        assert log("verify", run).exit_code == 1 or "cut short" in log("verify", run).stdout, what
        told, code, said = rows("show", run, "--json")
        if code == 0:
            assert (told, said) == (before, ""), what
            continue
        partial += 1
        assert "damaged: host-" in said, what
        assert "backup" in said, what
        # What is told was in the log; what undid it may be among what is not told.
        known = {json.loads(line)["step"] for line in before}
        assert {json.loads(line)["step"] for line in told} <= known, what
    assert partial > TRIALS // PARTS // 4


@pytest.mark.parametrize("format_", FORMATS)
def test_exports_of_damaged_logs_say_so(whole: Path, tmp_path: Path, format_: str) -> None:
    done = log("export", whole, tmp_path / "before", "--format", format_)
    assert (done.exit_code, done.stderr) == (0, "")
    partial = 0
    for seed in range(12):
        run, out = tmp_path / f"run-{seed}", tmp_path / f"out-{seed}"
        shutil.copytree(whole, run)
        what = f"seed {seed}: {damage(run, random.Random(seed))}"
        done = log("export", run, out, "--format", format_)
        names = sorted(file.name for file in out.iterdir())
        assert names == sorted(FORMATS[format_].files), what
        if done.exit_code == 0:
            same = [(tmp_path / "before" / name).read_bytes() == (out / name).read_bytes() for name in names]
            assert all(same), what
            continue
        partial += 1
        assert done.exit_code == 3, done.output
        assert "damaged: host-" in done.stderr, what
    assert partial > 1


def hurt(whole: Path, tmp_path: Path) -> Path:
    """Damage the middle of cashier's log, so that its end is told."""
    shutil.copytree(whole, tmp_path / "run")
    for at in range(300, 2_000, 8):
        file = tmp_path / "run" / "host-2" / "log" / "00000001.seg"
        data = bytearray((whole / "host-2" / "log" / "00000001.seg").read_bytes())
        data[at] ^= 1
        file.write_bytes(data)
        if any(gap.agent == "cashier" and gap.last is not None for gap in read_trail(tmp_path / "run").gaps):
            return tmp_path / "run"
    raise AssertionError("no byte holds a record of cashier's")


def test_what_is_behind_the_damage_is_told_and_from_where_to_where_it_reaches(whole: Path, tmp_path: Path) -> None:
    run = hurt(whole, tmp_path)
    trail = read_trail(run)
    (gap,) = trail.gaps
    last = max(step.number for step in trail.of("cashier"))
    assert (gap.host, gap.agent) == ("host-2", "cashier")
    assert gap.first <= (gap.last or 0) < last
    assert str(run / "host-2" / "log" / "00000001.seg") in gap.why


@pytest.mark.parametrize(
    "command", [("show",), ("show", "--json"), ("why",), ("why", "--json"), ("cone",), ("cone", "--json")]
)
def test_every_command_that_tells_steps_says_so(whole: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    run = hurt(whole, tmp_path)
    name, *flags = command
    done = log(name, *([] if name == "show" else ["buyer/1/1"]), run, *flags)
    assert done.exit_code == 3
    assert "damaged: host-2: of the log of cashier record" in done.stderr
    assert "buyer/1/1" in done.stdout
    if flags and name != "show":
        assert [gap["agent"] for gap in json.loads(done.stdout)["gaps"]] == ["cashier"]


def test_follow_goes_on_behind_the_damage_and_says_so(whole: Path, tmp_path: Path) -> None:
    run = hurt(whole, tmp_path)
    every = {one.id for one in Follower(whole, from_start=True).look() if one.agent == "cashier"}
    done = log("follow", run, "--from-start", "--until-idle", 0)
    assert done.exit_code == 3
    assert done.stderr.count("of the log of cashier") == 1
    told = [event["id"] for event in map(json.loads, done.stdout.splitlines()) if event["source"] == "cashier"]
    assert 0 < len(told) < len(every)
    assert told[-1] in every


def test_a_host_that_is_not_there_is_missed(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "host-2")
    for command in (("show", "--json"), ("export", str(tmp_path / "out"), "--format", "cloudevents")):
        done = log(command[0], tmp_path / "run", *command[1:])
        assert done.exit_code == 3
        assert "damaged: host-2: its log is not in" in done.stderr
        assert "so what cashier did is not told" in done.stderr
    assert log("show", tmp_path / "run" / "host-1", "--json").exit_code == 0
