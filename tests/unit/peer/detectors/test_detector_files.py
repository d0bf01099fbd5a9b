"""Files of detectors: what was saved is loaded, and what is damaged or foreign says so and harms nobody."""

from hashlib import sha256
from random import Random

import msgspec
import pytest
from normal_runs import joint, normal, scores
from vae_run import FILE

from peer.detectors import (
    Agreement,
    Bounds,
    Calibrated,
    Calibration,
    Check,
    Cusum,
    DetectorFileInvalid,
    HalfSpaceTrees,
    Outliers,
    Threshold,
    load,
    save,
)
from peer.detectors.files import KINDS
from peer.errors import CallerError, PeerError

TWO = ("length", "amount")


def made():
    chance = Random(1)
    said = [chance.random() for _ in range(200)]
    calibration = Calibration.fit([(value, chance.random() < value) for value in said])
    return [
        Threshold("amount", below=1),
        Bounds("amount", 0, 10),
        Agreement(("a", "b"), k=1),
        Cusum("amount").train(normal(1, 200)),
        calibration,
        Calibrated(calibration, below=0.4),
        Outliers("ECOD", TWO, quantile=0.9).train(joint(1, 200)),
        HalfSpaceTrees(TWO, trees=3, window=50, quantile=0.9).train(joint(1, 200)),
        load(FILE),
    ]


@pytest.mark.parametrize("detector", made(), ids=lambda detector: type(detector).__name__)
def test_what_was_saved_is_loaded_and_says_the_same(detector, tmp_path):
    version = save(detector, tmp_path / "kept.detector")
    found = load(tmp_path / "kept.detector", version=version, trained_on=getattr(detector, "trained_on", ""))
    assert found == detector
    assert [file.name for file in tmp_path.iterdir()] == ["kept.detector"]
    if not isinstance(detector, Calibration):
        assert (found.name, found.version) == (detector.name, version)
        assert scores(found, joint(3, 50)) == scores(detector, joint(3, 50))


def test_every_kind_but_a_function_of_ones_own_can_be_kept(tmp_path):
    with pytest.raises(CallerError, match=r"Check can't be kept in a file: keep its function in a module"):
        save(Check("sum", len), tmp_path / "kept.detector")
    with pytest.raises(CallerError, match="str can't be kept"):
        save("text", tmp_path / "kept.detector")
    assert not list(tmp_path.iterdir())
    assert len(KINDS) == 14


def test_another_detector_than_was_asked_for_is_not_loaded():
    with pytest.raises(DetectorFileInvalid, match=r"another: its version is '[0-9a-f]{12}', not 'older'"):
        load(FILE, version="older")
    with pytest.raises(DetectorFileInvalid, match="another: its trained_on"):
        load(FILE, trained_on="0" * 64)


def test_a_file_with_a_byte_altered_or_cut_is_refused_or_the_same(tmp_path):
    whole, path = FILE.read_bytes(), tmp_path / "damaged.detector"
    kept = load(FILE)
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x11]) + whole[at + 1 :])
        with pytest.raises(DetectorFileInvalid, match=r"Nothing was loaded\. "):
            load(path)
        path.write_bytes(whole[:at])
        with pytest.raises(DetectorFileInvalid):
            load(path)
    assert load(FILE) == kept


def content(**changes):
    return msgspec.msgpack.encode({**msgspec.msgpack.decode(FILE.read_bytes()), **changes})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no detector's"),
        (b"\x80\x04K\x01.", "no detector's"),
        (b"\x91" * 100_000, "no detector's"),
        (msgspec.msgpack.encode({"a": 1}), "no detector's"),
        (content(format="something"), "no detector's"),
        (content(edition=2), "of edition 2, and this release reads 1. Nothing was loaded. Upgrade"),
        (content(kind="Oracle"), "of an unknown kind, 'Oracle'"),
        (content(kind="Cusum"), "damaged, or of another release"),
        (content(version="0" * 12), "its version is not its own"),
        (content(trained_on="f" * 64), "its version is not its own"),
        (content(digest=""), "its settings are not those that were written"),
    ],
    ids=range(11),
)
def test_a_foreign_file_says_what_is_wrong_with_it(data, says, tmp_path):
    path = tmp_path / "foreign.detector"
    path.write_bytes(data)
    with pytest.raises(DetectorFileInvalid, match=says) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert isinstance(refused.value, PeerError)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rows": bytes(17)}, "17 bytes are no rows of 2 features"),
        ({"scale": {"typical": 1.0, "limit": 1.0}}, "limit - typical=0.0"),
        ({"quantile": 7.0}, "quantile=7.0"),
        ({"features": []}, "at least one name"),
        ({"seed": "one"}, "Expected `int`, got `str`"),
    ],
)
def test_settings_that_no_detector_can_have_are_not_loaded(settings, says, tmp_path):
    path = tmp_path / "made.detector"
    save(Outliers("KNN", TWO, quantile=0.9).train(joint(1, 100)), path)
    file = msgspec.msgpack.decode(path.read_bytes())
    body = msgspec.msgpack.encode({**file["settings"], **settings})
    file = {**file, "settings": msgspec.Raw(body), "digest": sha256(body).hexdigest()}
    path.write_bytes(msgspec.msgpack.encode(file))
    with pytest.raises(DetectorFileInvalid, match=f"of another release: .*{says}"):
        load(path)


def test_a_file_too_large_to_be_one_is_not_read(tmp_path):
    path = tmp_path / "large.detector"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(DetectorFileInvalid, match="larger than 64 MB"):
        load(path)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


def test_a_save_that_fails_leaves_the_old_file_as_it_was(tmp_path):
    path = tmp_path / "kept.detector"
    save(Threshold("amount", below=1), path)
    with pytest.raises(CallerError):
        save(Check("sum", len), path)
    assert load(path) == Threshold("amount", below=1.0)
    with pytest.raises(FileNotFoundError):
        save(Threshold("amount", below=1), tmp_path / "no folder" / "kept.detector")
