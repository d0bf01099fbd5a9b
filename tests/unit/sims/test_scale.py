"""What grows with agents and hosts, measured in small; the epidemic of arrays against the hosts' own machines."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from peer.cli.main import app
from sims.cli.main import group
from sims.scale import clocks, cones, crowd, spreads
from sims.spread.epidemic import Epidemic


def test_a_crowd_works_makes_checkpoints_and_rolls_back_at_the_same_time() -> None:
    row = crowd.crowd(60, virtual_s=2.5)
    assert row.agents == 60
    assert row.hosts == 2
    assert row.steps > 60
    assert row.peer_events > row.steps
    assert row.checkpoints >= 2
    assert row.rollbacks == crowd.ROLLBACKS
    assert row.undone_max >= 2
    assert row.rollback_messages_median >= 2
    assert row.rss_bytes > 0


def test_a_rollbacks_messages_follow_its_cone_and_not_the_number_of_agents() -> None:
    few, many = (list(cones.cone_rows(agents, (0, 1, 2))) for agents in (40, 120))
    assert [row.cone for row in few] == [1, 4, 13]
    assert [row.messages for row in few] == [row.messages for row in many] == [2, 14, 50]


def test_shorter_epochs_make_shorter_clocks() -> None:
    short, long = (clocks.clocks("epoch", 60, 4, epoch_s) for epoch_s in (0.1, 1.0))
    assert short.messages > 50
    assert short.entries_mean < long.entries_mean <= long.entries_max <= 60
    assert short.clock_bytes_mean < long.clock_bytes_mean


@pytest.mark.parametrize("hosts", [60, 400])
def test_arrays_spread_news_as_the_machines_of_hosts_do(hosts: int) -> None:
    exact, modelled = spreads.exact(hosts), spreads.modelled(hosts)
    assert modelled.copies == pytest.approx(exact.copies, rel=0.1)
    # A wait of the gossip is 0.1 s; a host that every rumour misses is told by a comparison.
    assert modelled.seconds_median == pytest.approx(exact.seconds_median, abs=0.1)


def test_an_epidemic_is_the_same_for_the_same_seed_and_reaches_all() -> None:
    one, same, other = (Epidemic(5000).spread(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert one.hosts == 5000
    assert 0 < one.seconds_half < one.seconds


def test_rounds_grow_as_the_logarithm_of_the_hosts() -> None:
    hops = [Epidemic(hosts).spread(np.random.default_rng(1)).hops_median for hosts in (100, 10_000, 1_000_000)]
    assert hops[0] < hops[1] < hops[2] <= hops[0] + 12


def test_whom_loss_keeps_the_news_from_a_comparison_tells() -> None:
    lossy = Epidemic(2000, loss=0.6).spread(np.random.default_rng(3))
    assert lossy.missed > 0
    assert lossy.seconds > Epidemic(2000).spread(np.random.default_rng(3)).seconds


def test_cuts_take_more_rounds_among_more_hosts() -> None:
    few, many = spreads.cuts(5), spreads.cuts(40)
    assert few.cut_rounds < few.commit_rounds < many.commit_rounds


def test_the_command_prints_rows_and_writes_plots(tmp_path: Path) -> None:
    arguments = ["scale", "--agents", "20", "--hosts", "5", "--arrays", "50", "--out", str(tmp_path), "--json"]
    done = CliRunner().invoke(group, [*arguments, "--parts", "cones,spreads,cuts"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed == json.loads((tmp_path / "scale.json").read_text())
    assert [row["how"] for row in printed["spreads"]] == ["machines", "arrays"]
    assert {file.name for file in tmp_path.iterdir()} == {"scale.json", "scale.md", "cones.svg", "spreads.svg"}
    assert "![a rollback of a tree of steps](cones.svg)" in (tmp_path / "scale.md").read_text()
    shown = CliRunner().invoke(app, ["sim", *arguments[:-1], "--parts", "cones"])
    assert "a rollback of a tree of steps" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--parts", "crowd,rain"], "no part 'rain'"), (["--agents", "many"], "'many' is not a list of numbers")],
)
def test_the_command_says_what_it_wants(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(group, ["scale", *arguments])
    assert done.exit_code == 2
    assert says in " ".join(done.output.replace("│", "").split())
