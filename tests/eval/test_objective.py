from pathlib import Path

import numpy as np
import pytest

from eval import features as features_module
from eval.intervals import Estimate
from eval.kernel import Sample
from eval.metric import Scope, UnavailableError
from eval.objective import open_features, pair_metrics, set_metrics, text_metrics
from eval.weights import Place
from tests.fakes.changes import Picture, blurred, noised, shifted, swapped

KID = set_metrics()[0]


@pytest.fixture(scope="module")
def kid(art: list[Picture]) -> dict[str, Estimate]:
    pytest.importorskip("efficientnet_lite_pytorch")
    measured = open_features(Place())
    groups = [str(i) for i in range(len(art))]
    changes = {
        "same": art,
        "shifted": [shifted(p) for p in art],
        "blurred": [blurred(p, 1) for p in art],
        "blurred more": [blurred(p, 4) for p in art],
        "noised": [noised(p, 12) for p in art],
        "noised more": [noised(p, 48) for p in art],
        "swapped": [swapped(p) for p in art],
    }
    sets = {name: Sample(measured(pictures), groups) for name, pictures in changes.items()}
    return dict(KID.measure(sets, sets["same"]))


def test_what_is_worse_lies_farther_as_a_set(kid: dict[str, Estimate]) -> None:
    value = {name: distance.value for name, distance in kid.items()}
    assert value["same"] <= 0 <= kid["same"].high, "a set against itself"
    assert value["same"] < value["blurred"] < value["blurred more"]
    assert value["same"] < value["noised"] < value["noised more"]
    assert value["same"] < value["swapped"]
    assert value["shifted"] < min(value["blurred more"], value["noised"], value["swapped"])


def test_what_is_offered_is_said_in_one_place(tmp_path: Path) -> None:
    offers = [*pair_metrics(), *text_metrics()]
    infos = [info for offer in offers for info in offer.infos]
    infos += [metric.info for metric in set_metrics()]
    names = [info.name for info in infos]
    assert len(names) == len(set(names))
    assert all(info.formula and info.source for info in infos)
    assert all(info.unit == "dB" for info in infos if info.name.endswith("_db"))
    pictures = [np.full((16, 16, 4), 255, dtype=np.uint8)] * 2
    for offer in pair_metrics():
        try:
            metric = offer.build(Place(folder=tmp_path))
        except UnavailableError as error:
            assert offer.infos[0].needs
            assert "\n" not in str(error)
        else:
            values = metric(pictures, pictures)
            assert set(values) == {info.name for info in offer.infos}
            assert all(v.shape == (2,) and v.dtype == np.float64 for v in values.values())
    assert {info.scope for offer in pair_metrics() for info in offer.infos} == {Scope.pair}


def test_features_of_pictures_of_all_sizes_are_as_one_by_one(art: list[Picture]) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    measured = open_features(Place())
    pictures = [art[0], art[1][:16, :16], art[2], art[3][:24, :8]]
    one_by_one = np.concatenate([measured([picture]) for picture in pictures])
    assert measured(pictures) == pytest.approx(one_by_one, abs=1e-4)


def test_other_weights_make_the_sets_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.setattr(features_module, "SHA256", "0" * 64)
    with pytest.raises(UnavailableError, match="sha256"):
        open_features(Place())


def test_a_set_too_small_for_a_frechet_distance_says_so() -> None:
    sample = Sample(np.zeros((24, 1280), dtype=np.float32), [str(i) for i in range(24)])
    with pytest.raises(UnavailableError, match="6400"):
        set_metrics()[1].measure({"it": sample}, sample)
