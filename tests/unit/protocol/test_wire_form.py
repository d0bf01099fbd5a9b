"""What others read of us, and our logs do: tags, and fields, in order where order counts. A rename is a new protocol.

`tests/data/wire_form.txt` has all that a frame or a log may hold. A new line may come, and a new field that may be left
out (`?`), in an array at its end; anything else that changes there breaks old logs. What is new has a line in
`protocol/since.py`, and the file is written anew:

    python -c 'from tests.unit.protocol.test_wire_form import KEPT, lines; KEPT.write_text(lines())'

`wire_form_N.txt` is what wire version N had, and does not change any more: the release that first spoke it is out. That
table has to tell how to get there from what there is now (CL-8).
"""

import collections
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from protocol.agent.folds import Op
from protocol.checkpoints.messages import CheckpointRecord, RestoreVoteRecord
from protocol.message import Message
from protocol.records import Record, VoteRecord
from protocol.since import FIRST, OLDEST, PASSED_ON, SINCE, VERSION, since
from protocol.wire import Frame

DATA = Path(__file__).parents[2] / "data"
KEPT = DATA / "wire_form.txt"
ROOTS = (Frame, Message, Record, CheckpointRecord, Op)


def lines() -> str:
    """Return what belongs into the file."""
    return "".join(f"{form}\n" for form in forms(*ROOTS))


def forms(*roots: object, version: int = VERSION) -> list[str]:
    """Describe everything that these could hold in a wire version, a line each."""
    found: dict[str, str] = {}
    todo = collections.deque(inspect.multi_type_info(roots))
    seen: set[int] = set()
    while todo:
        kind = todo.popleft()
        if id(kind) in seen:
            continue
        seen.add(id(kind))
        if isinstance(kind, inspect.StructType | inspect.NamedTupleType):
            if since(kind.cls) > version:
                continue
            name = f"{kind.cls.__module__}.{kind.cls.__qualname__}"
            fields = " ".join(f.encode_name + ("" if f.required else "?") for f in fields_of(kind, version))
            how = "array" if isinstance(kind, inspect.NamedTupleType) or kind.array_like else "map"
            tag = getattr(kind, "tag", None)
            found[name] = f"{tag or '-'} {how}: {fields}"
        todo.extend(parts_of(kind, version))
    # Named by tag and fields alone: where a class lives, and what it is called, nobody outside can tell.
    return sorted(found.values())


def fields_of(kind: inspect.StructType | inspect.NamedTupleType, version: int) -> list[inspect.Field]:
    """Return the fields that a kind had in a version."""
    return [field for field in kind.fields if SINCE.get(f"{kind.cls.__name__}.{field.name}", FIRST) <= version]


def parts_of(kind: inspect.Type, version: int = VERSION) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType | inspect.NamedTupleType):
        yield from (field.type for field in fields_of(kind, version))
    for name in ("types", "item_types"):
        yield from getattr(kind, name, ())
    for name in ("item_type", "key_type", "value_type"):
        part = getattr(kind, name, None)
        if part is not None:
            yield part


def test_tags_and_fields_of_all_that_is_sent_or_logged_are_as_they_were() -> None:
    assert forms(*ROOTS) == KEPT.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("version", range(OLDEST, VERSION))
def test_what_is_new_since_an_older_version_has_a_line_in_the_table(version: int) -> None:
    released = DATA / f"wire_form_{version}.txt"
    assert forms(*ROOTS, version=version) == released.read_text(encoding="utf-8").splitlines(), (
        f"what is new since wire version {version} has a line in protocol/since.py, and nothing else has changed"
    )


def test_the_table_names_what_there_is_and_no_version_that_is_not_spoken_yet() -> None:
    there: dict[str, list[type]] = collections.defaultdict(list)
    for kind in kinds(*ROOTS):
        for name in (kind.cls.__name__, *(f"{kind.cls.__name__}.{field.name}" for field in kind.fields)):
            there[name].append(kind.cls)
    for name, version in SINCE.items():
        assert FIRST < version <= VERSION
        assert len(there[name]) == 1, f"{name} is {there[name] or 'nothing that is sent or logged'}"


def test_what_is_passed_on_or_signed_never_has_a_new_field() -> None:
    there = {kind.cls.__name__ for kind in kinds(*ROOTS)}
    assert there >= set(PASSED_ON)
    assert not [name for name in SINCE if re.match(rf"({'|'.join(PASSED_ON)})\.", name)]


def test_kinds_that_can_be_kept_back_stand_nowhere_but_where_they_are_looked_for() -> None:
    """What `understood` does not look into can hold no new kind: whoever does not know it would refuse all of it."""
    frame = next(kind for kind in kinds(Frame) if kind.cls is Frame)
    (compare, envelope) = (
        next(kind for kind in kinds(Frame) if kind.cls.__name__ == name) for name in ("Compare", "Envelope")
    )
    looked_into = [field.type for field in frame.fields if field.name in LISTS]
    looked_into += [field.type for field in compare.fields if field.name == "facts"]
    looked_into += [field.type for field in envelope.fields if field.name == "message"]
    found = {tagged for each in looked_into for tagged in tagged_in(each)}
    everywhere = {tagged for kind in kinds(Frame) for field in kind.fields for tagged in tagged_in(field.type)}
    assert found == everywhere


LISTS = ("facts", "probes", "checkpoints", "copies")


def tagged_in(kind: inspect.Type) -> list[frozenset[str]]:
    """Return the choices between tagged kinds that stand right here, each as the names of its kinds."""
    if isinstance(kind, inspect.UnionType):
        names = frozenset(
            each.cls.__name__ for each in kind.types if isinstance(each, inspect.StructType) and each.tag is not None
        )
        return [names] if names else []
    if isinstance(kind, inspect.StructType | inspect.NamedTupleType):
        return []
    return [found for part in parts_of(kind) for found in tagged_in(part)]


def kinds(*roots: object) -> list[inspect.StructType | inspect.NamedTupleType]:
    """Return all kinds that these can hold."""
    found: dict[type, inspect.StructType | inspect.NamedTupleType] = {}
    todo = collections.deque(inspect.multi_type_info(roots))
    while todo:
        kind = todo.popleft()
        if isinstance(kind, inspect.StructType | inspect.NamedTupleType):
            if kind.cls in found:
                continue
            found[kind.cls] = kind
        todo.extend(parts_of(kind))
    return list(found.values())


def test_two_votes_go_by_one_tag_in_different_logs() -> None:
    tags = [kind.__struct_config__.tag for kind in (VoteRecord, RestoreVoteRecord)]
    assert tags == ["VoteRecord", "VoteRecord"]


def test_in_a_map_order_is_free_and_in_an_array_it_is_not() -> None:
    class Old(msgspec.Struct, tag="T"):
        one: int
        two: int

    class New(msgspec.Struct, tag="T"):
        two: int
        one: int

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(Old(1, 2)), type=New) == New(2, 1)
