"""Keys, models, scores and reasons with commas, quotes, line ends and all else that a format may trip over."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas
import prov
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from peer import Agent, Call, Cluster, Context, Result, handles, tool
from peer.audit import read_trail
from peer.audit.cli import group
from peer.audit.formats import FORMATS, write
from peer.audit.tables import COLUMNS

KEYS = ("a,b", 'q"uote', "new\nline", "tab\t", "cr\r\nlf", "😀 é", "=1+1", "nul\0", "semi;", "\u2028", "NaN")
MODEL, REASON, SCORE = 'm,"1"\n@2 😀', 'because, "it"\nwas wrong \u2029', 'odd score, "x"\r'


def refund(call: Call) -> None:
    del call


@tool(undo=refund)
def pay(amount: int) -> int:
    return amount


class Odd(Agent):
    spaces = ("s",)

    @handles(str)
    async def go(self, message: str, ctx: Context) -> None:
        if message == "plain":
            self.state["k"] = 1
            return
        for key in KEYS:
            self.state[key] = self.state.get(key, 0)
        ctx.report(confidence=0.5, model=MODEL, **{SCORE: 1.5})
        ctx.space("s").counter('c,"\n').add(1)
        await ctx.call(pay, 1)
        ctx.send("bé", "plain")


async def play(folder: Path, message: str) -> Path:
    async with Cluster("local", folder=folder, agents_per_actor=2) as cluster:
        for name in ("a", "bé"):
            await cluster.spawn(name, Odd)
        await cluster.submit("a", message)
        await cluster.quiet()
        if message == "odd":
            await cluster.rollback("a/1/1", inputs="retry", reason=REASON)
            await cluster.quiet()
    return folder


def exported(name: str, folder: Path, out: Path) -> Path:
    written = write(name, folder, out, lambda at, of: None, lambda at, of: None)
    assert (written.notes, written.gaps) == ([], [])
    return out


def strictly(text: str) -> Any:
    """Read JSON that is one: without NaN and Infinity, which Python takes and others refuse."""

    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refused)


async def test_tables_hold_every_text_as_it_was_in_parquet_and_as_csv(tmp_path: Path) -> None:
    run = await play(tmp_path / "run", "odd")
    parquet, text = exported("parquet", run, tmp_path / "parquet"), exported("csv", run, tmp_path / "csv")
    for name, columns in COLUMNS.items():
        frame = pandas.read_parquet(parquet / f"{name}.parquet")
        assert list(frame.columns) == list(columns)
        with (text / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(frame)
        for column in (column for column, kind in columns.items() if kind == "string"):
            assert [row[column] for row in rows] == frame[column].fillna("").tolist(), (name, column)
    writes = pandas.read_parquet(parquet / "writes.parquet")
    assert set(writes[writes.step == "a/1/1"].key) == {*KEYS, 'space:s/c,"\n'}
    steps = pandas.read_parquet(parquet / "steps.parquet").set_index("step")
    assert (steps.loc["a/1/1", "model"], steps.loc["a/1/1", "undone_reason"]) == (MODEL, REASON)
    assert set(pandas.read_parquet(parquet / "scores.parquet").name) == {SCORE}


async def test_a_table_has_the_same_types_whatever_is_in_it(tmp_path: Path) -> None:
    odd, plain = await play(tmp_path / "odd", "odd"), await play(tmp_path / "plain", "plain")
    folders = [exported("parquet", run, tmp_path / f"{run.name}-out") for run in (odd, plain)]
    for name in COLUMNS:
        one, other = (pyarrow.parquet.read_schema(folder / f"{name}.parquet") for folder in folders)
        assert one.equals(other), name
    sends = [pyarrow.parquet.read_table(folder / "sends.parquet").num_rows for folder in folders]
    assert sends[0] > sends[1] == 0


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("csv", "parquet")])
async def test_json_is_json_and_a_line_is_a_line(name: str, tmp_path: Path) -> None:
    run = await play(tmp_path / "run", "odd")
    out = exported(name, run, tmp_path / "out")
    for file in sorted(out.iterdir()):
        text = file.read_bytes().decode()
        lines = text.split("\n")[:-1] if file.suffix == ".jsonl" else [text]
        found = [strictly(line) for line in lines]
        assert found or file.stem == "checkpoints"
    if name == "prov":
        document: Any = prov.read(str(out / "prov.json"), format="json")
        steps = {str(step) for step in read_trail(run).steps}
        assert len(steps) == len([record for record in document.get_records() if "step:" in str(record.identifier)])


@tool(kind="irreversible")
def wire(amount: int) -> int:
    return amount


class Clerk(Agent):
    @handles(int)
    async def pay(self, message: int, ctx: Context) -> None:
        ctx.request(wire, message, then=self.paid)
        ctx.ask_person("is that right?", then=self.paid)
        ctx.after(100_000, "later")

    @handles(str)
    async def paid_late(self, message: str, ctx: Context) -> None:
        pass

    async def paid(self, result: Result, ctx: Context) -> None:
        pass


async def test_why_tells_of_a_step_that_has_requested_what_no_time_lets_go(tmp_path: Path) -> None:
    async with Cluster("local", folder=tmp_path) as cluster:
        await cluster.spawn("clerk", Clerk)
        await cluster.submit("clerk", 1)
        await cluster.quiet()
    done = CliRunner().invoke(group, ["why", "clerk/1/1", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.output.count("keep till it is let go") == 2
    assert done.output.count("set a timer, due") == 1
