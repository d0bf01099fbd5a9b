"""What is given to a cluster: what can't be used is told in one line, before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from peer import CallerError, Cluster, Limits


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"checkpoint_every_s": "5"}, "checkpoint_every_s='5': it is seconds"),
        ({"checkpoint_every_s": None}, "checkpoint_every_s=None: it is seconds"),
        ({"checkpoint_every_s": float("nan")}, "checkpoint_every_s=nan: it is seconds"),
        ({"checkpoint_every_s": -1}, "checkpoint_every_s=-1: at least 0"),
        ({"successor_s": float("inf")}, "successor_s=inf: it is seconds"),
        ({"successor_s": 1e300}, "successor_s=1e+300: it is seconds"),
        ({"checkpoints_kept": "4"}, "checkpoints_kept='4': it is a whole number, at least 1"),
        ({"checkpoints_kept": 0}, "checkpoints_kept=0: at least 1"),
        ({"replicas": 1.5}, "replicas=1.5: it is a whole number"),
        ({"replicas": True}, "replicas=True: it is a whole number"),
        ({"agents_per_actor": "3"}, "agents_per_actor='3': it is a whole number"),
        ({"durability": None}, "durability=None: it is 'local'"),
        ({"folder": 5}, "folder=5: it is a path"),
        ({"folder": b"run"}, "folder=b'run': it is a path"),
        ({"limits": 5}, "limits=5: it is Limits(...)"),
        ({"limits": Limits(mailbox_max="many")}, "limits.mailbox_max='many': it is a whole number"),  # type: ignore[reportArgumentType]
        ({"limits": Limits(mailbox_max=-1)}, "limits.mailbox_max=-1: at least 0"),
    ],
)
def test_what_is_no_number_folder_or_limit_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(CallerError) as error:
        Cluster("local", **options)
    assert named in str(error.value)
    assert "Nothing was started." in str(error.value)


def test_what_can_be_used_is_taken(tmp_path: Path) -> None:
    Cluster(
        "local", folder=str(tmp_path), limits=Limits(mailbox_max=1), checkpoint_every_s=0, replicas=1, successor_s=2
    )
