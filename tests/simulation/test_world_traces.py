"""What a world writes for other people's tools: ShiViz, Perfetto, Catapult."""

import json
from itertools import pairwise
from pathlib import Path

from sims.engine.trace import SHIVIZ_PATTERN
from sims.workload import Workload
from sims.world import World


def test_traces_are_written_for_other_tools(tmp_path):
    with World(seed=1, hosts=2, agents_per_host=2) as world:
        world.populate(Workload(inputs=20, failing=0.0), "ring")
        world.run(until=0.3)
        world.propose(next(record.step for record in world.steps() if record.input.producer is not None))
        world.crash("host-1")
        world.settle()
        world.check()
        world.export_shiviz(tmp_path / "log.txt")
        world.export_chrome(tmp_path / "trace.json")
        table = world.metrics()
        steps = len(world.steps())
    log = (tmp_path / "log.txt").read_text().splitlines()
    clocks = [(line.split(" ", 1)[0], json.loads(line.split(" ", 1)[1])) for line in log[::2]]
    for agent in ("a0", "a1", "a2", "a3"):
        own = [clock[agent] for name, clock in clocks if name == agent]
        assert own == list(range(1, len(own) + 1))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == steps == table[table.kind == "agent"].steps.sum()
    assert any(event["name"] == "crash" for event in events)
    assert check_chrome(events) > steps / 2
    handled = [event["args"]["message"] for event in events if event["ph"] == "f"]
    assert len(set(handled)) < len(handled), "no message ran again"
    assert table[table.kind == "host"].lives.sum() == 3
    assert len(table[table.kind == "proposal"]) == 1
    assert table[table.kind == "proposal"].latency_ms.iloc[0] > 0


def test_the_page_has_what_shiviz_is_to_be_told():
    page = (Path(__file__).parents[2] / "docs/simulator.md").read_text(encoding="utf-8")
    assert f"```text\n{SHIVIZ_PATTERN}\n```" in page


def check_chrome(events):
    """Check what the importers of Perfetto and of Catapult ask for; return how many flows are bound."""
    declared = {(e["name"], e["pid"], e["tid"] if e["name"] == "thread_name" else 0) for e in events if e["ph"] == "M"}
    slices = {}
    for event in events:
        assert ("process_name", event["pid"], 0) in declared
        if event["ph"] == "X":
            assert ("thread_name", event["pid"], event["tid"]) in declared
            slices.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for track in slices.values():
        track.sort()
        assert all(begin < end for begin, end in track)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(track)), "slices overlap"
    flows = {}
    for event in events:
        if event["ph"] in "sf":
            assert isinstance(event["id"], int)
            assert event["ph"] not in flows.setdefault(event["id"], {}), "a flow begins or ends twice"
            flows[event["id"]][event["ph"]] = event["ts"]
            at = [1 for begin, end in slices[event["pid"], event["tid"]] if begin < event["ts"] < end]
            assert len(at) == 1, "a flow is bound to no slice"
    assert all(ends.keys() == {"s", "f"} and ends["s"] <= ends["f"] for ends in flows.values())
    return len(flows)
