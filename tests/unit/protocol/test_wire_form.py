"""What others read of us, and our logs do: tags, and fields, in order where order counts. A rename is a new protocol.

`tests/data/wire_form.txt` has all that a frame or a log may hold. A new line may come, and a new field that may be left
out (`?`), in an array at its end; anything else that changes there breaks old logs.
"""

import collections
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import inspect

from protocol.agent.folds import Op
from protocol.checkpoints.messages import CheckpointRecord, RestoreVoteRecord
from protocol.message import Message
from protocol.records import Record, VoteRecord
from protocol.wire import Frame

KEPT = Path(__file__).parents[2] / "data" / "wire_form.txt"


def forms(*roots: object) -> list[str]:
    """Describe everything that these can hold, a line each."""
    found: dict[str, str] = {}
    todo = collections.deque(inspect.multi_type_info(roots))
    seen: set[int] = set()
    while todo:
        kind = todo.popleft()
        if id(kind) in seen:
            continue
        seen.add(id(kind))
        if isinstance(kind, inspect.StructType | inspect.NamedTupleType):
            name = f"{kind.cls.__module__}.{kind.cls.__qualname__}"
            fields = " ".join(f.encode_name + ("" if f.required else "?") for f in kind.fields)
            how = "array" if isinstance(kind, inspect.NamedTupleType) or kind.array_like else "map"
            tag = getattr(kind, "tag", None)
            found[name] = f"{tag or '-'} {how}: {fields}"
        todo.extend(parts_of(kind))
    # Named by tag and fields alone: where a class lives, and what it is called, nobody outside can tell.
    return sorted(found.values())


def parts_of(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.StructType | inspect.NamedTupleType):
        yield from (field.type for field in kind.fields)
    for name in ("types", "item_types"):
        yield from getattr(kind, name, ())
    for name in ("item_type", "key_type", "value_type"):
        part = getattr(kind, name, None)
        if part is not None:
            yield part


def test_tags_and_fields_of_all_that_is_sent_or_logged_are_as_they_were() -> None:
    assert forms(Frame, Message, Record, CheckpointRecord, Op) == KEPT.read_text(encoding="utf-8").splitlines()


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
