"""ST-LPIPS: LPIPS whose network does not mind a shift, and which works at 32 px.

Ghildyal and Liu 2022, "Shift-tolerant Perceptual Similarity Metric", ECCV, arXiv 2207.13686.
AlexNet with each stride taken after a blur (Zhang 2019, arXiv 1904.11486), trained whole. Only the
weight file of the package ``stlpips-pytorch`` is read; the package itself is not imported, since it
asks for others it does not name, and its layers are not free for every use. The arithmetic here is
written from the papers; the tests hold it against the package's own values.

Shape legend: N pairs, C channels, H W height width.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64
from torch import Tensor

from eval.batches import Picture, pairs
from eval.metric import MetricInfo, Scope
from eval.shown import Shown, enlarged, signed
from eval.weights import Pinned, Place, find

PACKAGE = "stlpips_pytorch"
WEIGHTS = Pinned(
    name="alex_shift_tolerant.pth",
    sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
)
SIDE_PX = 64
"""The side of the pictures that people judged; smaller ones are enlarged to it."""
BLUR_PAD_PX = 2
LAYERS = (
    # Weights' name, padding in pixels, and whether a maximum is taken first.
    ("net.slice2.5", 2, True),
    ("net.slice3.9", 1, True),
    ("net.slice4.11", 1, False),
    ("net.slice5.13", 1, False),
)

METRICS = (
    MetricInfo(
        name="st_lpips",
        unit="",
        higher_is_better=False,
        scope=Scope.pair,
        formula="sum over 5 layers of the mean over places of w . (f - g)^2; f, g unit features",
        source="Ghildyal and Liu 2022, arXiv 2207.13686; package stlpips-pytorch 0.0.2, AlexNet",
        needs="stlpips-pytorch==0.0.2, installed with --no-deps",
    ),
)

Features = Float32[Tensor, "N C H W"]


class StLpips:
    """Measures ST-LPIPS of pairs, on grey, enlarged by a whole number to 64 px or more.

    Raises:
        UnavailableError: The weight file is not there, or is another one.
    """

    def __init__(self, place: Place) -> None:
        spec = find_spec(PACKAGE)
        inside = spec.submodule_search_locations if spec else None
        packaged = Path(next(iter(inside))) / "weights" / "vST0.0" if inside else None
        (file,) = find(
            "st_lpips",
            [WEIGHTS],
            [place.folder, packaged],
            how="pip install --no-deps stlpips-pytorch==0.0.2",
        )
        # Tensors only: nothing in the file is run.
        state = torch.load(file, map_location=place.device, weights_only=True)  # noqa: TID251
        self.state: dict[str, Tensor] = state
        self.device = place.device

    @torch.inference_mode()
    def __call__(
        self, left: Sequence[Picture], right: Sequence[Picture]
    ) -> dict[str, Float64[np.ndarray, " N"]]:
        """Return ``st_lpips`` of each pair, from 0 up.

        Raises:
            ValueError: The sequences are not equally long, or a pair's sizes differ.
        """
        values = np.empty(len(left))
        for indices, ones, others in pairs(left, right, at_least_px=SIDE_PX):
            shown = [
                signed(enlarged(side, at_least_px=SIDE_PX)).to(self.device)
                for side in (ones, others)
            ]
            values[indices] = self.distance(*shown).double().cpu().numpy()
        return {"st_lpips": values}

    def distance(self, left: Shown, right: Shown) -> Float32[Tensor, " N"]:
        """Return the distance of pairs of pictures, -1..1, as the package has it."""
        total = torch.zeros(len(left), device=left.device)
        for layer, pair in enumerate(zip(self._layers(left), self._layers(right), strict=True)):
            one, other = (_unit(features) for features in pair)
            head = self.state[f"lin{layer}.model.1.weight"]
            total += F.conv2d((one - other) ** 2, head).mean(dim=(1, 2, 3))
        return total

    def _layers(self, shown: Shown) -> list[Features]:
        state = self.state
        scaled = (shown - state["scaling_layer.shift"]) / state["scaling_layer.scale"]
        first = F.conv2d(
            scaled, state["net.slice1.0.weight"], state["net.slice1.0.bias"], padding=2
        )
        found = [F.relu(_halved(first))]
        for name, padding, is_pooled in LAYERS:
            features = found[-1]
            if is_pooled:
                features = _halved(F.max_pool2d(features, kernel_size=3, stride=1))
            weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
            found.append(F.relu(F.conv2d(features, weight, bias, padding=padding)))
        return found


def _halved(features: Features) -> Float32[Tensor, "N C h w"]:
    """Blur with the weights 1 2 1 both ways, and keep each second place."""
    taps = torch.tensor([0.25, 0.5, 0.25], device=features.device)
    channels = features.shape[1]
    kernel = torch.outer(taps, taps).expand(channels, 1, 3, 3)
    padded = F.pad(features, [BLUR_PAD_PX] * 4, mode="reflect")
    return F.conv2d(padded, kernel, stride=2, groups=channels)


def _unit(features: Features) -> Features:
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)
