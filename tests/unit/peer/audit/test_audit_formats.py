"""Each format against its standard, and all of them against the trail."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import prov
import prov.model
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from kept import Kept, step_of
from shop import Scene

from peer.audit import Trail
from peer.audit.events import happenings
from peer.audit.extras import needed
from peer.audit.formats import FORMATS, write
from peer.audit.tables import COLUMNS
from peer.audit.telling import moment
from peer.errors import ConfigInvalid
from peer.report import write_report
from protocol.records import BirthRecord, IntentRecord

TEXT = {"type": "string"}


def listed(**fields: Any) -> dict[str, Any]:
    properties = {name: {"type": kind} if isinstance(kind, str) else kind for name, kind in fields.items()}
    return {"type": "array", "items": {"type": "object", "properties": properties, "required": list(fields)}}


# The standard's JSON form: https://www.ocel-standard.org/specification/formats/json
TYPES = listed(
    name=TEXT, attributes=listed(name=TEXT, type={"enum": ["string", "time", "integer", "float", "boolean"]})
)
VALUE = {"type": ["string", "number", "boolean"]}
LINKS = listed(objectId=TEXT, qualifier=TEXT)
MOMENT = {"type": "string", "format": "date-time", "pattern": "Z$"}
OCEL = {
    "type": "object",
    "required": ["eventTypes", "objectTypes", "events", "objects"],
    "additionalProperties": False,
    "properties": {
        "eventTypes": TYPES,
        "objectTypes": TYPES,
        "events": listed(
            id=TEXT, type=TEXT, time=MOMENT, attributes=listed(name=TEXT, value=VALUE), relationships=LINKS
        ),
        "objects": listed(
            id=TEXT, type=TEXT, attributes=listed(name=TEXT, value=VALUE, time=MOMENT), relationships=LINKS
        ),
    },
}
KINDS = {"string": str, "integer": int, "float": float, "boolean": bool}


def export(name: str, folder: Path, out: Path) -> list[Path]:
    written = write(name, folder, out, lambda at, of: None, lambda at, of: None)
    assert (written.notes, written.gaps) == ([], [])
    assert all(file.stat().st_size > 0 for file in written.files)
    return written.files


def test_ocel_keeps_to_its_standard(scene: Scene, trail: Trail, tmp_path: Path) -> None:
    (file,) = export("ocel", scene.folder, tmp_path)
    log = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.validate(log, OCEL, format_checker=jsonschema.FormatChecker())
    for things, types in (("events", "eventTypes"), ("objects", "objectTypes")):
        declared = {kind["name"]: {part["name"]: part["type"] for part in kind["attributes"]} for kind in log[types]}
        assert len(declared) == len(log[types])
        ids = [thing["id"] for thing in log[things]]
        assert len(ids) == len(set(ids))
        for thing in log[things]:
            for attribute in thing["attributes"]:
                kind = declared[thing["type"]][attribute["name"]]
                assert type(attribute["value"]) is KINDS[kind], attribute
    objects = {thing["id"]: thing["type"] for thing in log["objects"]}
    assert set(objects.values()) == {"agent", "message", "key", "effect", "proposal"}
    for thing in (*log["events"], *log["objects"]):
        assert {link["objectId"] for link in thing["relationships"]} <= set(objects)
    assert [event["time"] for event in log["events"]] == sorted(event["time"] for event in log["events"])
    for thing in (*log["events"], *log["objects"]):
        named = [link["objectId"] for link in thing["relationships"]]
        assert len(named) == len(set(named)), "tools keep one relation of two between the same things"
    events = {event["id"]: event for event in log["events"]}
    told = [step.record for step in trail.steps.values()]
    reads = sum(len({*(read.key for read in step.reads), *(sums.key for sums in step.tolerated)}) for step in told)
    found = [link["qualifier"] for event in log["events"] for link in event["relationships"]]
    assert reads == sum("reads" in verb.split(" and ") for verb in found) > 0
    assert "reads and writes" in found
    assert len([name for name in events if name.startswith("step:")]) == len(trail.steps)
    undone = events["undone:cashier/1/2"]
    assert undone["type"] == "undo Pay"
    links = {(link["qualifier"], link["objectId"]) for link in undone["relationships"]}
    assert {("undone by", "proposal:buyer/1/p1"), ("by", "agent:cashier"), ("writes", "key:space:sold/all")} <= links


def test_cloudevents_keep_to_their_standard(scene: Scene, trail: Trail, tmp_path: Path) -> None:
    (file,) = export("cloudevents", scene.folder, tmp_path)
    found: list[Any] = [JSONFormat().read(CloudEvent, line) for line in file.read_bytes().splitlines()]
    names = [(event.get_source(), event.get_id()) for event in found]
    assert len(names) == len(set(names))
    assert all(event.get_time() is not None for event in found)
    kinds = {event.get_type().removeprefix("dev.ebbtide.") for event in found}
    assert kinds == {
        "agent.began", "checkpoint.cut", "effect", "restored", "rollback.decided", "rollback.proposed",
        "rollback.voted", "step", "step.undone",
    }  # fmt: skip
    steps = {event.get_subject() for event in found if event.get_type() == "dev.ebbtide.step"}
    assert steps == {str(step) for step in trail.steps}
    gone = {event.get_subject(): event for event in found if event.get_type() == "dev.ebbtide.step.undone"}
    assert set(gone) == {str(step.id) for step in trail.steps.values() if step.undone is not None}
    event = gone["cashier/1/2"]
    assert event.get_data() == {
        "step": "cashier/1/2", "by": "buyer/1/p1", "kind": "rollback", "reason": "dollars taken for cents",
    }  # fmt: skip
    undone = trail.step("cashier/1/2").undone
    assert undone is not None
    assert event.get_time() == moment(undone.time_us)
    before = file.read_bytes()
    export("cloudevents", scene.folder, tmp_path)
    assert file.read_bytes() == before, "ids and times are the same at every reading"


def test_what_is_not_dated_has_the_time_of_what_was_before_it_or_of_what_comes_first(tmp_path: Path) -> None:
    intent = IntentRecord("a/L1/0", "L1", "t", b"", None, 0)
    found = happenings([Kept("one", a=[BirthRecord(1), step_of(1), intent])]).happenings
    assert [(one.kind, one.id, one.time_us) for one in found] == [
        ("agent.began", "began/1", 10),
        ("step", "a/1/1", 10),
        ("effect", "a/L1/0/3", 10),
    ]
    found = happenings([Kept("one", a=[BirthRecord(1)], b=[BirthRecord(1), step_of(1)])]).happenings
    assert [(one.agent, one.time_us) for one in found] == [("a", 10), ("b", 10), ("b", 10)]
    assert [one.time_us for one in happenings([Kept("one", a=[BirthRecord(1)])]).happenings] == [0]


def test_prov_is_read_back_as_it_was(scene: Scene, trail: Trail, tmp_path: Path) -> None:
    (file,) = export("prov", scene.folder, tmp_path)
    document: Any = prov.read(str(file), format="json")
    again = prov.model.ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    assert again == document
    activities = {str(record.identifier) for record in document.get_records(prov.model.ProvActivity)}
    assert {f"step:{step}" for step in trail.steps} <= activities
    agents = {str(record.identifier) for record in document.get_records(prov.model.ProvAgent)}
    assert agents == {"agent:buyer", "agent:cashier", "agent:watcher"}
    usage, generation, informed, invalid = (
        {tuple(str(value) for _, value in record.formal_attributes[:2]) for record in document.get_records(kind)}
        for kind in (
            prov.model.ProvUsage,
            prov.model.ProvGeneration,
            prov.model.ProvCommunication,
            prov.model.ProvInvalidation,
        )
    )
    assert ("step:cashier/1/2", "message:buyer/1/2%230") in usage
    assert ("step:cashier/1/3", "version:cashier%3Alast%40cashier/1/2") in usage
    assert ("message:buyer/1/2%230", "step:buyer/1/2") in generation
    assert ("step:cashier/1/2", "step:buyer/1/2") in informed
    assert ("message:buyer/1/2%230", "rollback:buyer/1/p1") in invalid
    assert ("version:cashier%3Alast%40cashier/1/2", "rollback:buyer/1/p1") in invalid
    assert "message:buyer/1/1%230" not in {entity for entity, _ in invalid}
    assert document.get_provn()


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_tables_are_what_the_trail_tells(name: str, scene: Scene, trail: Trail, tmp_path: Path) -> None:
    files = export(name, scene.folder, tmp_path)
    read = pandas.read_csv if name == "csv" else pandas.read_parquet
    tables = {file.stem: read(file) for file in files}
    assert {table: list(frame.columns) for table, frame in tables.items()} == {
        table: list(columns) for table, columns in COLUMNS.items()
    }
    steps = tables["steps"].set_index("step")
    assert list(steps.index) == [str(step) for step in trail.steps]
    row = steps.loc["cashier/1/2"]
    assert (row["undone_by"], row["producer"], row["input_type"]) == ("buyer/1/p1", "buyer/1/2", "Pay")
    assert steps.loc["buyer/1/1", "model"] == "pricer@2"
    assert pandas.isna(steps.loc["buyer/1/1", "undone_by"])
    time = pandas.to_datetime(row["time"]).to_pydatetime()
    assert time == moment(trail.step("cashier/1/2").record.time_us)
    assert time.astimezone(UTC) > datetime(2020, 1, 1, tzinfo=UTC)
    assert set(tables["reads"]["how"]) == {"read", "observed", "tolerated"}
    votes = tables["votes"]
    assert votes[~votes["accepts"].astype(bool)]["why"].tolist() == ["the books are closed"]
    assert tables["proposals"]["decision"].tolist() == ["commit", "abort"]


def test_the_report_page_reads_what_is_exported_from_folders(scene: Scene, tmp_path: Path) -> None:
    export("jsonl", scene.folder, tmp_path / "out")
    page = tmp_path / "page.html"
    write_report(tmp_path / "out", page, {}, [], "from folders")
    assert "took everything back to checkpoint" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(FORMATS))
def test_logs_of_an_older_release_are_exported(name: str, old: Path, tmp_path: Path) -> None:
    written = write(name, old, tmp_path, lambda at, of: None, lambda at, of: None)
    assert (written.notes, written.gaps) == ([], [])
    assert all(file.exists() for file in written.files)


def test_what_is_not_installed_is_named_with_the_remedy() -> None:
    with pytest.raises(ConfigInvalid, match=r"needs the Python package 'nowhere'.*pip install 'ebbtide\[audit\]'"):
        needed("nowhere.at.all", "format x")


def test_nothing_of_the_extra_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, peer.audit.cli; print([m for m in ('pandas','pyarrow','prov','cloudevents') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_that_cannot_be_written_to_is_named(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ConfigInvalid, match="nothing can be written to"):
        export("csv", scene.folder, file)
