"""LPIPS: a distance learned from what people see, through its own package.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", arXiv
1801.03924; version 0.1, AlexNet. The package brings the heads; AlexNet's weights are torchvision's
and are looked for, never fetched.
"""

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from eval.batches import Picture, pairs
from eval.metric import MetricInfo, Scope, UnavailableError
from eval.shown import enlarged, signed
from eval.weights import Pinned, Place, find

TRUNK = Pinned(
    name="alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
)
HEADS = Pinned(
    name="alex.pth", sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"
)
SIDE_PX = 64
"""The side of the pictures that people judged; smaller ones are enlarged to it."""

METRICS = (
    MetricInfo(
        name="lpips",
        unit="",
        higher_is_better=False,
        scope=Scope.pair,
        formula="sum over 5 layers of the mean over places of w . (f - g)^2; f, g unit features",
        source="Zhang et al. 2018, arXiv 1801.03924; package lpips 0.1.4, AlexNet, version 0.1",
        needs=f"`make eval-metrics` and {TRUNK.name}",
    ),
)


class Lpips:
    """Measures LPIPS of pairs, on grey, enlarged by a whole number to 64 px or more.

    Raises:
        UnavailableError: The package is not installed, or AlexNet's weights are not there.
    """

    def __init__(self, place: Place) -> None:
        try:
            package = importlib.import_module("lpips")
        except ImportError as error:
            raise UnavailableError(
                f"lpips: {error.name} is not installed; make eval-metrics, and the same command "
                "with build/eval/bin/python"
            ) from None
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        how = (
            "torchvision.models.alexnet(weights='IMAGENET1K_V1') fetches it to that cache where "
            "there is a network"
        )
        (trunk,) = find("lpips", [TRUNK], [place.folder, cache], how=how)
        heads = Path(package.__file__ or "").parent / "weights" / "v0.1"
        find("lpips", [HEADS], [heads], how="install lpips==0.1.4")
        with warnings.catch_warnings():
            # The package asks torchvision for an empty AlexNet in an old way.
            warnings.simplefilter("ignore")
            network = package.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
        # Tensors only: nothing in the file is run.
        state = torch.load(trunk, map_location="cpu", weights_only=True)  # noqa: TID251
        network.net.load_state_dict(
            # The package cuts torchvision's layers into slices and keeps their numbers.
            {name: state[f"features.{name.split('.', 1)[1]}"] for name in network.net.state_dict()}
        )
        self.network: Any = network.eval().to(place.device)
        self.device = place.device

    @torch.inference_mode()
    def __call__(
        self, left: Sequence[Picture], right: Sequence[Picture]
    ) -> dict[str, Float64[np.ndarray, " N"]]:
        """Return ``lpips`` of each pair, from 0 up.

        Raises:
            ValueError: The sequences are not equally long, or a pair's sizes differ.
        """
        values = np.empty(len(left))
        for indices, ones, others in pairs(left, right, at_least_px=SIDE_PX):
            shown = (
                signed(enlarged(side, at_least_px=SIDE_PX)).to(self.device)
                for side in (ones, others)
            )
            values[indices] = self.network(*shown).flatten().double().cpu().numpy()
        return {"lpips": values}
