"""LPIPS through its package; where that is not installed, that the metric says so.

AlexNet's weights are not in any package, so its own arithmetic and wiring are held against
torchmetrics with random ones.
"""

import sys
from pathlib import Path

import pytest
import torch

from eval import lpips
from eval.lpips import Lpips
from eval.metric import UnavailableError
from eval.shown import enlarged, signed
from eval.weights import Pinned, Place
from pipeline.core.files import sha256_file
from tests.fakes.changes import Picture, noised


def test_without_the_package_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UnavailableError, match=r"lpips.*make eval-metrics"):
        Lpips(Place())


def test_without_the_trunk_it_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lpips")
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(UnavailableError, match="torchvision"):
        Lpips(Place(folder=tmp_path))
    (tmp_path / lpips.TRUNK.name).write_bytes(b"not it")
    with pytest.raises(UnavailableError, match=lpips.TRUNK.sha256):
        Lpips(Place(folder=tmp_path))


def test_values_of_torchmetrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, art: list[Picture]
) -> None:
    pytest.importorskip("lpips")
    models = pytest.importorskip("torchvision.models")
    reference = pytest.importorskip("torchmetrics.functional.image.lpips")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = models.alexnet(weights=None).state_dict()
    file = tmp_path / lpips.TRUNK.name
    torch.save(trunk, file)
    monkeypatch.setattr(lpips, "TRUNK", Pinned(name=file.name, sha256=sha256_file(file)))
    measure = Lpips(Place(folder=tmp_path))
    other = [noised(p, 24) for p in art]
    found = measure(art, other)["lpips"]

    theirs = reference._LPIPS(pretrained=True, net="alex", pnet_rand=True).eval()
    layers = theirs.net.state_dict()
    theirs.net.load_state_dict(
        {name: trunk[f"features.{name.split('.', 1)[1]}"] for name in layers}
    )
    shown = (signed(enlarged(side, at_least_px=lpips.SIDE_PX)) for side in (art, other))
    with torch.inference_mode():
        expected = theirs(*shown).flatten().numpy()
    assert found == pytest.approx(expected, rel=1e-5)
    assert (found > 0).all()
    assert not measure(art, art)["lpips"].any()
