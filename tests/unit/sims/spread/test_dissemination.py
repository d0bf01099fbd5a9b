"""The measurements of `ebbtide gossip`: within what docs/protocol.md expects, the same for the same seed."""

import json
from dataclasses import replace

from typer.testing import CliRunner

from peer.cli.main import app
from sims.spread.checkpoint_costs import measure_checkpoints
from sims.spread.dissemination import STAGES, measure


def test_what_is_measured_is_what_the_formulas_expect() -> None:
    stages: list[str] = []
    row = measure(40, seed=3, entered=stages.append)
    assert tuple(stages) == STAGES
    assert row.spread_s_median <= 0.3
    # Whom no rumour reaches, a comparison does.
    assert row.spread_s_max <= 1.3
    assert (40).bit_length() - 1 <= row.spread_copies_per_host <= (40).bit_length() + 2
    assert row.same_bytes <= 30
    assert row.one_differs_frames <= 5
    assert 2.9 <= row.idle_frames_per_host_s <= 3.1
    assert row.detect_s_first <= row.detect_s_all <= 20
    assert row.lossy_false_alarms == 0
    assert measure(40, seed=3) == row
    assert measure(40, seed=4) != replace(row, seed=4)


def test_a_checkpoint_costs_a_host_a_logarithm_of_frames_with_a_bit_for_each_host() -> None:
    small, large = measure_checkpoints(10, seed=1), measure_checkpoints(160, seed=1)
    assert small.rounds < large.rounds < small.rounds + 12
    assert small.frames_per_host < large.frames_per_host < small.frames_per_host + 25
    # A bit for each host of the view: 20 bytes for 160, 2 for 10.
    assert large.tally_bytes - small.tally_bytes == 20 - 2
    assert large.commits_per_host < 2
    assert measure_checkpoints(10, seed=1) == small


def test_the_command_prints_rows_and_says_what_it_wants() -> None:
    result = CliRunner().invoke(app, ["gossip", "--hosts", "3, 5", "--json"])
    assert result.exit_code == 0, result.output
    assert [row["hosts"] for row in json.loads(result.stdout)] == [3, 5]
    assert [row["checkpoint"]["hosts"] for row in json.loads(result.stdout)] == [3, 5]
    result = CliRunner().invoke(app, ["gossip", "--hosts", "5"])
    assert "everywhere" in result.stdout
    assert "rounds until all know" in result.stdout
    result = CliRunner().invoke(app, ["gossip", "--hosts", "5,10", "--checkpoints"])
    assert result.exit_code == 0
    assert "everywhere" not in result.stdout
    assert "rounds until all know" in result.stdout
    result = CliRunner().invoke(app, ["gossip", "--hosts", "two"])
    assert result.exit_code == 2
    assert "is not a list of" in " ".join(result.output.replace("│", "").split())
