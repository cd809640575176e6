"""Recording a run, and checking others against it."""

import json
from pathlib import Path

import pytest

from pipeline.core.errors import InputError
from repro.reference import check, kind_of, read_reference, record
from tests.repro.made import environment, smoke

KIND = kind_of(environment(), smoke())
ELSEWHERE = kind_of(environment(cpu_id="GenuineIntel 6/143"), smoke())


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    assert record(tmp_path, smoke(), kind=KIND) is False
    return tmp_path


def test_where_hashes_are_known_one_byte_is_too_much(recorded: Path) -> None:
    reference = read_reference(recorded)
    same = check(smoke(), reference, kind=KIND)
    assert (same.by, same.passed) == ("hash", True)
    moved = check(smoke(levels=1), reference, kind=KIND)
    assert (moved.by, moved.passed) == ("hash", False)
    assert "within tolerance" in moved.fault
    assert "within tolerance" not in check(smoke(1), reference, kind=KIND).fault


@pytest.mark.parametrize("kind", [ELSEWHERE, None])
def test_elsewhere_pictures_are_compared(recorded: Path, kind: object) -> None:
    reference = read_reference(recorded)
    moved = check(smoke(levels=1), reference, kind=kind)  # type: ignore[arg-type]
    assert (moved.by, moved.passed) == ("tolerance", True)
    assert not any(verdict.equal for verdict in moved.verdicts)
    assert all(v.equal for v in check(smoke(), reference, kind=kind).verdicts)  # type: ignore[arg-type]
    assert not check(smoke(1), reference, kind=kind).passed  # type: ignore[arg-type]


def test_one_wrong_picture_of_many_is_enough(recorded: Path) -> None:
    right, wrong = smoke(), smoke(1)
    mixed = smoke(pixels=(*right.pixels[:2], wrong.pixels[2]))
    verdicts = check(mixed, read_reference(recorded), kind=None).verdicts
    assert [verdict.passed for verdict in verdicts] == [True, True, False]


def test_a_gpus_hashes_hold_for_nothing(tmp_path: Path) -> None:
    assert kind_of(environment(), smoke(device="cuda")) is None
    with pytest.raises(InputError, match="gpus_per_node"):
        record(tmp_path, smoke(device="cuda"), kind=None)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"weights_sha256": "f" * 64}, "model"),
        ({"settings": {"prompts": ["a"], "seed": 0, "num_threads": 1}}, "prompts"),
        ({"settings": {"prompts": ["red gem", "blue potion", "orc"], "num_threads": 1}}, "seed"),
    ],
)
def test_another_model_or_work_cannot_be_checked(
    recorded: Path, changes: dict[str, object], word: str
) -> None:
    with pytest.raises(InputError, match=rf"(?s){word}.*record=true"):
        check(smoke(**changes), read_reference(recorded), kind=KIND)


def test_another_cpus_hashes_stand_beside(recorded: Path) -> None:
    moved = smoke(levels=1)
    assert record(recorded, moved, kind=ELSEWHERE) is True
    reference = read_reference(recorded)
    assert check(smoke(), reference, kind=KIND).passed
    assert check(moved, reference, kind=ELSEWHERE).by == "hash"
    assert check(moved, reference, kind=ELSEWHERE).passed
    # Recorded once more, nothing moves.
    before = {file.name: file.read_bytes() for file in recorded.iterdir()}
    assert record(recorded, smoke(), kind=KIND) is True
    assert {file.name: file.read_bytes() for file in recorded.iterdir()} == before


@pytest.mark.parametrize(
    "now", [smoke(1), smoke(levels=1), smoke(weights_sha256="f" * 64)], ids=["seed", "sum", "model"]
)
def test_what_is_no_longer_true_goes(recorded: Path, now: object) -> None:
    """Here the same CPU drew something else, so what other CPUs drew before is old too."""
    record(recorded, smoke(), kind=ELSEWHERE)
    assert record(recorded, now, kind=KIND) is False  # type: ignore[arg-type]
    reference = read_reference(recorded)
    assert list(reference.hashes) == [KIND]
    assert check(now, reference, kind=KIND).passed  # type: ignore[arg-type]
    assert len(list(recorded.glob("*.png"))) == 3


def test_a_broken_reference_is_named(recorded: Path) -> None:
    file = recorded / "smoke.json"
    value = json.loads(file.read_text())
    broken: list[dict[str, object]] = [
        {**value, "format": "other"},
        {**value, "hashes": []},
        {**value, "hashes": [{"holds_for": {"torch": "2"}, "pixels_sha256": ["a"] * 3}]},
        {**value, "hashes": [{**value["hashes"][0], "pixels_sha256": ["a"]}]},
        {**value, "files": value["files"][:2]},
        {key: each for key, each in value.items() if key != "weights_sha256"},
    ]
    for each in broken:
        file.write_text(json.dumps(each))
        with pytest.raises(InputError, match=r"smoke\.json.*record=true"):
            read_reference(recorded)
    file.write_text(json.dumps(value)[:100])
    with pytest.raises(InputError, match=r"smoke\.json"):
        read_reference(recorded)
    file.write_text(json.dumps(value))
    picture = recorded / "000000001.png"
    picture.write_bytes(picture.read_bytes()[:60])
    with pytest.raises(InputError, match=r"000000001\.png"):
        read_reference(recorded)
    picture.unlink()
    with pytest.raises(InputError, match=r"000000001\.png"):
        read_reference(recorded)
    file.unlink()
    with pytest.raises(InputError, match=r"smoke\.json.*record=true"):
        read_reference(recorded)
